"""The one way to find the image that an annotation names."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qs, unquote

from cli import Refusal
from data.formats import Item
from data.formats.archives import refuse_links
from data.formats.masks import (
    ENDINGS,
    files_below,
    is_hidden,
    read_text,
    split_of,
    without_raw,
)
from data.kinds import is_unread, why_unread

BESIDE = (".ico", ".mat", ".npy", ".npz", ".svg")  # lie beside images, and are seldom meant as one
NO_IMAGES = re.compile(  # folders of masks and the like
    r"(.*[_-])?(annot|annotations?|depth|gt|labels?|masks?|seg|segmentations?|"
    r"segmentation(class|object)\w*)|panoptic.*|.*visuali.*",
    re.IGNORECASE,
)
LABELS = (".json", ".txt", ".xml", ".csv", ".yaml", ".yml", ".toml")
SHOWN = 3  # names in a message


def plain(name: str) -> str:
    return name


def folded(name: str) -> str:
    """The name with accents in one piece and without case: macOS and Windows change both."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe(name: str) -> str:
    """The folded name without the characters that some file systems and tools replace."""
    return re.sub(r"[^\w.-]+", "_", folded(name))


def bare(name: str) -> str:
    """The name without the ending of an image."""
    head, ending = os.path.splitext(name)
    return head if ending.lower() in ENDINGS else name


def stem(name: str) -> str:
    return safe(bare(name))


KEYS = (plain, folded, bare, safe, stem)  # how names are compared, the strictest first
LOOSE = (bare, stem)  # those that find a file of another ending


