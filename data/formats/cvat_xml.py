"""CVAT's export format "CVAT for images 1.1": one XML file with the shapes of all images."""

from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item
from data.formats.archives import opened
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    unlisted,
)
from data.formats.masks import SPLIT_OF, files_below, split_of
from data.formats.polygons import shape_in
from data.formats.regions import Layers, add_boxes_option, boxes_note, flat_note
from data.formats.selection import BACKGROUND
from files import read_regular

ABOUT = """SOURCE: an export in the format "CVAT for images 1.1", zipped or unpacked, with images
("Save images"): annotations.xml and images/. Polygons, boxes, ellipses and masks are drawn in the
order of their z_order, then of the file; points, polylines, skeletons and cuboids have no area: the
boxes around them become void (the ignore index: neither trained on nor scored). Pixels without a
shape are background. The subset Train, Validation or Test of a project gives the split, or a folder
of that name."""

MOST_XML = 1 << 30  # bytes
MOST_DEEP = 50  # elements in each other
AREAS = ("polygon", "box", "ellipse", "mask")
FLAT = ("polyline", "points", "skeleton", "cuboid")


def add_arguments(parser) -> None:
    add_images_option(parser)
    add_boxes_option(parser)


def read(source: Path, args) -> Found:
    source = opened(source, args)
    files = [path for path in files_below(source) if path.suffix.lower() == ".xml"]
    trees, broken = [], []
    for path in files:
        try:
            tree = read_xml(path)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        if tree.tag == "annotations":
            trees.append((path, tree))
    if not trees:
        raise Refusal(broken[0] if broken else f"{source} has no XML file with <annotations>")
    classes = classes_of([tree for _, tree in trees])
    images, listed, kinds = Images(folder_of_images(source, args)), [], []
    for path, tree in trees:
        if tree.find("track") is not None:
            raise Refusal(
                f'{path} is of the format "CVAT for video": export "CVAT for images 1.1" instead'
            )
        for entry in tree.findall("image"):
            kinds += [shape.tag for shape in entry if shape.tag != "tag"]
            try:
                listed.append((path, item_of(entry, path, images, classes, args.boxes)))
            except Refusal as refusal:
                broken.append(str(refusal))
    items, twice = listed_once(listed)
    others, odd = unlisted(images, {item.image for _, item in listed})
    flat = flat_note(kinds, FLAT)
    notes = (*boxes_note(kinds.count("box"), args), *flat, *others)
    return Found(classes, items, broken + twice + odd, None, notes, len(trees), len(kinds))


