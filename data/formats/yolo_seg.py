"""YOLO segmentation labels: a class and a polygon per line, relative to width and height."""

from functools import partial
from itertools import chain, dropwhile
from pathlib import Path, PurePosixPath

import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.masks import SPLIT_OF, images_below, read_lines, read_text, split_of
from data.formats.polygons import paint, polygons_to_rle, vertices
from data.formats.selection import BACKGROUND
from data.images import open_image, orientation_of, stored_size

ABOUT = """SOURCE: a folder or zip with images below images/, labels below labels/, and class names
in data.yaml (or another .yaml) or classes.txt. The split comes from train, val and test in
data.yaml, or from folders with these names. Pixels without a polygon are background; where polygons
overlap, the smaller is on top."""

MOST_YAML = 1_000_000  # bytes
MOST_DEEP = 20  # lists and tables in each other


def read(source: Path, args) -> Found:
    source = opened(source, args)
    tree = settings(source)
    classes, splits = names(tree, source), split_places(tree, source)
    items = []
    for path in images_below(source):
        labels = labels_of(path, source)
        if labels is None:
            continue
        mask = partial(draw, path, labels, len(classes))
        stated = [splits[place] for place in (path, *path.parents) if place in splits]
        split = stated[0] if stated else split_of(path.relative_to(source))
        items.append(Item(path.stem, path, mask, split))
    if not items:
        raise Refusal(f"{source} has no images below a folder images/ next to a folder labels/")
    return Found([BACKGROUND, *classes], items, [])


def settings(source: Path) -> dict:
    """The content of data.yaml, or of the first other .yaml with names; {} if there is none."""
    files = sorted([*source.glob("[!.]*.yaml"), *source.glob("[!.]*.yml")])
    for path in sorted(files, key=lambda path: path.stem != "data"):
        tree = read_yaml(path)
        if isinstance(tree, dict) and "names" in tree:
            return tree
    return {}


def read_yaml(path: Path):
    """The content of a YAML file without aliases, which can make a few lines endless."""
    import yaml

    text, deep = read_text(path, MOST_YAML), 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            deep += isinstance(event, yaml.CollectionStartEvent)
            deep -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or deep > MOST_DEEP:
                raise Refusal(f"{path} has aliases or is nested deeply: write it out plainly")
        return yaml.safe_load(text)
    except Refusal:
        raise
    except Exception as error:  # PyYAML raises arbitrary exceptions for wrong tags
        raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def names(tree: dict, source: Path) -> list[str]:
    """The class names: "names", a list or a dict from id, or classes.txt. Raises Refusal."""
    found = tree.get("names")
    if found is None and (source / "classes.txt").exists():
        found = read_lines(source / "classes.txt")
    if isinstance(found, dict) and set(found) == set(range(len(found))):
        found = [found[index] for index in range(len(found))]
    if not isinstance(found, list) or not found or not all(isinstance(n, str) for n in found):
        raise Refusal(f"{source / 'data.yaml'} has no names: write names: [cat, dog] in it")
    return distinct(found)


def split_places(tree: dict, source: Path) -> dict[Path, str]:
    """From folder or image to its split, from the entries train, val and test.

    Paths outside the source, such as absolute paths of another machine, are ignored.
    """
    bases, found = [*below(tree.get("path", "."), source), source], {}
    for key, split in SPLIT_OF.items():
        value = tree.get(key)
        for word in value if isinstance(value, list) else [value]:
            for place in (place for base in bases for place in below(word, base)):
                listed = read_lines(place) if place.suffix == ".txt" else []
                for named in [place, *chain.from_iterable(below(n, place.parent) for n in listed)]:
                    found.setdefault(named, split)
    return found


def below(word, base: Path) -> list[Path]:
    """[base / word] if that exists; a leading ../, which some tools write, is ignored."""
    if not isinstance(word, str) or PurePosixPath(word).is_absolute():
        return []
    parts = PurePosixPath(word.replace("\\", "/")).parts
    parts = list(dropwhile(lambda part: part == "..", parts))
    try:
        place = base.joinpath(*parts)
        return [place] if parts and ".." not in parts and place.exists() else []
    except (OSError, ValueError):
        return []


def distinct(found: list[str]) -> list[str]:
    if BACKGROUND in found or len(set(found)) < len(found):
        raise Refusal(f"names must be distinct and not {BACKGROUND!r}; found: {found}")
    return found


def labels_of(image: Path, source: Path) -> Path | None:
    """The label file: the path with the last images/ replaced by labels/; None without images/."""
    parts = list(image.relative_to(source).with_suffix(".txt").parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if not folders:
        return None
    parts[folders[-1]] = "labels"
    return source.joinpath(*parts)


def draw(image: Path, labels: Path, count: int) -> np.ndarray:
    """The mask (H, W) of the image with its EXIF orientation applied, as YOLO reads images.

    Polygons are drawn from the largest to the smallest. Without a label file all is background.
    """
    _, header = open_image(image)
    shape = stored_size(header)
    if orientation_of(header) >= 5:  # EXIF: from 5 on width and height are swapped
        shape = shape[::-1]
    if not labels.exists():
        return np.zeros(shape, np.int32)
    layers = []
    for line in read_lines(labels):
        id_, points = parsed(line, shape, count, labels)
        layers.append((id_ + 1, polygons_to_rle([points], shape)))
    return paint(layers, shape)


def parsed(line: str, shape, count: int, labels: Path) -> tuple[int, np.ndarray]:
    words = line.split()
    if not words[0].isascii() or not words[0].isdigit() or int(words[0][:9]) >= count:
        raise Refusal(f"{labels}: the class {words[0]!r} is not valid; needed: 0 to {count - 1}")
    if len(words) < 7 or len(words) % 2 == 0:
        raise Refusal(
            f"{labels}: {len(words) - 1} numbers after the class; needed: at least 3 pairs"
        )
    try:
        numbers = [float(word) * shape[at % 2 == 0] for at, word in enumerate(words[1:])]
    except ValueError as error:
        raise Refusal(f"{labels}: {error}") from None
    return int(words[0]), vertices(numbers, shape, labels)
