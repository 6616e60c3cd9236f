"""COCO panoptic: PNGs with one colour per segment, and JSON that describes the segments."""

from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.coco import (
    AnnotationFile,
    add_arguments,
    annotation_files,
    json_files,
    key_of,
    listed_once,
    source_of,
)
from data.formats.find import Images
from data.formats.polygons import items_of, shape_in
from data.formats.values import read_colours
from data.images import open_image

__all__ = ["ABOUT", "add_arguments", "read"]

ABOUT = """SOURCE: a folder or zip with images, panoptic_*.json and a folder of PNGs of the same
name, or such a JSON file. train, val or test in the name of the JSON file gives the split.
Unlabelled pixels and annotations with iscrowd become void (the ignore index: neither trained on
nor scored)."""


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    images = Images([Path(args.images)] if args.images else [folder])
    pngs = Images([folder])
    found = annotation_files(json_files(source, "panoptic"), folder, [])
    classes, annotated, broken = found
    listed = []
    for file in annotated:
        names = file_names(file.tree, file.path)
        for entry in items_of(file.tree, "annotations", file.path):
            if "segments_info" not in entry:
                continue  # an instance annotation
            try:
                listed.append((file.path, item(entry, names, file, images, pngs)))
            except Refusal as refusal:
                broken.append(str(refusal))
    if not listed and not broken:
        raise Refusal(f"{source} contains no JSON file with segments_info")
    items, twice = listed_once(listed)
    return Found(classes, items, broken + twice)


def file_names(tree, path: Path) -> dict:
    """From image id to file name."""
    return {
        key_of(image.get("id")): image.get("file_name") for image in items_of(tree, "images", path)
    }


def item(entry: dict, names: dict, file: AnnotationFile, images: Images, pngs: Images) -> Item:
    path, id_ = file.path, entry.get("image_id")
    if key_of(id_) is None or key_of(id_) not in names:
        raise Refusal(f"{path}: an annotation belongs to the image {id_!r}, which is not listed")
    image = images.find(names[key_of(id_)], path.parent, path, file.split)
    png = pngs.find(entry.get("file_name"), path.with_suffix(""), path)
    ids = partial(segments, png, image, entry.get("segments_info"), file.place, path)
    return Item(image.stem, image, ids, file.split, turned=False)


def segments(png: Path, image: Path, infos, place: dict[int, int], path: Path) -> np.ndarray:
    """The mask (H, W) of a PNG whose colours encode segment ids: R + 256 G + 65536 B."""
    _, header = open_image(png)
    shape_in(image, (header.height, header.width), png)  # checked before decoding
    colours = read_colours(png)  # 0xRRGGBB
    numbers = colours >> 16 | colours & 0xFF00 | (colours & 255) << 16
    known = {0: -1}
    for info in infos if isinstance(infos, list) else []:
        if isinstance(info, dict) and isinstance(info.get("id"), int):
            category = info.get("category_id")
            if not isinstance(category, int) or category not in place:
                raise Refusal(
                    f"{path}: {png.name} has a segment with the unknown category {category!r}"
                )
            known[info["id"]] = -1 if info.get("iscrowd") else place[category]
    values = np.unique(numbers)
    unknown = [value for value in values.tolist() if value not in known]
    if unknown:
        raise Refusal(f"{png} contains the segment {unknown[0]}, which is missing from {path.name}")
    ids = np.array([known[value] for value in values.tolist()], np.int32)
    return ids[np.searchsorted(values, numbers)]
