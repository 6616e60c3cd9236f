"""What mask files mean: numbers or colours to classes; lists of names, folders of files."""

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

ENDINGS = (*IMAGE_ENDINGS, ".tif", ".tiff", ".gif")
MOST_TEXT = 20_000_000  # bytes of a list of names
BLOCK = 1 << 20  # pixels at a time
SPLIT_OF = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


class Meaning(NamedTuple):
    """What the numbers of a mask mean. table: number, or colour as 0xRRGGBB, to the position of its
    class; -1 is not scored. colours: RGB a class, where the table is one of colours."""

    classes: list[str]
    table: dict[int, int]
    colours: list[list[int]] | None = None


def meaning(pairs: Iterable[tuple[int, str]], rgb: bool = False) -> Meaning:
    """Of (number, class name), several numbers a class at will. A class "void" is not scored.

    Raises Refusal when no class is left.
    """
    pairs = list(pairs)
    names = list(dict.fromkeys(name for _, name in pairs if name.casefold() != "void"))
    if not names:
        raise Refusal("no class is named, or void alone")
    place = {name: index for index, name in enumerate(names)}
    table = {number: place.get(name, -1) for number, name in pairs}
    first = {name: number for number, name in reversed(pairs)}
    return Meaning(names, table, [unpacked(first[name]) for name in names] if rgb else None)


def pack(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def unpacked(colour: int) -> list[int]:
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def read_as(path: Path, means: Meaning) -> np.ndarray:
    """The mask (H, W) of a file, positions in means.classes. Raises Refusal naming the file."""
    rgb = means.colours is not None
    return to_classes(read_colours(path) if rgb else read_ids(path), means, path)


def to_classes(numbers: np.ndarray, means: Meaning, path: Path) -> np.ndarray:
    """(H, W) numbers to positions of classes, int32."""
    known = np.array(sorted(means.table))
    places = np.array([means.table[number] for number in known.tolist()], np.int32)
    flat = numbers.reshape(-1)
    mask = np.empty(flat.size, np.int32)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        near = np.searchsorted(known, part).clip(max=len(known) - 1)
        odd = part[known[near] != part]
        if odd.size:
            raise Refusal(unknown(int(odd[0]), means, path))
        mask[start : start + BLOCK] = places[near]
    return mask.reshape(numbers.shape)


def unknown(number: int, means: Meaning, path: Path) -> str:
    show = str if means.colours is None else lambda colour: str(tuple(unpacked(colour)))
    some = ", ".join(map(show, sorted(means.table)[:12]))
    more = ", ..." if len(means.table) > 12 else ""
    return f"{path} holds {show(number)}, which no class has; known: {some}{more}"


def read_ids(path: Path) -> np.ndarray:
    """The numbers of a mask, (H, W): grey or palette of any depth, or RGB that is grey."""
    raw, image = open_image(path)
    pixels = decoded(path, image)
    if pixels.dtype.kind not in "bui":
        raise Refusal(f"{path} holds fractions; a mask holds whole numbers")
    if image.mode in ("RGB", "RGBA"):
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise Refusal(
                f"{path} is a mask in colours; its classes are named by a table of colours, "
                "a line each: R G B NAME"
            )
        return pixels[..., 0]
    if image.mode in ("LA", "PA"):
        return pixels[..., 0]
    if pixels.ndim != 2:
        raise Refusal(f"{path} is a mask of mode {image.mode}; needed: grey, palette or RGB")
    return as_stored(pixels, raw, image)


def read_colours(path: Path) -> np.ndarray:
    """The colours of a mask, (H, W) int32 0xRRGGBB, palettes looked up."""
    _, image = open_image(path)
    red, green, blue = np.moveaxis(decoded(path, image, "RGB").astype(np.int32), -1, 0)
    return pack(red, green, blue)


def read_text(path: Path) -> str:
    if not readable(path):
        raise Refusal(f"{path} is no file")
    try:
        if path.stat().st_size > MOST_TEXT:
            raise Refusal(f"{path} has {path.stat().st_size} bytes; a list of names is shorter")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be read: {error}") from error


def read_lines(path: Path) -> list[str]:
    """Lines that say something, without comments (#) and outer spaces."""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


COLOUR_LINES = (  # of CamVid, of CVAT's labelmap.txt and of tables with commas
    r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})[\s,:]+(?P<name>\S.*)",
    r"(?P<name>[^:]*\S)\s*:\s*(?P<r>\d{1,3}),(?P<g>\d{1,3}),(?P<b>\d{1,3})(:.*)?",
    r"(?P<name>[^,]*\S)\s*,\s*(?P<r>\d{1,3})\s*,\s*(?P<g>\d{1,3})\s*,\s*(?P<b>\d{1,3})",
)


