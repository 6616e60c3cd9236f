"""The objects of COCO's JSON: outlines, boxes without one, and crowds."""

import math
from collections import Counter
from pathlib import Path

from cli import Refusal
from data.formats import Drawn, Objects
from data.formats.polygons import items_of, paint, polygons_to_rle, shape_in, to_rle, vertices

# Lin et al., Microsoft COCO, 2014, section 4.3: of a category's instances 10 to 15 are segmented
# one by one, the others of the image as one crowd.
GROUP = 10


def objects_of(
    entries: list[dict], image: Path, stated, place: dict[int, int], path: Path, crowd: bool
) -> Drawn:
    """The mask (H, W): void at the bottom, then objects from the largest to the smallest.

    crowd: whether masks with iscrowd are crowds; polygons with iscrowd always are.
    """
    from pycocotools import mask

    shape, layers, counts = shape_in(image, stated, path), [], Counter()
    for entry in entries:
        category = number_of(entry.get("category_id"))
        if category not in place:
            raise Refusal(f"{path}: {image.name} has an annotation with the unknown category "
                          f"{entry.get('category_id')!r}")  # fmt: skip
        area = outline(entry.get("segmentation"), shape, path)
        if area is None:
            layers.append((-1, box_of(entry.get("bbox"), shape, f"{path}: {image.name}")))
            counts["boxes"] += 1
        elif is_flagged(entry) and (crowd or not is_mask(entry)):
            layers.append((-1, area))
            counts["crowds"] += 1
        else:
            layers.append((place[category], area))
            counts["drawn" if mask.area(area) else "empty"] += 1
    return Drawn(paint(layers, shape), Objects(len(entries), **counts))


def number_of(id_) -> int | None:
    """The id of a category, a number or, as some tools write it, its text; None if it is neither"""
    if isinstance(id_, str) and id_.isascii() and id_.isdigit() and len(id_) < 10:
        return int(id_)
    return id_ if type(id_) is int else None


def is_flagged(entry: dict) -> bool:
    return entry.get("iscrowd") in (1, "1")


def is_mask(entry: dict) -> bool:
    return isinstance(entry.get("segmentation"), dict)


def outline(segmentation, shape, path: Path) -> dict | None:
    """The area of polygons or RLE, as the RLE of pycocotools; None if there is no outline."""
    if not segmentation and segmentation != 0:
        return None
    if isinstance(segmentation, dict):
        return to_rle(segmentation, shape, path)
    if not isinstance(segmentation, list):
        raise Refusal(f"{path}: a segmentation is neither polygons nor RLE")
    if all(isinstance(number, (int, float)) for number in segmentation):
        segmentation = [segmentation]  # one polygon, not in a list
    return polygons_to_rle([vertices(numbers, shape, path) for numbers in segmentation], shape)


def box_of(box, shape, where: str) -> dict | None:
    """The pixels that a box, x y width height, touches, as an RLE. Raises Refusal."""
    numbers = isinstance(box, list) and all(type(n) in (int, float) for n in box) and box
    if not (numbers and len(box) == 4 and all(map(math.isfinite, box)) and min(box[2:]) > 0):
        raise Refusal(f"{where} has an object with neither an outline nor a box: draw or remove it")
    x, y, wide, high = box
    left, top = (max(0, math.floor(n)) for n in (x, y))
    right, bottom = (min(side, math.ceil(n)) for n, side in
                     ((x + wide, shape[1]), (y + high, shape[0])))  # fmt: skip
    if left >= right or top >= bottom:
        return None
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return polygons_to_rle([vertices(corners, shape, Path(where))], shape)


def is_crowd_file(tree: dict, path: Path) -> bool:
    """Whether the annotations of a file show that iscrowd means a crowd.

    CVAT and datumaro set iscrowd on every mask that was not drawn as a polygon. It means a crowd
    where other masks do not have it, where polygons have it, or where most masks with it stand
    beside GROUP objects of their category, as in COCO.
    """
    entries = items_of(tree, "annotations", path)
    flagged = [entry for entry in entries if is_flagged(entry)]
    others = [entry for entry in entries if not is_flagged(entry)]
    if any(map(is_mask, others)) or not all(map(is_mask, flagged)):
        return True
    beside = Counter(map(place_of, others))
    return 2 * sum(beside[place_of(entry)] >= GROUP for entry in flagged) > len(flagged)


def place_of(entry: dict) -> tuple[str, str]:
    return str(entry.get("image_id")), str(entry.get("category_id"))


def crowd_note(tree: dict, path: Path) -> list[str]:
    """What is said of masks with iscrowd that are taken as objects."""
    count = sum(map(is_flagged, items_of(tree, "annotations", path)))
    if not count:
        return []
    return [
        f"{path.name}: {count} masks with iscrowd: 1 are drawn as objects, because CVAT and others "
        "set it on every brush mask and nothing in the file shows crowds; --crowds void if they are"
    ]
