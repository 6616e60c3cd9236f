"""Lists of the classes in masks, and the files of a folder."""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from cli import Refusal
from data.formats.classes import LabelMap, pack, to_label_map, with_void
from data.formats.tables import classes_in
from data.kinds import is_unread
from data.layout import IMAGE_ENDINGS, IMPORTED_ENDINGS, UNREAD_ENDINGS, is_junk
from files import read_text as text_of

ENDINGS = (*IMAGE_ENDINGS, *IMPORTED_ENDINGS, *UNREAD_ENDINGS)
MOST_TEXT = 20_000_000  # bytes of a text file
SPLIT_OF = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """The content of a text file of at most `most` bytes. Raises Refusal."""
    return text_of(path, most)


def read_lines(path: Path, comments: bool = True) -> list[str]:
    """The lines without blank lines, surrounding spaces and, if there are comments, those with #"""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [line for line in lines if line and not (comments and line.startswith("#"))]


def read_label_map(path: Path) -> LabelMap:
    """A list of names: NAME (its value is the line number from 0), N NAME or R G B NAME per line,
    or a table. Without colours, 255 is void."""
    pairs = classes_in(read_lines(path), path)
    rgb = bool(pairs) and isinstance(pairs[0][0], tuple)
    label_map = to_label_map([(pack(*n) if rgb else n, name) for n, name in pairs], rgb, path)
    return label_map if rgb else with_void(label_map)


def parse_values(words: list[str]) -> LabelMap:
    """The label map of --values N=CLASS or R,G,B=CLASS. Raises Refusal."""
    pairs = []
    for word in words:
        found = re.fullmatch(r"(\d{1,5}|\d{1,3},\d{1,3},\d{1,3})=(\S.*)", word)
        if not found:
            raise Refusal(f"--values {word}: write N=CLASS, or R,G,B=CLASS for colour masks")
        pairs.append((tuple(map(int, found[1].split(","))), found[2]))
    if len({len(value) for value, _ in pairs}) > 1:
        raise Refusal("--values: give either N=CLASS or R,G,B=CLASS, not both")
    rgb = len(pairs[0][0]) == 3
    if rgb and max(max(value) for value, _ in pairs) > 255:
        raise Refusal("--values: R, G and B must be from 0 to 255")
    return to_label_map([(pack(*n) if rgb else n[0], name) for n, name in pairs], rgb)


def add_label_map_options(parser, also: str = "") -> None:
    """--values and --classes, for formats that do not define the classes of the mask values.

    also: what the help adds about --classes.
    """
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="class of a value in the masks, or R,G,B=CLASS for colour masks; the class void (the "
        "ignore index) is neither trained on nor scored",
    )  # fmt: skip
    parser.add_argument(
        "--classes", metavar="FILE",
        help=f"file with one class per line: NAME, N NAME or R G B NAME{also}",
    )  # fmt: skip


def files_below(folder: Path, depth: int = 99) -> Iterator[Path]:
    """All files that are not hidden, sorted by name; linked folders are visited once."""
    seen = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        at = os.stat(where)
        if (at.st_dev, at.st_ino) in seen:
            folders.clear()
            continue
        seen.add((at.st_dev, at.st_ino))
        deep = len(Path(where).relative_to(folder).parts) + 1 >= depth
        folders[:] = [] if deep else visible(folders)
        yield from filter(readable, (Path(where, name) for name in visible(files)))


def images_below(folder: Path, depth: int = 99) -> list[Path]:
    """The files of `files_below` that are images, without raw files beside their JPEG."""
    return without_raw(p for p in files_below(folder, depth) if p.suffix.lower() in ENDINGS)


def without_raw(paths: Iterable[Path]) -> list[Path]:
    """Leaves out a file of a kind that is not read beside an image of its name that is, as a
    camera's raw file beside its JPEG."""
    paths = list(paths)
    known = {p.with_suffix("") for p in paths if p.suffix.lower() in ENDINGS and not is_unread(p)}
    return [path for path in paths if not is_unread(path) or path.with_suffix("") not in known]


def visible(names: list[str]) -> list[str]:
    return sorted(name for name in names if not is_junk(name))


def readable(path: Path) -> bool:
    """False for a pipe or a device, which would block; broken links are refused when read."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def images_in(folder: Path) -> dict[str, Path]:
    """From path relative to the folder, with / and without ending, to image file.

    Accents are in one piece, whatever system wrote the files. Raises Refusal for two of one stem.
    """
    found = {}
    for path in images_below(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if (first := found.setdefault(unicodedata.normalize("NFC", name), path)) != path:
            raise Refusal(f"{first} and {path} share a stem: keep one of them")
    return found


def folder_with(source: Path, names: Iterable[str]) -> Path:
    """The folder that contains folders of these names, up to two levels below the source."""
    roots = [source] if holds(source, names) else []
    for pattern in () if roots else ("*", "*/*"):
        below = (path for path in sorted(source.glob(pattern)) if not is_hidden(path, source))
        roots += [path for path in below if holds(path, names)]
    if not roots:
        raise Refusal(f"{source} has no folder that contains {' and '.join(names)}")
    if len(roots) > 1:
        raise Refusal(
            f"{source} has several datasets: {', '.join(map(str, roots))}. Name one as SOURCE"
        )
    return roots[0]


def is_hidden(path: Path, source: Path) -> bool:
    return any(map(is_junk, path.relative_to(source).parts))


def holds(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_dir() for name in names)


def split_of(path: Path) -> str | None:
    """The split named by a folder in the path; the last one counts."""
    named = [SPLIT_OF.get(part.casefold()) for part in path.parts[:-1]]
    return next((split for split in reversed(named) if split), None)
