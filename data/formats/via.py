"""VGG Image Annotator (VIA 1 and 2): a JSON file with the regions of all images."""

import math
from collections import Counter
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from cli import Refusal, one_of
from data.formats import Drawn, Found, Item
from data.formats.coco import json_files, source_of
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    unlisted,
)
from data.formats.masks import split_of
from data.formats.polygons import read_tree
from data.formats.regions import (
    Layers,
    add_boxes_option,
    boxes_note,
    flat_note,
    upright_shape,
)
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder or zip with images and the JSON file of VGG Image Annotator 1 or 2, a
saved project or exported annotations, or such a JSON file. Polygons, rectangles, circles and
ellipses are drawn, the smaller on top where they overlap; points and polylines have no area: the
boxes around them become void (the ignore index: neither trained on nor scored). The class of a
region is the value of its attribute: the only one there is, or the one that --attribute names.
Images without a region are background only. A folder called train, val or test gives the split.
Sizes are those of the images as browsers show them."""

FLAT = ("point", "polyline")


def add_arguments(parser) -> None:
    add_images_option(parser)
    parser.add_argument(
        "--attribute", metavar="NAME", help="region attribute whose value is the class"
    )
    parser.add_argument(
        "--object", metavar="NAME", help="all regions are of one class, called NAME"
    )
    add_boxes_option(parser)


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    images = Images(folder_of_images(folder, args))
    listed, broken = [], []
    files, notes = json_files(source, "via")
    for path in files:
        try:
            listed += [(path, entry, regions_of(entry, path)) for entry in entries_of(path)]
        except Refusal as refusal:
            broken.append(str(refusal))
    if not listed:
        why = f"{source} has no JSON file. VIA's CSV is not read: export the annotations as JSON"
        raise Refusal(broken[0] if broken else why)
    regions = [(path, region) for path, _, found in listed for region in found]
    name = None if args.object else attribute_of(regions, args)
    labels = {args.object} if args.object else {label_of(region, name) for _, region in regions}
    classes = [BACKGROUND, *sorted(labels - {BACKGROUND, None})]
    found = []
    for path, entry, own in listed:
        try:
            image = images.find(file_name(entry, path), path.parent, path)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        labelled = [(args.object or label_of(region, name), region) for region in own]
        mask = partial(draw, labelled, image, classes, args.boxes, path)
        split = split_of(image.relative_to(images.folder))
        found.append((path, Item(image.stem, image, mask, split)))
    items, twice = listed_once(found)
    kinds = [shape_of(region).get("name") for _, region in regions]
    flat = flat_note(kinds, FLAT)
    others, odd = unlisted(images, {item.image for _, item in found})
    notes = (*notes, *boxes_note(kinds.count("rect"), args), *flat, *others)
    files = {path for path, *_ in listed}
    return Found(classes, items, broken + twice + odd, None, notes, len(files), len(regions))


def entries_of(path: Path) -> list[dict]:
    """The images of a JSON file: a saved project or exported annotations. Raises Refusal."""
    tree = read_tree(path)
    if isinstance(tree, dict) and isinstance(tree.get("_via_img_metadata"), dict):
        tree = tree["_via_img_metadata"]
    if isinstance(tree, dict) and {"project", "metadata"} <= tree.keys():
        raise Refusal(f"{path} is of VIA 3; needed: the JSON of VIA 2, or export COCO from VIA 3")
    entries = list(tree.values()) if isinstance(tree, dict) else []
    if not entries or not all(isinstance(e, dict) and "regions" in e for e in entries):
        raise Refusal(f"{path} is no JSON file of VGG Image Annotator")
    return entries


def regions_of(entry: dict, path: Path) -> list[dict]:
    """The regions of an image: a list in VIA 2, a table by number in VIA 1."""
    found = entry["regions"]
    found = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(found, list) or not all(isinstance(region, dict) for region in found):
        raise Refusal(f"{path}: the regions of {str(entry.get('filename'))[:80]} are damaged")
    return found


def attributes(region: dict) -> dict:
    found = region.get("region_attributes")
    return found if isinstance(found, dict) else {}


def shape_of(region: dict) -> dict:
    found = region.get("shape_attributes")
    return found if isinstance(found, dict) else {}


def attribute_of(regions: list[tuple[Path, dict]], args) -> str | None:
    """The name of the attribute that gives the class. Raises Refusal unless one remains."""
    counts = Counter(name for _, region in regions for name in attributes(region))
    if args.attribute:
        return one_of(args.attribute, counts, "region attribute")
    if len(counts) > 1:
        names = ", ".join(f"{name} ({n} regions)" for name, n in counts.most_common(12))
        raise Refusal(f"regions have several attributes: {names}. Add --attribute NAME")
    if regions and not counts:
        raise Refusal(
            f"{regions[0][0]}: no region has an attribute that names its class. Add --object NAME "
            "if all regions are of one class"
        )
    return next(iter(counts), None)


def label_of(region: dict, name: str) -> str | None:
    """The class of a region: text, or the one checked box of several; None without any."""
    value = attributes(region).get(name)
    if isinstance(value, dict):
        checked = [key for key, on in value.items() if on is True]
        value = checked[0] if len(checked) == 1 else None
    if type(value) is int:
        value = str(value)
    return value.strip() or None if isinstance(value, str) else None


def file_name(entry: dict, path: Path) -> str:
    """The name of an image; of an address on the web, the last part."""
    name = entry.get("filename")
    if not isinstance(name, str) or not name:
        raise Refusal(f"{path}: an image has no filename")
    if "://" in name:
        name = PurePosixPath(unquote(urlsplit(name).path)).name
    return name


def draw(labelled: list[tuple], image: Path, classes: list[str], boxes: str, path: Path) -> Drawn:
    """The mask (H, W) of the image with its EXIF orientation applied, the smaller on top."""
    layers = Layers(upright_shape(image), path, boxes)
    for number, (label, region) in enumerate(labelled):
        shape = shape_of(region)
        kind = shape.get("name")
        what = f"{image.name}, {str(kind)[:40]} {number} ({label})"
        if kind in FLAT:
            layers.add_flat(points_in(shape, path))
            continue
        rle = outline(kind, shape, layers, path)
        if label is None:
            layers.skip(f"{what} has no class, or several: its pixels are void", rle)
        else:
            layers.add(classes.index(label), rle, is_box=kind == "rect")
    return layers.drawn(by_area=True)


def outline(kind, shape: dict, layers: Layers, path: Path) -> dict | None:
    if kind == "polygon":
        return layers.polygon(points_in(shape, path))
    if kind == "rect":
        left, top, width, height = layers.finite(*map(shape.get, ("x", "y", "width", "height")))
        return layers.rectangle(left, top, left + width, top + height)
    if kind == "circle":
        return layers.ellipse(*map(shape.get, ("cx", "cy", "r", "r")))
    if kind == "ellipse":
        (turn,) = layers.finite(shape.get("theta", 0))  # radians; VIA 1 has none
        return layers.ellipse(*map(shape.get, ("cx", "cy", "rx", "ry")), math.degrees(turn))
    raise Refusal(f"{path}: unknown shape {str(kind)[:40]!r}")


def points_in(shape: dict, path: Path) -> list[list]:
    """[[x, y], ...] of a polygon, a polyline or a point. Raises Refusal."""
    if shape.get("name") == "point":
        return [[shape.get("cx"), shape.get("cy")]]
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not (isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys)):
        raise Refusal(f"{path}: a {shape.get('name')} needs as many x as y")
    return [list(point) for point in zip(xs, ys, strict=True)]
