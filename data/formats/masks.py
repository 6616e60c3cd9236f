"""Reading of mask files: label maps from values or colours to classes, lists of names, folders."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.images import as_stored, decoded, open_image
from data.layout import IMAGE_ENDINGS, VOID
from files import read_regular

ENDINGS = (*IMAGE_ENDINGS, ".tif", ".tiff", ".gif")
MOST_TEXT = 20_000_000  # bytes of a text file
BLOCK = 1 << 20  # pixels that are converted at a time
SPLIT_OF = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


class LabelMap(NamedTuple):
    """The classes of the values in a mask. table: from value, or colour as 0xRRGGBB, to the index
    of its class, or -1 for void. colours: RGB per class, if the table is of colours."""

    classes: list[str]
    table: dict[int, int]
    colours: list[list[int]] | None = None


def to_label_map(pairs: Iterable[tuple[int, str]], rgb: bool = False) -> LabelMap:
    """From (value, class name) pairs; several values may have the same class. The class "void" is
    mapped to -1. Raises Refusal if no other class is named.
    """
    pairs = list(pairs)
    names = list(dict.fromkeys(name for _, name in pairs if name.casefold() != "void"))
    if not names:
        raise Refusal("no class besides void is named")
    place = {name: index for index, name in enumerate(names)}
    table = {value: place.get(name, -1) for value, name in pairs}
    first = {name: value for value, name in reversed(pairs)}
    return LabelMap(names, table, [unpacked(first[name]) for name in names] if rgb else None)


def pack(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def unpacked(colour: int) -> list[int]:
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def read_as(path: Path, label_map: LabelMap) -> np.ndarray:
    """The mask (H, W) of a file, indices of label_map.classes. Raises Refusal naming the file."""
    rgb = label_map.colours is not None
    return to_classes(read_colours(path) if rgb else read_ids(path), label_map, path)


def to_classes(values: np.ndarray, label_map: LabelMap, path: Path) -> np.ndarray:
    """(H, W) values to class indices, int32. Raises Refusal for an unknown value."""
    known = np.array(sorted(label_map.table))
    places = np.array([label_map.table[value] for value in known.tolist()], np.int32)
    flat = values.reshape(-1)
    mask = np.empty(flat.size, np.int32)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        near = np.searchsorted(known, part).clip(max=len(known) - 1)
        odd = part[known[near] != part]
        if odd.size:
            raise Refusal(unknown(int(odd[0]), label_map, path))
        mask[start : start + BLOCK] = places[near]
    return mask.reshape(values.shape)


def unknown(value: int, label_map: LabelMap, path: Path) -> str:
    """The message for a value that is not in the label map."""
    show = str if label_map.colours is None else lambda colour: str(tuple(unpacked(colour)))
    some = ", ".join(map(show, sorted(label_map.table)[:12]))
    more = ", ..." if len(label_map.table) > 12 else ""
    return f"{path} contains {show(value)}, which has no class; known: {some}{more}"


def read_ids(path: Path) -> np.ndarray:
    """The values of a mask, (H, W): grey or palette of any depth, or RGB with equal channels."""
    raw, image = open_image(path)
    pixels = decoded(path, image)
    if pixels.dtype.kind not in "bui":
        raise Refusal(f"{path} contains fractional values; needed: integers")
    if image.mode in ("RGB", "RGBA"):
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise Refusal(
                f"{path} is a colour mask: its classes must be listed by colour, "
                "one line R G B NAME each"
            )
        return pixels[..., 0]
    if image.mode in ("LA", "PA"):
        return pixels[..., 0]
    if pixels.ndim != 2:
        raise Refusal(
            f"{path} is stored with image mode {image.mode}; needed: grey, palette or RGB"
        )
    return as_stored(pixels, raw, image)


def read_colours(path: Path) -> np.ndarray:
    """The colours of a mask, (H, W) int32 0xRRGGBB; palettes are resolved."""
    _, image = open_image(path)
    red, green, blue = np.moveaxis(decoded(path, image, "RGB").astype(np.int32), -1, 0)
    return pack(red, green, blue)


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """The content of a text file of at most `most` bytes. Raises Refusal."""
    try:
        return read_regular(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} cannot be read: {error}") from error


def read_lines(path: Path) -> list[str]:
    """The lines without comments (#), blank lines and surrounding spaces."""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


COLOUR_LINES = (  # CamVid, CVAT's labelmap.txt, comma-separated tables
    r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})[\s,:]+(?P<name>\S.*)",
    r"(?P<name>[^:]*\S)\s*:\s*(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(:.*)?",
    r"(?P<name>[^,]*\S)\s*,\s*(?P<r>\d{1,3})\s*,\s*(?P<g>\d{1,3})\s*,\s*(?P<b>\d{1,3})",
)