def read_xml(path: Path) -> Element:
    """The root of an XML file. Raises Refusal for a DOCTYPE, which can make a few lines endless."""
    builder, parser, deep = TreeBuilder(), expat.ParserCreate(), 0

    def refuse(*_):
        raise Refusal(f"{path} has a DOCTYPE, which no export of CVAT has: remove it")

    def start(tag, attributes):
        nonlocal deep
        deep += 1
        if deep > MOST_DEEP:
            raise Refusal(f"{path} has more than {MOST_DEEP} elements in each other")
        builder.start(tag, attributes)

    def end(tag):
        nonlocal deep
        deep -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(read_regular(path, MOST_XML), True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:  # or an unknown encoding
        raise Refusal(f"{path} cannot be read: {error}") from error


def classes_of(trees: list[Element]) -> list[str]:
    """background, the labels in the order of the files, then labels that only shapes have."""
    stated, used = {}, {}
    for tree in trees:
        for label in tree.findall("meta//labels/label"):
            parts = label.findtext("parent")  # a part of a skeleton
            if (name := label.findtext("name")) and not parts:
                stated[name] = None
        for entry in tree.findall("image"):
            used |= dict.fromkeys(shape.get("label") for shape in entry if shape.tag in AREAS)
    names = [*stated, *sorted(name for name in used if name)]
    return list(dict.fromkeys([BACKGROUND, *names]))


def item_of(entry: Element, path: Path, images: Images, classes, boxes: str) -> Item:
    subset = SPLIT_OF.get(entry.get("subset", "").casefold())
    image = images.find(entry.get("name"), path.parent, path, subset)
    split = subset or split_of(image.relative_to(images.folder))
    stated = tuple(whole(entry, side, path) for side in ("height", "width"))
    mask = partial(draw, entry, image, stated, classes, boxes, path)
    return Item(image.stem, image, mask, split)


def draw(entry: Element, image: Path, stated, classes: list[str], boxes: str, path: Path) -> Drawn:
    """The mask (H, W): shapes by z_order, then as listed, the later on top."""
    layers = Layers(shape_in(image, stated, path), path, boxes)
    shapes = [shape for shape in entry if shape.tag in (*AREAS, *FLAT)]
    if odd := [child.tag for child in entry if child.tag not in (*AREAS, *FLAT, "tag")]:
        raise Refusal(f"{path}: {image.name} has an unknown shape, {odd[0][:40]!r}")
    for number, shape in sorted(
        enumerate(shapes), key=lambda pair: whole(pair[1], "z_order", path, 0)
    ):
        label = shape.get("label")
        what = f"{image.name}, {shape.tag} {number} ({label})"
        if shape.tag in FLAT:
            layers.add_flat(points_of(shape, path))
            continue
        rle = region(shape, layers, path)
        if label in classes:
            layers.add(classes.index(label), rle, is_box=shape.tag == "box")
        else:
            layers.skip(f"{what} has no label: its pixels are void", rle)
    return layers.drawn(by_area=False)


def points_of(shape: Element, path: Path) -> list[float]:
    """x, y, x, y, ... of a shape without an area: "points", or xtl1, ytl1 ... of a cuboid."""
    found = []
    for part in shape.findall("points") if shape.tag == "skeleton" else [shape]:
        if part.get("outside") == "1":  # not in the image
            continue
        if text := part.get("points"):
            found += [parsed(word, "points", path) for word in text.replace(";", ",").split(",")]
        for key in part.attrib:
            if key[0] == "x" and "y" + key[1:] in part.attrib:
                found += [number_of(part, name, path) for name in (key, "y" + key[1:])]
    return found


def region(shape: Element, layers: Layers, path: Path) -> dict | None:
    def value(key: str, missing: float | None = None) -> float:
        return number_of(shape, key, path, missing)

    if shape.tag == "polygon":
        text = shape.get("points", "").replace(";", ",")
        return layers.polygon([parsed(word, "points", path) for word in text.split(",")])
    turn = value("rotation", 0.0)
    if shape.tag == "box":
        return layers.rectangle(*map(value, ("xtl", "ytl", "xbr", "ybr")), turn)
    if shape.tag == "ellipse":
        return layers.ellipse(*map(value, ("cx", "cy", "rx", "ry")), turn)
    left, top, width, height = (whole(shape, k, path) for k in ("left", "top", "width", "height"))
    return layers.pasted(decoded(shape.get("rle", ""), height, width, path), left, top)


def decoded(text: str, height: int, width: int, path: Path) -> np.ndarray:
    """(h, w) bool from run lengths of the box row by row, the first of them outside."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and len(word) < 12 for word in words):
        raise Refusal(f"{path}: the rle of a mask is not a list of numbers")
    counts = np.array([int(word) for word in words], np.int64)
    if height < 1 or width < 1 or counts.sum() != height * width:
        raise Refusal(
            f"{path}: the rle of a mask has {counts.sum()} pixels, its box {height * width}"
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)


def whole(shape: Element, key: str, path: Path, missing: int | None = None) -> int:
    """A whole number; CVAT writes some as 12.0."""
    found = number_of(shape, key, path, missing)
    if found != int(found):
        raise Refusal(f"{path}: {key} is {found}; needed: a whole number")
    return int(found)


def number_of(shape: Element, key: str, path: Path, missing: float | None = None) -> float:
    text = shape.get(key)
    return missing if text is None and missing is not None else parsed(text, key, path)


def parsed(text: str | None, key: str, path: Path) -> float:
    try:
        found = float(text)
    except (TypeError, ValueError):
        found = float("nan")
    if not abs(found) < 1e9:
        raise Refusal(f"{path}: {key} is {str(text)[:40]!r}; needed: a number")
    return found