def read_classes(path: Path) -> Meaning:
    """What a list of names says: NAME (the number is the line's), N NAME, or R G B NAME a line.

    With numbers that are the line's, and with N, 255 is not scored.
    """
    lines = read_lines(path)
    if not lines:
        raise Refusal(f"{path} names no class: write a name a line")
    colours = colour_lines(lines) or colour_lines(lines[1:])  # the first may be a header
    if colours:
        return meaning(colours, rgb=True)
    numbered = [re.fullmatch(r"(\d{1,5})[\s:,;=]+(\S.*)", line) for line in lines]
    if all(numbered):
        pairs = [(int(found[1]), found[2]) for found in numbered]
    else:
        pairs = list(enumerate(lines))
    means = meaning(pairs)
    return means._replace(table={VOID: -1} | means.table)


def colour_lines(lines: list[str]) -> list[tuple[int, str]] | None:
    """(colour, name) of every line, or None if one is none."""
    for form in COLOUR_LINES:
        found = [re.fullmatch(form, line) for line in lines]
        if found and all(found):
            parts = [[int(line[channel]) for channel in "rgb"] for line in found]
            if max(map(max, parts)) < 256:
                names = [line["name"].strip() for line in found]
                return [(pack(*rgb), name) for rgb, name in zip(parts, names, strict=True)]
    return None


def given_values(words: list[str]) -> Meaning:
    """Of --values N=CLASS or R,G,B=CLASS. Raises Refusal."""
    pairs = []
    for word in words:
        found = re.fullmatch(r"(\d{1,5}|\d{1,3},\d{1,3},\d{1,3})=(\S.*)", word)
        if not found:
            raise Refusal(f"--values {word}: write N=CLASS, or R,G,B=CLASS where masks are colours")
        pairs.append((tuple(map(int, found[1].split(","))), found[2]))
    if len({len(number) for number, _ in pairs}) > 1:
        raise Refusal("--values: either numbers or colours, not both")
    rgb = len(pairs[0][0]) == 3
    if rgb and max(max(number) for number, _ in pairs) > 255:
        raise Refusal("--values: R, G and B go from 0 to 255")
    return meaning([(pack(*n) if rgb else n[0], name) for n, name in pairs], rgb)


def add_meaning(parser) -> None:
    """--values and --classes, for formats whose masks do not say what they mean."""
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="what a number in the masks means; void: not scored. R,G,B=CLASS for colour masks",
    )  # fmt: skip
    parser.add_argument(
        "--classes", metavar="FILE", help="names, a line each: NAME, N NAME or R G B NAME"
    )


def files_below(folder: Path, depth: int = 99) -> Iterator[Path]:
    """Files in name order, without hidden ones; linked folders are entered once."""
    seen = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        at = os.stat(where)
        if (at.st_dev, at.st_ino) in seen:
            folders.clear()
            continue
        seen.add((at.st_dev, at.st_ino))
        deep = len(Path(where).relative_to(folder).parts) + 1 >= depth
        folders[:] = [] if deep else shown(folders)
        yield from filter(readable, (Path(where, name) for name in shown(files)))


def shown(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def readable(path: Path) -> bool:
    """False for a pipe or a device, which would block; what is broken is refused when read."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


def images_in(folder: Path) -> dict[str, Path]:
    """Path below the folder without ending, with /, to image file."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in files_below(folder)
        if path.suffix.lower() in ENDINGS
    }


def folder_with(source: Path, names: Iterable[str]) -> Path:
    """The folder that holds folders of these names: the source, or one at most two below it."""
    roots = [source] if holds(source, names) else []
    for pattern in () if roots else ("*", "*/*"):
        roots += [path for path in sorted(source.glob(pattern)) if holds(path, names)]
    if not roots:
        raise Refusal(f"{source} holds no folder with {' and '.join(names)} in it")
    if len(roots) > 1:
        raise Refusal(f"{source} holds several: {', '.join(map(str, roots))}. Name one as SOURCE")
    return roots[0]


def holds(folder: Path, names: Iterable[str]) -> bool:
    return all((folder / name).is_dir() for name in names)


def split_of(path: Path) -> str | None:
    """The split that a folder in the path names, the last one if several do."""
    named = [SPLIT_OF.get(part.casefold()) for part in path.parts[:-1]]
    return next((split for split in reversed(named) if split), None)