def read_label_map(path: Path) -> LabelMap:
    """A list of names: NAME (its value is the line number from 0), N NAME or R G B NAME per line.

    The lines of the last two forms may follow a header. Without colours, 255 is void.
    """
    lines = read_lines(path)
    if not lines:
        raise Refusal(f"{path} names no class: write one name per line")
    colours = colour_lines(lines) or colour_lines(lines[1:])  # the first may be a header
    if colours:
        return to_label_map(colours, rgb=True)
    pairs = numbered_lines(lines) or numbered_lines(lines[1:])
    if (
        pairs
        and len(pairs) < len(lines)
        and not re.fullmatch(r"[^,;:\t]+[,;:\t][^,;:\t]+", lines[0])
    ):
        raise Refusal(
            f"{path}: its first line, {lines[0][:80]!r}, lacks the number that the others have: "
            "write one before every name"
        )
    pairs = pairs or list(enumerate(lines))
    label_map = to_label_map(pairs)
    return label_map._replace(table={VOID: -1} | label_map.table)


def numbered_lines(lines: list[str]) -> list[tuple[int, str]]:
    """(value, name) of every line of the form N NAME; [] if a line has another form."""
    found = [re.fullmatch(r"(\d{1,5})[\s:,;=]+(\S.*)", line) for line in lines]
    return [(int(line[1]), line[2]) for line in found] if all(found) else []


def colour_lines(lines: list[str]) -> list[tuple[int, str]] | None:
    """(colour, name) of every line, or None if a line has another form."""
    for form in COLOUR_LINES:
        found = [re.fullmatch(form, line) for line in lines]
        if found and all(found):
            parts = [[int(line[channel]) for channel in "rgb"] for line in found]
            if max(map(max, parts)) < 256:
                names = [line["name"].strip() for line in found]
                return [(pack(*rgb), name) for rgb, name in zip(parts, names, strict=True)]
    return None


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


def add_label_map_options(parser) -> None:
    """--values and --classes, for formats that do not define the classes of the mask values."""
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="class of a value in the masks, or R,G,B=CLASS for colour masks; the class void (the "
        "ignore index) is neither trained on nor scored",
    )  # fmt: skip
    parser.add_argument(
        "--classes", metavar="FILE", help="file with one class per line: NAME, N NAME or R G B NAME"
    )


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


def visible(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def readable(path: Path) -> bool:
    """False for a pipe or a device, which would block; broken links are refused when read."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def images_in(folder: Path) -> dict[str, Path]:
    """From path relative to the folder, with / and without ending, to image file."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in files_below(folder)
        if path.suffix.lower() in ENDINGS
    }


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
    return any(part.startswith(".") for part in path.relative_to(source).parts)


def holds(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_dir() for name in names)


def split_of(path: Path) -> str | None:
    """The split named by a folder in the path; the last one counts."""
    named = [SPLIT_OF.get(part.casefold()) for part in path.parts[:-1]]
    return next((split for split in reversed(named) if split), None)
