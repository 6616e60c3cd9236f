"""Polygons and runs to pixels, and JSON that may hold anything."""

import json
import math
import re
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats.masks import SPLIT_OF
from data.images import MOST_PIXELS, open_image

MOST_JSON = 1 << 30  # bytes
FAR = 16  # sides of the image, beyond which a corner is no corner
LONGEST = 65_535  # pixels, JPEG's own limit; of longer sides FAR counts this much
MOST_OUTLINE = 2_000_000  # pixels around a polygon; pycocotools takes 80 bytes for each


def read_tree(path: Path):
    """What a JSON file holds. Raises Refusal naming the file."""
    try:
        if path.stat().st_size > MOST_JSON:
            raise Refusal(f"{path} has {path.stat().st_size >> 20} MB; split it into several")
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read: {error}") from error


def items_of(tree, key: str, path: Path) -> list[dict]:
    """The list of objects under a key; what is none of it is left out."""
    found = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(found, list):
        raise Refusal(f"{path} has no list {key!r}")
    return [entry for entry in found if isinstance(entry, dict)]


def shape_of(height, width, path: Path) -> tuple[int, int]:
    """(H, W) of an image, as a file says it. Raises Refusal for what is no size."""
    if not all(type(side) is int and side > 0 for side in (height, width)):
        raise Refusal(f"{path}: {width!r} x {height!r} is no size of an image")
    if height * width > MOST_PIXELS:
        raise Refusal(f"{path}: {width}x{height} pixels are too many; shrink it")
    return height, width


def shape_in(image: Path, said: tuple, path: Path) -> tuple[int, int]:
    """(H, W) of an image, which must be what the file `path` says of it, turned or not.

    said: (height, width), both None where the file says nothing.
    """
    _, header = open_image(image)
    found = (header.height, header.width)
    if said == (None, None):
        return found
    shape = shape_of(*said, path)
    if shape not in (found, found[::-1]):
        raise Refusal(
            f"{path} is of {shape[0]}x{shape[1]} (HxW), {image.name} is {found[0]}x{found[1]}"
        )
    return shape


def corners(numbers, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(N, 2) x, y of [[x, y], ...] or [x, y, x, y, ...]. Raises Refusal for what is no polygon."""
    try:
        points = np.array(numbers, np.float64)
        points = points.reshape(-1, 2) if points.ndim == 1 else points
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise Refusal(f"{path}: a polygon holds something else than pairs of numbers") from None
    if not np.abs(points).max(initial=0) <= FAR * min(max(shape), LONGEST):
        raise Refusal(f"{path}: a polygon leaves the image by far")
    around = np.hypot(*(points - np.roll(points, 1, 0)).T).sum()
    if around > MOST_OUTLINE:
        raise Refusal(f"{path}: a polygon is {int(around)} pixels around, the most {MOST_OUTLINE}")
    return points


def outlined(polygons: list[np.ndarray], shape: tuple[int, int]) -> dict | None:
    """What polygons cover together, as pycocotools keeps it; None where it is nothing."""
    from pycocotools import mask

    flat = [points.ravel().tolist() for points in polygons if len(points) > 2]
    return mask.merge(mask.frPyObjects(flat, *shape)) if flat else None


def painted(layers: list[tuple[int, dict | None]], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) int32: id by id what it covers, -1 lowest, then from the largest to the smallest.

    Decoded one by one: a hundred of them would not fit into memory.
    """
    from pycocotools import mask

    painted_, seen = np.zeros(shape, np.int32), [layer for layer in layers if layer[1]]
    for id_, covered in sorted(seen, key=lambda layer: (layer[0] != -1, -int(mask.area(layer[1])))):
        painted_[mask.decode(covered) > 0] = id_
    return painted_


def runs(segmentation: dict, shape: tuple[int, int], path: Path) -> dict:
    """COCO's runs, column by column, compressed or not, as pycocotools keeps them.

    They are counted first: pycocotools writes as far as they say.
    """
    from pycocotools import mask

    counts = segmentation.get("counts")
    if list(shape) != segmentation.get("size"):
        raise Refusal(f"{path}: runs of size {segmentation.get('size')}, the image has {shape}")
    if isinstance(counts, str):
        counts = uncompressed(counts, path)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise Refusal(f"{path}: the counts of runs are no list of numbers")
    if sum(counts) != math.prod(shape):
        raise Refusal(f"{path}: runs of {sum(counts)} pixels, the image has {math.prod(shape)}")
    return mask.frPyObjects({"size": list(shape), "counts": counts}, *shape)


def uncompressed(text: str, path: Path) -> list[int]:
    """COCO's compressed counts: 5 bits a character from 48 on, the sixth says that more follow;
    from the third number on the difference to the one before the last (maskApi.c)."""
    counts, value, shift = [], 0, 0
    for byte in text.encode("utf-8", "replace"):
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 30:
            raise Refusal(f"{path}: the compressed counts of runs are damaged")
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
    """The split that a word of a file's name says: instances_train2017 is of train."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), None)


def trees(files: list[Path]) -> tuple[list[tuple[Path, dict]], list[str]]:
    """(path, content) of the JSON files that hold annotations; what is wrong with others.

    Raises Refusal when none does.
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
    if not found:
        raise Refusal(broken[0] if broken else "no JSON file there holds annotations")
    return found, broken


def inside(source: Path, name, path: Path) -> Path:
    """source / name. Raises Refusal for a name that leaves the source."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise Refusal(f"{path}: {name!r} is no file name")
    parts = Path(name.replace("\\", "/"))
    if not parts.name:
        raise Refusal(f"{path}: {name!r} is no file name")
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise Refusal(f"{path}: {name!r} leads out of its folder")
    return source / parts
