"""COCO's panoptic form: a colour a segment in PNGs, and what the segments are in JSON."""

from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.coco import Pictures, add_arguments, categories, json_files, source_of
from data.formats.masks import read_colours
from data.formats.polygons import items_of, split_in, trees

__all__ = ["ABOUT", "add_arguments", "read"]

ABOUT = """SOURCE: a folder (or zip) with pictures, panoptic_*.json and a folder of PNGs of the same
name, or such a JSON file. train, val or test in its name gives the split. Unlabelled pixels and
crowds are not scored."""


def read(source: Path, words) -> Found:
    source, folder = source_of(source)
    pictures = Pictures([Path(words.images)] if words.images else [folder])
    records, broken = trees(json_files(source, "panoptic"))
    names = {id_: name for path, tree in records for id_, name in categories(tree, path).items()}
    classes = list(dict.fromkeys(name for _, name in sorted(names.items())))
    place = {id_: classes.index(name) for id_, name in names.items()}
    items = []
    for path, tree in records:
        files = file_names(tree, path)
        for entry in items_of(tree, "annotations", path):
            if "segments_info" not in entry:
                continue  # instances, which tell no segments
            try:
                items.append(item(entry, files, path, folder, pictures, place))
            except Refusal as refusal:
                broken.append(str(refusal))
    if not items and not broken:
        raise Refusal(f"{source} holds no JSON file with segments_info")
    return Found(classes, items, broken)


def file_names(tree, path: Path) -> dict:
    """Id of a picture to its file's name."""
    return {
        image["id"]: image.get("file_name")
        for image in items_of(tree, "images", path)
        if isinstance(image.get("id"), (int, str))
    }


def item(entry: dict, files: dict, path: Path, folder: Path, pictures: Pictures, place) -> Item:
    split = split_in(path.stem)
    id_ = entry.get("image_id")
    if not isinstance(id_, (int, str)) or id_ not in files:
        raise Refusal(f"{path}: an annotation is of the picture {id_!r}, which is not listed")
    picture = pictures.find(files[id_], folder, path, split)
    drawn = png_of(entry.get("file_name"), path, folder, pictures)
    ids = partial(segments, drawn, entry.get("segments_info"), place, path)
    return Item(picture.stem, picture, ids, split, turned=False)


def png_of(name, path: Path, folder: Path, pictures: Pictures) -> Path:
    """The PNG in the folder that is called as the JSON file is, else anywhere."""
    found = pictures.find(name, folder, path, None)
    beside = path.with_suffix("") / found.name
    return beside if beside.is_file() else found


def segments(drawn: Path, infos, place: dict[int, int], path: Path) -> np.ndarray:
    """The mask (H, W) of a PNG whose colour is the segment's number, red lowest."""
    red, green, blue = (read_colours(drawn) >> shift & 255 for shift in (16, 8, 0))
    numbers = red | green << 8 | blue << 16
    known = {0: -1}
    for info in infos if isinstance(infos, list) else []:
        if isinstance(info, dict) and isinstance(info.get("id"), int):
            category = info.get("category_id")
            if not isinstance(category, int) or category not in place:
                raise Refusal(f"{path}: {drawn.name} has a segment of category {category!r}")
            known[info["id"]] = -1 if info.get("iscrowd") else place[category]
    values, where = np.unique(numbers, return_inverse=True)
    unknown = [value for value in values.tolist() if value not in known]
    if unknown:
        raise Refusal(f"{drawn} holds segment {unknown[0]}, which {path.name} does not describe")
    ids = np.array([known[value] for value in values.tolist()], np.int32)
    return ids[where].reshape(numbers.shape)
