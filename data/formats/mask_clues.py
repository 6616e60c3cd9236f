"""What shows that a folder holds images and masks, where no format has a layout of its own."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, takewhile
from pathlib import Path
from string import digits
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.formats.camvid import TABLES
from data.formats.find import NO_IMAGES, named_list
from data.formats.folder import LISTS
from data.formats.masks import SPLIT_OF
from data.formats.matte import has_alpha
from data.formats.separate_masks import in_masks
from data.formats.values import read_colour_values, read_values
from data.images import decoded, open_image

MOST_LOOKED = 12  # masks that are opened
MOST_VALUES = 12  # that are listed in a command
MOST_CUT_OUT = 4  # images whose alpha is looked at
MOST_PAIRED = 300  # masks whose names are compared
IMAGES = re.compile("image|img|photo|jpe?g|picture|frame", re.IGNORECASE)
TRUTH = re.compile(r"semantic|targets?|trimaps?|(.*[_\W])?truth|.*groundtruth", re.IGNORECASE)
NAMED = re.compile(r".+[_\W](masks?|labels?|seg|segmentation|gt|annotation)", re.IGNORECASE)


class Clue(NamedTuple):
    """A format that a source may be of, and why, for a sentence. options: that it needs."""

    format: str
    reason: str
    options: tuple[str, ...] = ()


def of_masks(files: list[Path], root: Path) -> Iterator[Clue]:
    """One mask an image, or several. files: the images and masks, relative to `root`."""
    for is_mask in (in_masks, in_truth, is_named):
        masks = [path for path in files if is_mask(path)]
        images = [path for path in files if not is_mask(path)]
        if not masks or not images or (is_mask is is_named and 2 * len(masks) < len(images)):
            continue
        if is_mask is in_masks and are_several(images, masks):
            what = f"{len(masks)} masks for {len(images)} images, in {folders_of(masks)}"
            yield Clue("separate-masks", what)
        else:
            yield pairs(images, masks, is_mask, root)
        return
    found = list(of_twins(files, root))
    if not found and files and all(is_cut_out(root / path) for path in files[:MOST_CUT_OUT]):
        options = ("--alpha", "--images", "**/*")
        found.append(Clue("matte", "images with an alpha channel that varies", options))
    yield from found


def in_truth(path: Path) -> bool:
    """Whether the innermost folder that says so is one of labels, annotations and the like."""
    for part in reversed(path.parts[:-1]):
        if NO_IMAGES.fullmatch(part) or TRUTH.fullmatch(part):
            return True
        if IMAGES.search(part):
            return False
    return False


def is_named(path: Path) -> bool:
    return bool(NAMED.fullmatch(path.stem))


def folders_of(paths: list[Path]) -> str:
    """Where the files are, for a sentence."""
    if len({path.parent for path in paths}) == 1:
        return at(paths[0])
    same = len({path.parent.name for path in paths}) == 1
    return f"folders called {paths[0].parent.name}" if same else f"{at(paths[0])} and the like"


def are_several(images: list[Path], masks: list[Path]) -> bool:
    of_stem = [Counter(path.stem for path in paths) for paths in (images, masks)]
    twice = any(of_stem[1][stem] > number for stem, number in of_stem[0].items())
    if twice or len(masks) > len(images):
        return True
    found = [part_of(mask.stem, {*of_stem[0]}) for mask in masks[:MOST_PAIRED]]
    of_image = Counter(mask.stem[slice(*at)] for mask, at in zip(masks, found, strict=False) if at)
    return any(number > of_stem[0][stem] for stem, number in of_image.items())


def pairs(images: list[Path], masks: list[Path], is_mask: Callable, root: Path) -> Clue:
    """One mask an image. Of several folders, the images are in one that is called so."""
    images = [path for path in images if any(map(IMAGES.search, path.parts[:-1]))] or images
    what = f"{at(images[0])} and {at(masks[0])} with one mask an image"
    named = [paths[0].parent.name.casefold() for paths in (images, masks)]
    forms = forms_of(images, masks)
    options = ()
    if named != ["images", "masks"] or forms != ("*", "*"):
        places = place_of(images[0], IMAGES.search), place_of(masks[0], is_telling(is_mask))
        if places[0] == places[1] and is_mask is not is_named:
            places = f"{images[0].parent.as_posix()}/", f"{masks[0].parent.as_posix()}/"
        options = patterns(*(place + form for place, form in zip(places, forms, strict=True)))
    if is_matte(root / masks[0]):
        return Clue("matte", what, options)
    return Clue("folder", what, (*options, *values_of(masks, root)))


def at(path: Path) -> str:
    """The folder of a file, for a sentence."""
    return f"{path.parent}/" if path.parent.parts else "the folder itself"


def each(path: Path) -> str:
    return (path.parent / f"*{path.suffix}").as_posix()


def is_telling(is_mask: Callable) -> Callable:
    return lambda part: is_mask(Path(part, "file"))


def place_of(path: Path, tells: Callable) -> str:
    """A folder of the path at any place, as a pattern: the innermost one that tells what it holds,
    else the innermost one that is not of a split."""
    named = [part for part in path.parts[:-1] if part.casefold() not in SPLIT_OF]
    told = [part for part in named if tells(part)] or named
    return f"**/{told[-1]}/**/" if told else "**/" * bool(path.parts[1:])


def forms_of(images: list[Path], masks: list[Path]) -> tuple[str, str]:
    """Patterns of the names of images and masks, with a * for what most of them share."""
    stems = [path.stem for path in images]
    some = masks[:MOST_PAIRED]
    begin = shared_begin(stems).rstrip(digits)
    end = shared_begin([stem[::-1] for stem in stems])[::-1].lstrip(digits)
    for first, last in (("", ""), (begin, end)):
        cores = {stem[len(first) : len(stem) - len(last)] for stem in stems} - {""}
        parts = [(path.stem, at) for path in some if (at := part_of(path.stem, cores))]
        found = Counter((stem[: at[0]], stem[at[1] :]) for stem, at in parts)
        if found and (best := found.most_common(1)[0])[1] > len(some) / 2:
            return form(first, last, images), form(*best[0], masks)
    return "*", "*"


def shared_begin(texts: list[str]) -> str:
    """What all texts begin with; "" for a single one."""
    first, last = min(texts), max(texts)
    same = (a == b for a, b in zip(first, last, strict=False))
    return "" if first == last else first[: sum(takewhile(bool, same))]


def part_of(stem: str, names: set[str]) -> tuple[int, int] | None:
    """Where the longest text begins and ends that is one of the names."""
    for size in range(len(stem), 0, -1):
        for start in range(len(stem) - size + 1):
            if stem[start : start + size] in names:
                return start, start + size
    return None


def form(begin: str, end: str, paths: list[Path]) -> str:
    """A pattern; with the ending of the files where text stands before it."""
    return f"{begin}*{end}{most_common_ending(paths)}" if end else f"{begin}*"


def most_common_ending(paths: list[Path]) -> str:
    return Counter(path.suffix for path in paths).most_common(1)[0][0]


def of_twins(files: list[Path], root: Path) -> Iterator[Clue]:
    """Images and PNGs of the same names, in other folders or in the same one."""
    places = {}
    for path in files:
        places.setdefault((path.parent, path.suffix), []).append(path)
    for (folder, ending), images in places.items():
        stems = {path.stem for path in images}
        for (other, png), masks in places.items():
            twins = stems & {path.stem for path in masks}
            if png.lower() == ".png" != ending.lower() and len(twins) > len(stems) / 2:
                what = f"{each(images[0])} and {each(masks[0])} of the same names"
                pair = ("**", "**") if folder == other else (folder.as_posix(), other.as_posix())
                options = patterns(f"{pair[0]}/*{ending}", f"{pair[1]}/*{png}")
                yield Clue("folder", what, (*options, *values_of(masks, root)))
                return


def patterns(images: str, masks: str) -> tuple[str, ...]:
    return ("--images", images, "--masks", masks)


def is_matte(mask: Path) -> bool:
    """Whether a mask is grey with so many values that it cannot be of classes."""
    try:
        values = np.unique(read_values(mask).stored)
    except (Refusal, OSError):
        return False
    return values.size > 64 and values.min() == 0 and values.max() == 255


def is_cut_out(path: Path) -> bool:
    """Whether an image has an alpha channel that varies."""
    try:
        _, image = open_image(path)
        return has_alpha(image) and np.ptp(decoded(path, image, "RGBA")[..., 3]) > 0
    except (Refusal, OSError):
        return False


def values_of(masks: list[Path], root: Path) -> tuple[str, ...]:
    """--values for the values of some masks, with names to be replaced, or --classes for a table of
    CamVid's; () if a file names the classes that is found without, or if no mask can be read."""
    if named_list(root, ("dataset.toml", *LISTS)):
        return ()
    if table := named_list(root, TABLES):
        return ("--classes", str(table))
    some = [root / path for path in masks[:: -(-len(masks) // MOST_LOOKED)]]
    if grey := stored(some, read_values):
        words = [str(value) for value in grey]
    else:
        words = [
            ",".join(map(str, value.to_bytes(3))) for value in stored(some, read_colour_values)
        ]
    if len(words) > MOST_VALUES:
        return ("--classes", "FILE")
    given = {"0": "background", "0,0,0": "background"} | ({"255": "void"} if len(words) > 2 else {})
    numbers = count(1)
    pairs = [f"{word}={given.get(word) or f'NAME{next(numbers)}'}" for word in words]
    return ("--values", *pairs) if words else ()


def stored(masks: list[Path], read: Callable) -> list[int]:
    """The values in these masks, as `read` gives them, sorted; none if it refuses one."""
    try:
        return sorted({int(value) for mask in masks for value in np.unique(read(mask).stored)})
    except (Refusal, OSError):
        return []