def some(names: Iterable) -> str:
    """The first few names, and how many more there are."""
    names = [str(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def unread(paths: Iterable[Path]) -> list[str]:
    """A message for each image of a kind that is not read."""
    return [
        f"{path} {why_unread(path, b'')}"
        for path in paths
        if is_unread(path) and path.suffix.lower() not in BESIDE
    ]


def missing(path: Path) -> str:
    """What to say of a file that is not there: a file of its name may be of a kind that is not
    read."""
    stem = folded(path.stem)
    others = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    odd = [other for other in others if is_unread(other) and folded(other.stem) == stem]
    return f"{odd[0]} {why_unread(odd[0], b'')}" if odd else f"{path} is missing"


def add_images_option(parser) -> None:
    parser.add_argument(
        "--images", metavar="FOLDER", help="folder that is searched for images (default SOURCE)"
    )


def folder_of_images(source: Path, args) -> Path:
    """--images, checked, or the source. Raises Refusal."""
    if not args.images:
        return source
    if not Path(args.images).is_dir():
        raise Refusal(f"--images {args.images}: no such folder")
    if not args.links:
        refuse_links(Path(args.images))
    return Path(args.images)


def unlisted(images: "Images", known: set[Path]) -> tuple[list[str], list[str]]:
    """A note about the images that no label file names, and a message for each unread kind."""
    others = [path for path in images.paths if path not in known and not images.in_masks(path)]
    lost = [p.name for p in others if p.suffix.lower() in ENDINGS and not is_unread(p)]
    note = f"images that no label file names, left out: {len(lost)} ({some(lost)})"
    return [note] if lost else [], unread(others)


def listed_once(listed: list[tuple[Path, Item]], way: str = "") -> tuple[list[Item], list[str]]:
    """The items whose image is listed only once, and a message for each of the other images.

    Images listed twice are left out: each list may be incomplete, and splits must not overlap.
    listed: the label file of each item. way: another way out than to list the image once.
    """
    files = {}
    for path, item in listed:
        files.setdefault(item.image, []).append(path)
    twice = [
        f"{image} is listed {len(paths)} times, in {' and '.join(map(str, dict.fromkeys(paths)))}"
        f": list it only once{way}"
        for image, paths in files.items()
        if len(paths) > 1
    ]
    return [item for _, item in listed if len(files[item.image]) == 1], twice


class Images:
    """Finds the files below a folder by names that another machine may have written.

    Only files below the folder are ever returned, whatever a name says. without: folders that are
    left out.
    """

    def __init__(self, folder: Path, without: Iterable[Path] = ()):
        self.folder, without = folder, set(without)
        self.paths = [
            path
            for path in without_raw(files_below(folder))
            if without.isdisjoint(path.parents) and path.suffix.lower() not in LABELS
        ]
        self.by_key = [defaultdict(list) for _ in KEYS]
        for path in self.paths:
            name = re.split(r"[/\\]", path.name)[-1]  # unpacked from a zip of Windows
            for key, found in zip(KEYS, self.by_key, strict=True):
                if key not in LOOSE or self.may_be_image(path):
                    found[key(name)].append(path)

    def may_be_image(self, path: Path) -> bool:
        """Whether a file of another ending than the one that is named may be meant."""
        return path.suffix.lower() in ENDINGS and not self.in_masks(path)

    def in_masks(self, path: Path) -> bool:
        """Whether a folder in the path is one of masks or the like."""
        return any(map(NO_IMAGES.fullmatch, path.relative_to(self.folder).parts[:-1]))

    def find(self, name, near: Path, file: Path, split: str | None = None) -> Path:
        """The image that `file` calls `name`, a path relative to `near` or of another machine.

        Of several with its base name, prefers the one at that path, then those below `near`, then
        those whose path ends with all of it, then those whose path below the folder ends it, then
        one in a folder of the split. Raises Refusal unless one remains.
        """
        if not isinstance(name, str) or "\0" in name or not parts_of(name):
            raise Refusal(f"{file}: {name!r} is not a file name")
        paths = self.named(name, near, split)
        if not paths:
            shown = name if len(name) < 200 else f"{name[:200]}..."
            raise Refusal(
                f"{file}: the image {shown} is missing: no file in {self.folder} has its name. "
                "Add it, or name its folder with --images"
            )
        if len(paths) > 1:
            found = " or ".join(map(str, paths[:SHOWN]))
            raise Refusal(f"{file}: {name} is ambiguous: {found}. Keep one of them")
        return paths[0]

    def named(self, name: str, near: Path, split: str | None = None) -> list[Path]:
        """The files that remain, none or several if the name does not decide."""
        for key, found in zip(KEYS, self.by_key, strict=True):
            for spelling in spellings(name):
                parts = parts_of(spelling)
                if parts and (paths := found.get(key(parts[-1]))):
                    return self.nearest(paths, spelling, near, split)
        return []

    def nearest(self, paths: list[Path], spelling: str, near: Path, split) -> list[Path]:
        if len(paths) == 1:
            return paths
        place = os.path.abspath(near / spelling.replace("\\", "/"))
        folders = tuple(map(folded, parts_of(spelling)[:-1]))

        def below(path: Path) -> tuple[str, ...]:
            return tuple(map(folded, path.relative_to(self.folder).parts[:-1]))

        for fits in (
            lambda path: os.path.abspath(path) == place,
            lambda path: near in path.parents,
            lambda path: folders and below(path)[-len(folders) :] == folders,
            lambda path: below(path) and folders[-len(below(path)) :] == below(path),
            lambda path: split and split_of(path.relative_to(self.folder)) == split,
        ):
            paths = list(filter(fits, paths)) or paths
        return paths


def parts_of(name: str) -> list[str]:
    """The folders and the name of a path of any system, without drive, . and .."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    return parts[1:] if parts and re.fullmatch("[A-Za-z]:", parts[0]) else parts


def spellings(name: str) -> list[str]:
    """What a name may stand for: itself, the file that an address names, %20 for a space."""
    head, question, query = name.partition("?")
    found = [*parse_qs(query).get("d", []), name, *([head] if question else [])]
    return list(dict.fromkeys([*found, *map(unquote, found)]))


def named_list(source: Path, names: Iterable[str]) -> Path | None:
    """The file with one of these names in the source or, as in many zips, up to two folders below.

    The first name counts, and the highest folder. Raises Refusal if several files differ.
    """
    for pattern in ("", "*/", "*/*/"):
        for name in names:
            found = [path for path in sorted(source.glob(pattern + name))
                     if not path.is_dir() and not is_hidden(path, source)]  # fmt: skip
            if len({read_text(path) for path in found}) > 1:
                raise Refusal(f"{some(found)} differ: keep one of them, or name it as --classes")
            if found:
                return found[0]
    return None
