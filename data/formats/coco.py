"""COCO's instances: polygons and runs in JSON."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.archives import opened
from data.formats import Found, Item
from data.formats.masks import files_below, split_of
from data.formats.polygons import (
    corners,
    inside,
    items_of,
    polygon,
    runs,
    shape_of,
    split_in,
    trees,
)
from data.selection import BACKGROUND

ABOUT = """SOURCE: a folder (or zip) with pictures and instances_*.json, or such a JSON file.
train, val or test in the file's name gives the split. What no polygon covers is background; of two
the smaller lies on top; crowds are not scored."""


def add_arguments(parser) -> None:
    parser.add_argument(
        "--images", metavar="FOLDER", help="where the pictures are (default SOURCE and below)"
    )


class Pictures:
    """The files below some folders, found by what a JSON file calls them."""

    def __init__(self, folders: list[Path]):
        self.by_name = {}
        for folder in folders:
            for path in files_below(folder):
                self.by_name.setdefault(path.name, []).append(path)

    def find(self, name, source: Path, json_file: Path, split: str | None) -> Path:
        """Raises Refusal. Of several the one whose path ends as the name does, then its split's."""
        wanted = inside(source, name, json_file)
        paths = self.by_name.get(wanted.name, [])
        tail = wanted.relative_to(source).parts
        paths = [path for path in paths if path.parts[-len(tail) :] == tail] or paths
        of_split = [path for path in paths if split and split_of(path) == split]
        if not paths:
            raise Refusal(f"{json_file}: the picture {name} is not there")
        return (of_split or paths)[0]


def read(source: Path, words) -> Found:
    source, folder = source_of(source)
    pictures = Pictures([Path(words.images)] if words.images else [folder])
    records, broken = trees(json_files(source, "instances"))
    names = {id_: name for path, tree in records for id_, name in categories(tree, path).items()}
    others = (name for _, name in sorted(names.items()) if name != BACKGROUND)
    classes = [BACKGROUND, *dict.fromkeys(others)]
    place = {id_: classes.index(name) for id_, name in names.items()}
    items = []
    for path, tree in records:
        for found in each(path, tree, folder, pictures, place):
            (broken if isinstance(found, str) else items).append(found)
    return Found(classes, items, broken)


def source_of(source: Path) -> tuple[Path, Path]:
    """(the source, the folder that names start from); a JSON file is a source of its own."""
    source = Path(source)
    if source.suffix.lower() == ".json" and source.is_file():
        return source, source.parent
    folder = opened(source)
    return folder, folder


def json_files(source: Path, kind: str) -> list[Path]:
    """Those of a kind by name, else all."""
    if source.is_file():
        return [source]
    found = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    return [path for path in found if kind in path.name] or found


def categories(tree, path: Path) -> dict[int, str]:
    found = {
        entry["id"]: entry["name"]
        for entry in items_of(tree, "categories", path)
        if type(entry.get("id")) is int and isinstance(entry.get("name"), str)
    }
    if not found:
        raise Refusal(f"{path} names no category")
    return found


def each(path, tree, folder, pictures, place) -> Iterator[Item | str]:
    """An item a picture, or what is broken about it."""
    shapes = {}
    for entry in items_of(tree, "annotations", path):
        if isinstance(entry.get("image_id"), (int, str)):
            shapes.setdefault(entry["image_id"], []).append(entry)
    split = split_in(path.stem)
    for image in items_of(tree, "images", path):
        try:
            picture = pictures.find(image.get("file_name"), folder, path, split)
            shape = shape_of(image.get("height"), image.get("width"), path)
        except Refusal as refusal:
            yield str(refusal)
            continue
        id_ = image.get("id")
        drawn = shapes.get(id_, []) if isinstance(id_, (int, str)) else []
        mask = partial(instances, drawn, shape, place, path, picture.name)
        yield Item(picture.stem, picture, mask, split, turned=False)


def instances(entries: list[dict], shape, place: dict[int, int], path: Path, name: str):
    """The mask (H, W): crowds below, then from the largest to the smallest."""
    mask = np.zeros(shape, np.int32)
    drawn = []
    for entry in entries:
        category, crowd = entry.get("category_id"), entry.get("iscrowd")
        if not isinstance(category, int) or category not in place:
            raise Refusal(f"{path}: {name} has an annotation of category {category!r}, unknown")
        covered = region(entry.get("segmentation"), shape, path)
        drawn.append((not crowd, -int(covered.sum()), -1 if crowd else place[category], covered))
    for *_, id_, covered in sorted(drawn, key=lambda each: each[:2]):
        mask[covered] = id_
    return mask


def region(segmentation, shape, path: Path) -> np.ndarray:
    """(H, W) bool of polygons or runs."""
    if isinstance(segmentation, dict):
        return runs(segmentation, shape, path)
    if not isinstance(segmentation, list):
        raise Refusal(f"{path}: a segmentation is neither polygons nor runs")
    covered = np.zeros(shape, bool)
    for numbers in segmentation:
        covered |= polygon(corners(numbers, shape, path), shape)
    return covered
