"""YOLO's segmentation labels: a class and a polygon a line, as shares of width and height."""

from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.archives import opened
from data.formats import Found, Item
from data.formats.masks import ENDINGS, files_below, read_lines, read_text, split_of
from data.formats.polygons import corners, polygon
from data.pictures import open_picture
from data.selection import BACKGROUND

ABOUT = """SOURCE: a folder (or zip) with pictures below images, labels below labels, and names in
data.yaml (or another .yaml) or classes.txt. A folder called train, val or test gives the split.
What no polygon covers is background; of two the smaller lies on top."""


def read(source: Path, words) -> Found:
    source = opened(source)
    classes = names(source)
    items, broken = [], []
    for path in files_below(source):
        if path.suffix.lower() not in ENDINGS:
            continue
        labels = labels_of(path, source)
        if labels is None:
            continue
        below = path.relative_to(source)
        mask = partial(draw, path, labels, len(classes))
        items.append(Item(path.stem, path, mask, split_of(below), turned=False))
    if not items:
        raise Refusal(f"{source} holds no pictures below a folder images with labels beside it")
    return Found([BACKGROUND, *classes], items, broken)


def names(source: Path) -> list[str]:
    """Of "names" in a .yaml, a list or numbers to names, or of classes.txt. Raises Refusal."""
    import yaml

    for path in sorted([*source.glob("*.yaml"), *source.glob("*.yml")]):
        try:
            tree = yaml.safe_load(read_text(path))
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())}") from error
        found = tree.get("names") if isinstance(tree, dict) else None
        if isinstance(found, dict) and set(found) == set(range(len(found))):
            found = [found[index] for index in range(len(found))]
        if not isinstance(found, list) or not found or not all(isinstance(n, str) for n in found):
            raise Refusal(f"{path} has no names: write names: [cat, dog]")
        return unlike_background(found)
    if (source / "classes.txt").is_file():
        return unlike_background(read_lines(source / "classes.txt"))
    raise Refusal(f"{source / 'data.yaml'} is missing: write names: [cat, dog] in it")


def unlike_background(found: list[str]) -> list[str]:
    if BACKGROUND in found or len(set(found)) < len(found):
        raise Refusal(f"names must differ, from each other and from {BACKGROUND}; came: {found}")
    return found


def labels_of(picture: Path, source: Path) -> Path | None:
    """The label file: the same path with the last images replaced by labels; None elsewhere."""
    parts = list(picture.relative_to(source).with_suffix(".txt").parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if not folders:
        return None
    parts[folders[-1]] = "labels"
    return source.joinpath(*parts)


def draw(picture: Path, labels: Path, count: int) -> np.ndarray:
    """The mask (H, W), from the largest polygon to the smallest; no file is all background."""
    _, header = open_picture(picture)
    shape = (header.height, header.width)
    mask = np.zeros(shape, np.int32)
    if not labels.exists():
        return mask
    drawn = []
    for line in read_lines(labels):
        id_, points = parsed(line, shape, count, labels)
        covered = polygon(points, shape)
        drawn.append((-int(covered.sum()), id_ + 1, covered))
    for _, id_, covered in sorted(drawn, key=lambda each: each[0]):
        mask[covered] = id_
    return mask


def parsed(line: str, shape, count: int, labels: Path) -> tuple[int, np.ndarray]:
    words = line.split()
    if not words[0].isascii() or not words[0].isdigit() or int(words[0][:9]) >= count:
        raise Refusal(f"{labels}: class {words[0]!r} of {count} (0 to {count - 1})")
    if len(words) < 7 or len(words) % 2 == 0:
        raise Refusal(
            f"{labels}: {len(words) - 1} numbers after the class, a polygon has 6 or more, in pairs"
        )
    try:
        shares = [float(word) for word in words[1:]]
    except ValueError as error:
        raise Refusal(f"{labels}: {error}") from None
    return int(words[0]), corners(shares, (1, 1), labels) * [shape[1], shape[0]]
