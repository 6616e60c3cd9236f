"""The objects of COCO's JSON: outlines, boxes without one, and crowds."""

import math
from collections import Counter
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Drawn, Objects
from data.formats.polygons import (
    items_of,
    outline_of,
    paint,
    polygons_to_rle,
    shape_in,
    to_rle,
    vertices,
)
from data.formats.regions import NEAR

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
        lines = [around(vertices(part, shape, path)) for part in short_parts(entry) if area]
        layers += [(-1, box_of(box, shape, f"{path}: {image.name}")) for box in lines]
        if area is None:
            box = entry.get("bbox") or around(key_points(entry, shape, path))
            layers.append((-1, box_of(box, shape, f"{path}: {image.name}")))
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
    if is_one_polygon(segmentation):
        segmentation = [segmentation]
    return polygons_to_rle([outline_of(numbers, shape, path) for numbers in segmentation], shape)


def is_one_polygon(segmentation: list) -> bool:
    """Whether a list is not of polygons but of the numbers of one, or of its corners."""
    if all(isinstance(number, (int, float)) for number in segmentation):
        return True
    pairs = [part for part in segmentation if isinstance(part, list) and len(part) == 2]
    numbers = all(isinstance(number, (int, float)) for pair in pairs for number in pair)
    return len(pairs) == len(segmentation) > 2 and numbers


def short_parts(entry: dict) -> list[list]:
    """The parts of a segmentation that have one or two corners: they have no area."""
    parts = entry.get("segmentation")
    parts = parts if isinstance(parts, list) and not is_one_polygon(parts) else []
    return [part for part in parts if isinstance(part, list) and len(part) in (2, 4)
            and not isinstance(part[0], list)]  # fmt: skip


def key_points(entry: dict, shape, path: Path) -> np.ndarray:
    """(N, 2) x, y of the key points that are set: COCO's are x, y and 0 if it is not, 1 or 2."""
    found = entry.get("keypoints")
    rows = found if isinstance(found, list) and len(found) % 3 == 0 else []
    return vertices([row[:2] for row in zip(*[iter(rows)] * 3, strict=True) if row[2]], shape, path)


def around(points: np.ndarray) -> list[float]:
    """x, y, width and height of the box around (N, 2) points, NEAR wider; nothing without any."""
    if not len(points):
        return []
    return [*(points.min(0) - NEAR).tolist(), *(np.ptp(points, axis=0) + 2 * NEAR).tolist()]


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
        f"{path.name}: masks with iscrowd: 1 are drawn as objects ({count}), because CVAT and "
        "others set it on every brush mask and nothing in the file shows crowds; --crowds void if "
        "they are"
    ]


def short_note(tree: dict, path: Path) -> list[str]:
    """What is said of parts without an area in segmentations that have other parts."""
    entries = items_of(tree, "annotations", path)
    parts = [short_parts(entry) for entry in entries]
    mixed = [len(short) for entry, short in zip(entries, parts, strict=True)
             if 0 < len(short) < len(entry["segmentation"])]  # fmt: skip
    if not mixed:
        return []
    return [
        f"{path.name}: {sum(mixed)} parts of {len(mixed)} objects have fewer than 3 corners, as a "
        "line or a box of 4 numbers has: they are not drawn, and what is near them is void"
    ]
