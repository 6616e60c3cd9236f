"""COCO's instances: polygons and runs in JSON."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.masks import files_below, split_of
from data.formats.polygons import (
    corners,
    inside,
    items_of,
    outlined,
    painted,
    runs,
    shape_in,
    split_in,
    trees,
)
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder (or zip) with images and instances_*.json, or such a JSON file.
train, val or test in the file's name gives the split. What no polygon covers is background; of two
the smaller lies on top; crowds are not scored."""


def add_arguments(parser) -> None:
    parser.add_argument(
        "--images", metavar="FOLDER", help="where the images are (default SOURCE and below)"
    )


class Images:
    """The files below some folders, found by what a JSON file calls them."""

    def __init__(self, folders: list[Path]):
        self.by_name = {}
        for folder in folders:
            for path in files_below(folder):
                self.by_name.setdefault(path.name, []).append(path)

    def find(self, name, near: Path, json_file: Path, split: str | None = None) -> Path:
        """Of several, the one whose path ends as the name does, that lies in `near`, or in a folder
        of the split. Raises Refusal when there is none, and when there are several still."""
        tail = inside(near, name, json_file).relative_to(near).parts
        paths = self.by_name.get(tail[-1], [])
        for fits in (
            lambda path: path.parts[-len(tail) :] == tail,
            lambda path: path == near.joinpath(*tail),
            lambda path: split and split_of(path) == split,
        ):
            paths = list(filter(fits, paths)) or paths
        if not paths:
            raise Refusal(f"{json_file}: the image {name} is not there")
        if len(paths) > 1:
            raise Refusal(f"{json_file}: which {name} is meant, {paths[0]} or {paths[1]}?")
        return paths[0]


class AnnotationFile(NamedTuple):
    """A JSON file. split: of the images in it. place: id of a category to that of its class."""

    path: Path
    tree: dict
    split: str | None
    place: dict[int, int]


def read(source: Path, words) -> Found:
    source, folder = source_of(source)
    images = Images([Path(words.images)] if words.images else [folder])
    classes, annotated, broken = annotation_files(
        json_files(source, "instances"), folder, [BACKGROUND]
    )
    listed = []
    for file in annotated:
        for found in each(file, images):
            if isinstance(found, str):
                broken.append(found)
            else:
                listed.append((file.path, found))
    items, twice = listed_once(listed)
    return Found(classes, items, broken + twice)


def listed_once(listed: list[tuple[Path, Item]]) -> tuple[list[Item], list[str]]:
    """Of (JSON file, item) the items, without images that are listed again, and a line for each
    of those: each list may lack what the other has, and two splits must not share an image."""
    files = {}
    for path, item in listed:
        files.setdefault(item.image, []).append(path)
    twice = [
        f"{image} is listed {len(paths)} times, in {' and '.join(map(str, dict.fromkeys(paths)))}"
        ": leave it in one place, or name one JSON file as SOURCE"
        for image, paths in files.items()
        if len(paths) > 1
    ]
    return [item for _, item in listed if len(files[item.image]) == 1], twice


def annotation_files(files: list[Path], folder: Path, classes: list[str]):
    """(class names, annotated, what is broken). A number may mean another category in each file.

    classes: those that stand before the categories'. Raises Refusal when no file is sound.
    """
    found, broken = trees(files)
    named = []
    for path, tree in found:
        try:
            named.append((path, tree, categories(tree, path)))
        except Refusal as refusal:
            broken.append(str(refusal))
    if not named:
        raise Refusal(broken[0])
    everything = sorted(pair for *_, names in named for pair in names.items())
    classes = list(dict.fromkeys([*classes, *(name for _, name in everything)]))
    at = {name: index for index, name in enumerate(classes)}
    annotated = [
        AnnotationFile(
            path,
            tree,
            split_in(path.stem) or split_of(path.relative_to(folder)),
            {id_: at[name] for id_, name in names.items()},
        )
        for path, tree, names in named
    ]
    return classes, annotated, broken


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


def each(file: AnnotationFile, images: Images) -> Iterator[Item | str]:
    """An item an image, or what is broken about it."""
    shapes, path = {}, file.path
    listed = items_of(file.tree, "images", path)
    for entry in items_of(file.tree, "annotations", path):
        shapes.setdefault(key_of(entry.get("image_id")), []).append(entry)
    shapes.pop(None, None)
    if shapes and shapes.keys().isdisjoint(key_of(entry.get("id")) for entry in listed):
        yield f"{path}: no annotation is of an image that is listed"
        return
    for entry in listed:
        try:
            image = images.find(entry.get("file_name"), path.parent, path, file.split)
        except Refusal as refusal:
            yield str(refusal)
            continue
        said = (entry.get("height"), entry.get("width"))
        drawn = shapes.get(key_of(entry.get("id")), [])
        mask = partial(instances, drawn, image, said, file.place, path)
        yield Item(image.stem, image, mask, file.split, turned=False)


def key_of(id_):
    """An image's id, or None for what cannot be one."""
    return id_ if isinstance(id_, (int, float, str)) else None


def instances(entries: list[dict], image: Path, said, place: dict[int, int], path: Path):
    """The mask (H, W): crowds below, then from the largest to the smallest."""
    shape, layers = shape_in(image, said, path), []
    for entry in entries:
        category = entry.get("category_id")
        if not isinstance(category, int) or category not in place:
            raise Refusal(f"{path}: {image.name} has an annotation of category {category!r}")
        id_ = -1 if entry.get("iscrowd") else place[category]
        layers.append((id_, region(entry.get("segmentation"), shape, path)))
    return painted(layers, shape)


def region(segmentation, shape, path: Path) -> dict | None:
    """What polygons or runs cover, as pycocotools keeps it."""
    if isinstance(segmentation, dict):
        return runs(segmentation, shape, path)
    if not isinstance(segmentation, list):
        raise Refusal(f"{path}: a segmentation is neither polygons nor runs")
    return outlined([corners(numbers, shape, path) for numbers in segmentation], shape)
