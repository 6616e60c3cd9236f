"""Rasterises polygons and run-length encodings (RLE), and reads untrusted JSON."""

import json
import math
import re
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats.masks import SPLIT_OF
from data.images import MOST_PIXELS, open_image, stored_size
from files import read_regular

MOST_JSON = 1 << 30  # bytes
FAR = 16  # image sides, the largest valid coordinate of a vertex
LONGEST = 65_535  # pixels, JPEG's limit: FAR is a multiple of at most this side
MOST_OUTLINE = 2_000_000  # pixels, perimeter; pycocotools allocates 80 bytes for each


def read_tree(path: Path):
    """The content of a JSON file. Raises Refusal that names the file."""
    try:
        return json.loads(read_regular(path, MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read: {error}") from error


def items_of(tree, key: str, path: Path) -> list[dict]:
    """The objects in the list under a key. Raises Refusal for anything else in it."""
    found = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(found, list):
        raise Refusal(f"{path} has no list {key!r}")
    odd = next((at for at, entry in enumerate(found) if not isinstance(entry, dict)), None)
    if odd is not None:
        raise Refusal(f"{path} is damaged: entry {odd} of {key!r} is no object")
    return found


def shape_of(height, width, path: Path) -> tuple[int, int]:
    """(H, W) of an image as stated in a file. Raises Refusal if it is not valid."""
    if not all(type(side) is int and side > 0 for side in (height, width)):
        raise Refusal(f"{path}: {width!r} x {height!r} is not an image size")
    if height * width > MOST_PIXELS:
        raise Refusal(f"{path}: an image of {width}x{height} pixels is too large; shrink it")
    return height, width


def shape_in(image: Path, stated: tuple, path: Path) -> tuple[int, int]:
    """(H, W) of an image as stated in the file `path`; it must match the image, rotated or not.

    stated: (height, width), both None if the file does not state them.
    """
    _, header = open_image(image)
    found = stored_size(header)
    if stated == (None, None):
        return found
    shape = shape_of(*stated, path)
    if shape not in (found, found[::-1]):
        raise Refusal(
            f"{path} states {shape[0]}x{shape[1]} (HxW), but {image.name} is {found[0]}x{found[1]}"
        )
    return shape


def vertices(numbers, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(N, 2) x, y from [[x, y], ...] or [x, y, x, y, ...]. Raises Refusal for anything else."""
    try:
        points = np.array(numbers, np.float64)
        points = points.reshape(-1, 2) if points.ndim == 1 else points
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise Refusal(f"{path}: a polygon does not consist of pairs of numbers") from None
    if not np.abs(points).max(initial=0) <= FAR * min(max(shape), LONGEST):
        raise Refusal(f"{path}: a polygon extends far beyond the image")
    perimeter = np.hypot(*(points - np.roll(points, 1, 0)).T).sum()
    if perimeter > MOST_OUTLINE:
        raise Refusal(
            f"{path}: a polygon has a perimeter of {int(perimeter)} pixels; "
            f"needed: at most {MOST_OUTLINE}"
        )
    return points


def outline_of(numbers, shape: tuple[int, int], path: Path) -> np.ndarray:
    """`vertices` of a polygon in pixels. Raises Refusal for one of fractions of the image's size,
    which would be a dot in its corner."""
    points = vertices(numbers, shape, path)
    if len(points) > 2 and points.min() >= 0 and points.max() <= 1 and (points % 1).any():
        raise Refusal(f"{path}: all corners of a polygon are from 0 to 1; needed: pixels, not "
                      "fractions of width and height")  # fmt: skip
    return points


def polygons_to_rle(polygons: list[np.ndarray], shape: tuple[int, int]) -> dict | None:
    """The union of polygons as pycocotools' RLE; None if no polygon has an area."""
    from pycocotools import mask

    flat = [points.ravel().tolist() for points in polygons if len(points) > 2]
    return mask.merge(mask.frPyObjects(flat, *shape)) if flat else None


def paint(layers: list[tuple[int, dict | None]], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) int32 from (id, RLE) layers: -1 at the bottom, then from the largest to the smallest.

    They are decoded one by one, because a hundred decoded layers may not fit into memory.
    """
    from pycocotools import mask

    canvas, filled = np.zeros(shape, np.int32), [layer for layer in layers if layer[1]]
    for id_, rle in sorted(filled, key=lambda layer: (layer[0] != -1, -int(mask.area(layer[1])))):
        canvas[mask.decode(rle) > 0] = id_
    return canvas


def to_rle(segmentation: dict, shape: tuple[int, int], path: Path) -> dict:
    """COCO's RLE, column-major, compressed or not, as pycocotools' RLE.

    The counts are checked first: pycocotools writes past the image if they are too large.
    """
    from pycocotools import mask

    counts = segmentation.get("counts")
    if list(shape) != segmentation.get("size"):
        raise Refusal(
            f"{path}: an RLE has the size {segmentation.get('size')}, but the image has {shape}"
        )
    if isinstance(counts, str):
        counts = decode_counts(counts, path)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise Refusal(f"{path}: the counts of an RLE are not a list of numbers")
    if sum(counts) != math.prod(shape):
        raise Refusal(f"{path}: an RLE has {sum(counts)} pixels, the image {math.prod(shape)}")
    return mask.frPyObjects({"size": list(shape), "counts": counts}, *shape)


def decode_counts(text: str, path: Path) -> list[int]:
    """Decodes COCO's compressed RLE counts, as in maskApi.c.

    Each character, less 48, has 5 bits of a count; the sixth bit marks that more follow. From the
    third on, a count is stored as the difference to the one two before it.
    """
    counts, value, shift = [], 0, 0
    for byte in text.encode("utf-8", "replace"):
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 30:
            raise Refusal(f"{path}: the compressed counts of an RLE are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts


def split_in(name: str) -> str | None:
    """The split named by a word in a file name: "train" for instances_train2017."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), None)


def trees(files: list[Path]) -> tuple[list[tuple[Path, dict]], list[str]]:
    """(path, content) of the JSON files with annotations, and messages about unreadable files.

    Raises Refusal if no file has annotations.
    """
    found, broken = [], []
    for path in files:
        try:
            tree = read_tree(path)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        if isinstance(tree, dict) and "annotations" in tree:
            found.append((path, tree))
        elif isinstance(tree, dict) and isinstance(tree.get("items"), list):
            broken.append(f"{path} is of Datumaro: export COCO or CVAT's XML in its place")
    if not found:
        raise Refusal(broken[0] if broken else "no JSON file in SOURCE contains annotations")
    return found, broken
