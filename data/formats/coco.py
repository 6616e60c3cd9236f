"""COCO instances: polygons and run-length encodings (RLE) in JSON."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened, refuse_links
from data.formats.find import Images
from data.formats.masks import files_below, split_of
from data.formats.polygons import (
    items_of,
    paint,
    polygons_to_rle,
    shape_in,
    split_in,
    to_rle,
    trees,
    vertices,
)
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder or zip with images and instances_*.json, or such a JSON file. train, val
or test in the name of the JSON file gives the split. Pixels without an annotation are background;
where annotations overlap, the smaller is on top; annotations with iscrowd become void (the ignore
index: neither trained on nor scored). Instances of a class are merged."""


def add_arguments(parser) -> None:
    parser.add_argument(
        "--images", metavar="FOLDER", help="folder that is searched for images (default SOURCE)"
    )


class AnnotationFile(NamedTuple):
    """A JSON file. split: of its images. place: from category id to class index."""

    path: Path
    tree: dict
    split: str | None
    place: dict[int, int]


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    images = Images([Path(args.images)] if args.images else [folder])
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
    """The items whose image is listed only once, and a message for each of the other images.

    Images listed twice are left out: each list may be incomplete, and splits must not overlap.
    """
    files = {}
    for path, item in listed:
        files.setdefault(item.image, []).append(path)
    twice = [
        f"{image} is listed {len(paths)} times, in {' and '.join(map(str, dict.fromkeys(paths)))}"
        ": list it only once, or name one JSON file as SOURCE"
        for image, paths in files.items()
        if len(paths) > 1
    ]
    return [item for _, item in listed if len(files[item.image]) == 1], twice


def annotation_files(files: list[Path], folder: Path, classes: list[str]):
    """(class names, annotation files, messages). Files may number their categories differently.

    classes: names that come before those of the categories. Raises Refusal if no file is valid.
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


def source_of(source: Path, args) -> tuple[Path, Path]:
    """(source, folder that file names are relative to); the source may be a single JSON file."""
    source = Path(source)
    if args.images and not args.links:
        refuse_links(Path(args.images))
    if source.suffix.lower() == ".json" and source.is_file():
        if not (args.images or args.links):
            refuse_links(source.parent)
        return source, source.parent
    folder = opened(source, args)
    return folder, folder


def json_files(source: Path, kind: str) -> list[Path]:
    """The JSON files with `kind` in their names, or all of them if there are none."""
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
        raise Refusal(f"{path} has no categories")
    return found


def each(file: AnnotationFile, images: Images) -> Iterator[Item | str]:
    """An item for each image, or a message if it is broken."""
    shapes, path = {}, file.path
    listed = items_of(file.tree, "images", path)
    for entry in items_of(file.tree, "annotations", path):
        shapes.setdefault(key_of(entry.get("image_id")), []).append(entry)
    if lost := shapes.pop(None, None):
        yield f"{path}: annotations that name no image: {len(lost)}"
    if shapes and shapes.keys().isdisjoint(key_of(entry.get("id")) for entry in listed):
        yield f"{path}: no annotation belongs to a listed image"
        return
    for entry in listed:
        try:
            image = images.find(entry.get("file_name"), path.parent, path, file.split)
        except Refusal as refusal:
            yield str(refusal)
            continue
        stated = (entry.get("height"), entry.get("width"))
        annotations = shapes.get(key_of(entry.get("id")), [])
        mask = partial(instances, annotations, image, stated, file.place, path)
        yield Item(image.stem, image, mask, file.split, turned=False)


def key_of(id_):
    """The id of an image, or None if it is not valid."""
    return id_ if isinstance(id_, (int, float, str)) else None


def instances(entries: list[dict], image: Path, stated, place: dict[int, int], path: Path):
    """The mask (H, W): crowds at the bottom, then instances from the largest to the smallest."""
    shape, layers = shape_in(image, stated, path), []
    for entry in entries:
        category = entry.get("category_id")
        if not isinstance(category, int) or category not in place:
            raise Refusal(
                f"{path}: {image.name} has an annotation with the unknown category {category!r}"
            )
        id_ = -1 if entry.get("iscrowd") else place[category]
        layers.append((id_, region(entry.get("segmentation"), shape, path)))
    return paint(layers, shape)


def region(segmentation, shape, path: Path) -> dict | None:
    """The area of polygons or RLE, as the RLE of pycocotools."""
    if isinstance(segmentation, dict):
        return to_rle(segmentation, shape, path)
    if not isinstance(segmentation, list):
        raise Refusal(f"{path}: a segmentation is neither polygons nor RLE")
    return polygons_to_rle([vertices(numbers, shape, path) for numbers in segmentation], shape)
