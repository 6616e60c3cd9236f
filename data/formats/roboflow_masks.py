"""Roboflow's "Semantic Segmentation Masks": NAME.jpg, NAME_mask.png and _classes.csv."""

import csv
from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.classes import read_as, to_label_map
from data.formats.masks import files_below, images_below, read_text, split_of
from data.kinds import is_unread

ABOUT = """SOURCE: an export "Semantic Segmentation Masks" of Roboflow, a folder or zip: in train/,
valid/ and test/ images NAME.jpg, masks NAME_mask.png and _classes.csv, which names the class of
each value of the masks."""

TABLE = "_classes.csv"


def read(source: Path, args) -> Found:
    source = opened(source, args)
    tables = {path: read_table(path) for path in files_below(source) if path.name == TABLE}
    if not tables:
        raise Refusal(f"{source} contains no {TABLE}")
    (first, pairs), *others = tables.items()
    for path, other in others:
        if other != pairs:
            raise Refusal(f"{path} and {first} name different classes: import their folders alone")
    label_map = to_label_map(pairs, where=first)
    files = images_below(source)
    images = {path.with_suffix(""): path for path in files if not is_mask(path)}
    items, broken = [], []
    for path in files:
        if not is_mask(path):
            continue
        image = images.pop(path.parent / path.stem.removesuffix("_mask"), None)
        if image is None:
            broken.append(f"{path} has no image")
            continue
        split = split_of(image.relative_to(source))
        items.append(Item(image.stem, image, partial(read_as, path, label_map), split))
    broken += [f"{image} has no mask" for image in images.values()]
    return Found(label_map.classes, items, broken)


def is_mask(path: Path) -> bool:
    return path.stem.endswith("_mask") and (path.suffix.lower() == ".png" or is_unread(path))


def read_table(path: Path) -> list[tuple[int, str]]:
    """(value, class name) of every line after the header "Pixel Value, Class". Raises Refusal."""
    rows = [row for row in csv.reader(read_text(path).splitlines(), skipinitialspace=True) if row]
    header, *lines = rows or [[]]
    if [word.strip().casefold() for word in header] != ["pixel value", "class"] or not lines:
        raise Refusal(f'{path}: its first line is no "Pixel Value, Class", or no line follows')
    pairs = []
    for row in lines:
        if len(row) != 2 or not row[0].strip().isdecimal() or not row[1].strip():
            raise Refusal(f"{path}: {', '.join(row)[:80]!r} is not a value and a class")
        pairs.append((int(row[0].strip()[:9]), row[1].strip()))
    if len(dict(pairs)) < len(pairs):
        raise Refusal(f"{path} lists a value twice")
    return pairs
