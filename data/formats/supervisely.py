"""Supervisely's format: meta.json with the classes, and ann/NAME.json beside img/NAME."""

import base64
import binascii
import io
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data.formats import Drawn, Found, Item
from data.formats.archives import opened
from data.formats.find import Images, add_images_option, folder_of_images, unlisted
from data.formats.masks import files_below, split_of
from data.formats.polygons import items_of, outline_of, read_tree, shape_in, vertices
from data.formats.regions import Layers, add_boxes_option, boxes_note, flat_note
from data.formats.selection import BACKGROUND
from data.images import MOST_PIXELS, decoded

ABOUT = """SOURCE: a project of Supervisely, a folder or zip: meta.json, and below it folders with
ann/NAME.jpg.json beside img/NAME.jpg. Polygons, with their holes, bitmaps and rectangles are drawn
in their order in the file, the later on top, as Supervisely draws them: a corner's pixel belongs to
the shape. Points, lines, graphs and cuboids have no area: the boxes around them become void (the
ignore index: neither trained on nor scored). Pixels without a shape are background. A folder called
train, val or test gives the split."""

AREAS = ("polygon", "bitmap", "rectangle")
FLAT = ("point", "line", "graph", "cuboid", "cuboid_2d")
MOST_PACKED = MOST_PIXELS // 4  # bytes of a bitmap's PNG


def add_arguments(parser) -> None:
    add_images_option(parser)
    add_boxes_option(parser)


def read(source: Path, args) -> Found:
    source = opened(source, args)
    classes = [BACKGROUND]
    files = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    for meta in [path for path in files if path.name == "meta.json"]:
        classes += titles(read_tree(meta), meta)
    classes = list(dict.fromkeys(classes))
    files = [path for path in files if path.parent.name == "ann"]
    if classes == [BACKGROUND]:
        raise Refusal(f"{source} has no meta.json with classes: it lies at the top of a project")
    if not files:
        raise Refusal(f"{source} has no folder ann/ with JSON files")
    images, items, broken, kinds = Images(folder_of_images(source, args)), [], [], []
    for path in files:
        try:
            tree = read_tree(path)
            figures = items_of(tree, "objects", path)
            kinds += [str(figure.get("geometryType"))[:40] for figure in figures]
            image = image_of(path, images)
            size = tree.get("size") if isinstance(tree.get("size"), dict) else {}
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        stated = (size.get("height"), size.get("width"))
        mask = partial(draw, figures, image, stated, classes, args.boxes, path)
        items.append(Item(image.stem, image, mask, split_of(path.relative_to(source))))
    others, odd = unlisted(images, {item.image for item in items})
    flat = flat_note(kinds, FLAT)
    notes = (*boxes_note(kinds.count("rectangle"), args), *flat, *others)
    return Found(classes, items, broken + odd, None, notes, len(items), len(kinds))


def titles(tree, path: Path) -> list[str]:
    """The names of the classes in meta.json. Raises Refusal."""
    found = [entry.get("title") for entry in items_of(tree, "classes", path)]
    if not all(isinstance(title, str) for title in found):
        raise Refusal(f"{path}: a class has no title")
    return found


def image_of(path: Path, images: Images) -> Path:
    """img/NAME.jpg of ann/NAME.jpg.json."""
    return images.find(path.stem, path.parent.parent / "img", path)


def draw(figures: list[dict], image: Path, stated, classes, boxes: str, path: Path) -> Drawn:
    """The mask (H, W), one figure after the other, the later on top."""
    layers = Layers(shape_in(image, stated, path), path, boxes)
    for number, figure in enumerate(figures):
        kind, title = figure.get("geometryType"), figure.get("classTitle")
        if title not in classes:
            raise Refusal(f"{path}: the class {str(title)[:80]!r} is not in meta.json")
        if kind in FLAT:
            layers.add_flat(points_of(figure))
            continue
        if kind not in AREAS:
            what = f"{str(kind)[:40]} {number} ({title})"
            raise Refusal(f"{path}: {what} is of a kind that is not read: {', '.join(AREAS)} are")
        if kind == "bitmap":
            rle = layers.pasted(*bitmap(figure.get("bitmap"), path))
        else:
            rle = layers.pasted(filled(figure.get("points"), kind, layers.shape, path), 0, 0)
        layers.add(classes.index(title), rle, is_box=kind == "rectangle")
    return layers.drawn(by_area=False)


def filled(points, kind: str, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool: the inside of the exterior and its edge, without the interiors and theirs."""
    points = points if isinstance(points, dict) else {}
    holes = points.get("interior", [])
    if not isinstance(holes, list):
        raise Refusal(f"{path}: the interior of a polygon is not a list of polygons")
    outline = outline_of(points.get("exterior"), shape, path).round().astype(np.int32)
    canvas = np.zeros(shape, np.uint8)
    if kind == "rectangle":
        if len(outline) != 2:
            raise Refusal(f"{path}: a rectangle needs 2 points but has {len(outline)}")
        (left, top), (right, bottom) = outline.min(0).clip(0), outline.max(0)
        canvas[top : max(0, bottom + 1), left : max(0, right + 1)] = 1
        return canvas > 0
    if len(outline) < 3:
        raise Refusal(f"{path}: a polygon needs at least 3 points but has {len(outline)}")
    cv2.fillPoly(canvas, [outline], 1)
    for hole in holes:
        inner = vertices(hole, shape, path).round().astype(np.int32)
        if len(inner) > 2:
            cv2.fillPoly(canvas, [inner], 0)
    return canvas > 0


def points_of(figure: dict) -> list:
    """The points of a shape without an area: "points", a list or the exterior, or "nodes"."""
    points, nodes = figure.get("points"), figure.get("nodes")
    if isinstance(nodes, dict):
        return [node.get("loc") for node in nodes.values() if isinstance(node, dict)]
    return points.get("exterior", []) if isinstance(points, dict) else points or []


def bitmap(packed, path: Path) -> tuple[np.ndarray, int, int]:
    """(h, w) bool, left, top of {"data": a PNG, deflated, in base64, "origin": [x, y]}."""
    packed = packed if isinstance(packed, dict) else {}
    origin = packed.get("origin")
    if not (isinstance(origin, list) and len(origin) == 2 and all(type(n) is int for n in origin)):
        raise Refusal(f"{path}: a bitmap has no origin [x, y]")
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(packed.get("data"), validate=True), MOST_PACKED)
        image = Image.open(io.BytesIO(raw), formats=("PNG",))
    except (OSError, ValueError, TypeError, binascii.Error, zlib.error) as error:
        raise Refusal(f"{path}: a bitmap is not a deflated PNG in base64") from error
    if image.width * image.height > MOST_PIXELS:
        raise Refusal(f"{path}: a bitmap of {image.width}x{image.height} pixels is too large")
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        return decoded(path, image, "RGBA")[..., 3] != 0, *origin  # opacity, as their SDK reads it
    values = decoded(path, image)
    if values.ndim != 2:
        raise Refusal(f"{path}: a bitmap has mode {image.mode}; needed: one channel, or opacity")
    return values != 0, *origin
