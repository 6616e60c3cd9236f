"""COCO panoptic: PNGs with one colour per segment, and JSON that describes the segments."""

from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item, Objects
from data.formats.coco import (
    WAY,
    AnnotationFile,
    annotation_files,
    json_files,
    key_of,
    source_of,
)
from data.formats.coco_objects import is_flagged, number_of
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    missing,
    unlisted,
)
from data.formats.polygons import items_of, shape_in
from data.formats.values import read_colours
from data.images import open_image

ABOUT = """SOURCE: a folder or zip with images, panoptic_*.json and a folder of PNGs of the same
name, or such a JSON file. train, val or test in the name of the JSON file gives the split.
Unlabelled pixels and annotations with iscrowd become void (the ignore index: neither trained on
nor scored)."""

add_arguments = add_images_option


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    files, notes = json_files(source, "panoptic")
    images = Images(folder_of_images(folder, args), [path.with_suffix("") for path in files])
    pngs = Images(folder)
    classes, annotated, broken = annotation_files(files, folder, [])
    listed, objects = [], 0
    for file in annotated:
        names = file_names(file.tree, file.path)
        for entry in items_of(file.tree, "annotations", file.path):
            if "segments_info" not in entry:
                continue  # an instance annotation
            objects += len(segment_ids(entry["segments_info"]))
            try:
                listed.append((file.path, item(entry, names, file, images, pngs)))
            except Refusal as refusal:
                broken.append(str(refusal))
    if not listed and not broken:
        raise Refusal(f"{source} contains no JSON file with segments_info")
    items, twice = listed_once(listed, WAY)
    others, odd = unlisted(images, {item.image for _, item in listed})
    broken += twice + odd
    return Found(classes, items, broken, None, (*notes, *others), len(annotated), objects)


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
    if png == image:
        place = path.with_suffix("") / Path(entry["file_name"]).name
        raise Refusal(f"{path}: {image.name} has no mask: {missing(place)}")
    ids = partial(segments, png, image, entry.get("segments_info"), file.place, path)
    return Item(image.stem, image, ids, file.split, turned=False)


def segments(png: Path, image: Path, infos, place: dict[int, int], path: Path) -> Drawn:
    """The mask (H, W) of a PNG whose colours encode segment ids: R + 256 G + 65536 B."""
    _, header = open_image(png)
    shape_in(image, (header.height, header.width), png)  # checked before decoding
    colours = read_colours(png)  # 0xRRGGBB
    numbers = colours >> 16 | colours & 0xFF00 | (colours & 255) << 16
    known, crowds = known_segments(infos, place, f"{path}: {png.name}")
    values = np.unique(numbers).tolist()
    if unknown := [value for value in values if value not in known]:
        raise Refusal(f"{png} contains the segment {unknown[0]}, which is missing from {path.name}")
    ids = np.array([known[value] for value in values], np.int32)
    held, read = known.keys() & set(values), known.keys() - {0}
    objects = Objects(len(read), len(held - crowds - {0}), 0, len(crowds),
                      len(read - held - crowds))  # fmt: skip
    return Drawn(ids[np.searchsorted(values, numbers)], objects)


def segment_ids(infos) -> set[int]:
    """The ids of the segments, of which 0 is none."""
    infos = infos if isinstance(infos, list) else []
    ids = [info.get("id") for info in infos if isinstance(info, dict)]
    return {id_ for id_ in ids if isinstance(id_, int)} - {0}


def known_segments(infos, place: dict[int, int], where: str) -> tuple[dict[int, int], set[int]]:
    """The class index of each segment id, -1 for crowds and unlabelled pixels; the crowds' ids."""
    known, crowds = {0: -1}, set()
    for info in infos if isinstance(infos, list) else []:
        if isinstance(info, dict) and isinstance(info.get("id"), int):
            category = number_of(info.get("category_id"))
            if category not in place:
                raise Refusal(f"{where} has a segment with the unknown category "
                              f"{info.get('category_id')!r}")  # fmt: skip
            known[info["id"]] = -1 if is_flagged(info) else place[category]
            crowds |= {info["id"]} if is_flagged(info) else set()
    return known, crowds - {0}
