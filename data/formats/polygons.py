"""Polygons and runs to pixels, and JSON that may hold anything."""

import json
import math
import re
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats.masks import SPLIT_OF
from data.pictures import MOST_PIXELS

MOST_JSON = 1 << 30  # bytes
FAR = 16  # sides of the picture, beyond which a corner is no corner


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
    """(H, W) of a picture, as a file says it. Raises Refusal for what is no size."""
    if not all(type(side) is int and side > 0 for side in (height, width)):
        raise Refusal(f"{path}: {width!r} x {height!r} is no size of a picture")
    if height * width > MOST_PIXELS:
        raise Refusal(f"{path}: {width}x{height} pixels are too many; shrink it")
    return height, width


def corners(numbers, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(N, 2) x, y of [[x, y], ...] or [x, y, x, y, ...]. Raises Refusal for what is no polygon."""
    try:
        points = np.array(numbers, np.float64).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError):
        raise Refusal(f"{path}: a polygon holds something else than pairs of numbers") from None
    if not np.isfinite(points).all() or np.abs(points).max(initial=0) > FAR * max(shape):
        raise Refusal(f"{path}: a polygon leaves the picture by far")
    return points


def polygon(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, filled as COCO fills it."""
    from pycocotools import mask

    if len(points) < 3:
        return np.zeros(shape, bool)
    return mask.decode(mask.frPyObjects([points.ravel().tolist()], *shape))[..., 0].astype(bool)


def runs(segmentation: dict, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool of COCO's runs, column by column, compressed or not.

    They are counted first: pycocotools writes as far as they say.
    """
    from pycocotools import mask

    counts = segmentation.get("counts")
    if list(shape) != segmentation.get("size"):
        raise Refusal(f"{path}: runs of size {segmentation.get('size')}, the picture has {shape}")
    if isinstance(counts, str):
        counts = uncompressed(counts, path)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise Refusal(f"{path}: the counts of runs are no list of numbers")
    if sum(counts) != math.prod(shape):
        raise Refusal(f"{path}: runs of {sum(counts)} pixels, the picture has {math.prod(shape)}")
    encoded = mask.frPyObjects({"size": list(shape), "counts": counts}, *shape)
    return mask.decode(encoded).astype(bool)


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
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise Refusal(f"{path}: {name!r} leads out of {source}")
    return source / parts
