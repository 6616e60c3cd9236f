"""labelme's JSON: a list of shapes, later ones on top."""

import base64
import binascii
import io
import math
import os
import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cli import Refusal
from data.formats import Drawn, Found, Item, Objects
from data.formats.archives import opened, temporary
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    named_list,
    some,
    unlisted,
)
from data.formats.masks import files_below, read_lines, split_of
from data.formats.polygons import items_of, outline_of, read_tree, shape_in, vertices
from data.formats.regions import flat_note
from data.formats.selection import BACKGROUND
from data.images import FORMATS, MOST_PIXELS, decoded
from files import writing

ABOUT = """SOURCE: a folder or zip with labelme's NAME.json files, next to their images or with the
images embedded. A folder called train, val or test gives the split. The classes are those of
--classes FILE or of a labels.txt in SOURCE, else all labels that occur. __ignore__ becomes void
(the ignore index: neither trained on nor scored); _background_ and pixels without a shape become
background."""

IGNORED, GROUND = "__ignore__", "_background_"
LINE = 10  # pixels, width of lines, as in labelme.utils.shape_to_mask
POINT = 5  # pixels, radius of points, as there
# How many points a kind of shape has. X-AnyLabeling writes all corners of a rectangle, and knows
# rotation and quadrilateral: its shape.py of 2.4.
POINTS = {"circle": (2,), "rectangle": (2, 4), "line": (2,), "point": (1,), "mask": (2,),
           "oriented_rectangle": (4,), "rotation": (4,), "quadrilateral": (4,)}  # fmt: skip
FLAT = ("cuboid",)  # X-AnyLabeling's; labelme draws lines and points


def add_arguments(parser) -> None:
    add_images_option(parser)
    parser.add_argument("--classes", metavar="FILE", help="one label per line, in class order")


def read(source: Path, args) -> Found:
    source = opened(source, args)
    images = Images(folder_of_images(source, args))
    files = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    if not files:
        raise Refusal(f"{source} contains no JSON file")
    found, broken, labels, kinds = [], [], {}, []
    for path in files:
        try:
            tree = read_tree(path)
            shapes = items_of(tree, "shapes", path)
            kinds += [str(entry.get("shape_type"))[:40] for entry in shapes]
            image = image_of(tree, path, images, args)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        labels |= dict.fromkeys(s["label"] for s in shapes if isinstance(s.get("label"), str))
        stated = (tree.get("imageHeight"), tree.get("imageWidth"))
        found.append((path, shapes, image, stated))
    named = list_of_labels(source, args, labels)
    scored = [name for name in named if name not in (IGNORED, GROUND, BACKGROUND)]
    place = {name: index for index, name in enumerate([BACKGROUND, *scored])}
    place |= {GROUND: 0, IGNORED: -1}
    made = [
        (path, Item(path.stem, image, partial(draw, shapes, image, stated, place, path),
                    split_of(path.relative_to(source))))
        for path, shapes, image, stated in found
    ]  # fmt: skip
    items, twice = listed_once(made)
    others, odd = unlisted(images, {image for _, _, image, _ in found})
    notes = (*flat_note(kinds, FLAT), *others)
    broken += twice + odd
    return Found([BACKGROUND, *scored], items, broken, None, notes, len(found), len(kinds))


def list_of_labels(source: Path, args, occurring: dict) -> list[str]:
    listed = Path(args.classes) if args.classes else named_list(source, ("labels.txt",))
    return list(dict.fromkeys(read_lines(listed))) if listed else sorted(occurring)


def image_of(tree: dict, path: Path, images: Images, args) -> Path:
    """The image at imagePath, else that in imageData, else the one with the name in imagePath or
    with that of the JSON file beside it: a renamed image leaves an old imagePath."""
    name = tree.get("imagePath")
    named = []
    if isinstance(name, str) and "\0" not in name:
        named = images.named(name, path.parent)
        place = os.path.abspath(path.parent / name.replace("\\", "/"))
        if any(os.path.abspath(found) == place for found in named):
            return named[0]
    if isinstance(tree.get("imageData"), str):
        return embedded(tree["imageData"], path, args.scratch)
    beside = [found for found in images.named(path.stem, path.parent)
              if args.images or found.parent == path.parent]  # fmt: skip
    both = list(dict.fromkeys([*named, *beside]))
    if not both:
        raise Refusal(
            f"{path}: its image {str(name)[:200]!r} is missing in {images.folder}, and there is no "
            "imageData. Add it, or name its folder with --images"
        )
    if len(both) > 1:
        raise Refusal(f"{path}: its image {name!r} is ambiguous: {some(both)}. Correct imagePath")
    return both[0]


def embedded(text: str, path: Path, scratch: Path) -> Path:
    """Writes the image in imageData to a temporary file. Other tools write an address of kind
    data: there, or break its lines."""
    text = "".join(text.split())
    try:
        raw = base64.b64decode(re.sub("^data:image/[^,]*;base64,", "", text), validate=True)
        kind = Image.open(io.BytesIO(raw), formats=FORMATS).format
    except (OSError, ValueError, binascii.Error) as error:
        raise Refusal(f"{path}: imageData is not an image") from error
    ending = {"JPEG": ".jpg", "MPO": ".jpg"}.get(kind, f".{kind.lower()}")
    target = scratch / f"{path.stem[:100]}{ending}"
    with writing(target):
        target = temporary(scratch) / target.name
        target.write_bytes(raw)
    return target


def draw(shapes: list[dict], image: Path, stated, place: dict[str, int], path: Path) -> Drawn:
    """The mask (H, W), drawn as by labelme: one shape after the other.

    Around a shape that has no area or cannot be drawn, what no other shape covers becomes void.
    """
    shape = shape_in(image, stated, path)
    mask, covered, unknown = np.zeros(shape, np.int32), np.zeros(shape, bool), np.zeros(shape, bool)
    counts, skipped = Counter(), []
    for entry in shapes:
        label = entry.get("label")
        if not isinstance(label, str) or label not in place:
            raise Refusal(f"{path}: unknown label {label!r}; known: {', '.join(place)}")
        if entry.get("shape_type") in FLAT:
            unknown[extent(entry, shape, path)] = True
            counts["boxes"] += 1
            continue
        try:
            area = shape_mask(entry, shape, path)
        except Refusal as refusal:
            skipped.append(f"{refusal}: this shape of {label!r} is not drawn, its box is void")
            unknown[extent(entry, shape, path)] = True
            continue
        mask[area] = place[label]
        covered |= area
        counts["crowds" if label == IGNORED else "drawn" if area.any() else "empty"] += 1
    if skipped and not (unknown.any() or covered.any()):
        unknown[:] = True  # nobody knows where
    mask[unknown & ~covered] = -1
    return Drawn(mask, Objects(len(shapes), **counts, skipped=tuple(skipped)))


def extent(entry: dict, shape, path: Path) -> tuple[slice, slice]:
    """The box around the points of a shape; nothing if they are not valid."""
    try:
        points = vertices(entry.get("points"), shape, path)
    except Refusal:
        points = np.zeros((0, 2))
    if not len(points):
        return slice(0), slice(0)
    (left, top), (right, bottom) = np.floor(points.min(0)), np.ceil(points.max(0)) + 1
    return tuple(slice(*(max(0, int(n)) for n in pair)) for pair in ((top, bottom), (left, right)))


def shape_mask(entry: dict, shape, path: Path) -> np.ndarray:
    """(H, W) bool: the pixels of one shape."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise Refusal(f"{path}: unknown shape_type {kind!r}")
    points = outline_of(entry.get("points"), shape, path)
    needed = POINTS.get(kind)
    if needed and len(points) not in needed:
        count = " or ".join(map(str, needed))
        raise Refusal(f"{path}: a {kind} needs {count} points but has {len(points)}")
    if kind == "mask":
        return pasted(entry.get("mask"), points, shape, path)
    image = Image.new("L", shape[::-1])
    pen, xy = ImageDraw.Draw(image), [tuple(point) for point in points.tolist()]
    if kind == "circle":
        (x, y), (far_x, far_y) = xy
        disc(pen, x, y, math.dist((x, y), (far_x, far_y)))
    elif kind == "point":
        disc(pen, *xy[0], POINT)
    elif kind == "rectangle" and len(xy) == 2:
        pen.rectangle([*points.min(0).tolist(), *points.max(0).tolist()], outline=1, fill=1)
    elif kind == "line":
        pen.line(xy, fill=1, width=LINE)
    elif kind == "linestrip":
        pen.line(xy, fill=1, width=LINE, joint="curve")
    elif kind == "polygon" or 4 in POINTS.get(kind, ()):
        if len(xy) < 3:
            raise Refusal(f"{path}: a polygon needs at least 3 points but has {len(xy)}")
        pen.polygon(xy, outline=1, fill=1)
    else:
        raise Refusal(f"{path}: unknown shape_type {kind!r}")
    return np.array(image, bool)


def disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)


def pasted(text, points: np.ndarray, shape, path: Path) -> np.ndarray:
    """A small mask, a PNG in base64, pasted at the first point and cropped to the second and to the
    image. With fractional points only the first counts, because labelme rounds each separately."""
    try:
        raw = base64.b64decode(text, validate=True)
        image = Image.open(io.BytesIO(raw), formats=("PNG",))
    except (OSError, ValueError, TypeError, binascii.Error) as error:
        raise Refusal(f"{path}: a mask is not a PNG in base64") from error
    (x, y), (right, bottom) = points.round().astype(int).tolist()
    high, wide = bottom - y + 1, right - x + 1
    if (points != points.round()).any():
        high, wide = image.height, image.width
    too_large = image.width * image.height > MOST_PIXELS
    if too_large or not (0 < high <= image.height and 0 < wide <= image.width):
        raise Refusal(
            f"{path}: a mask has {image.height}x{image.width} pixels (HxW), its box {high}x{wide}"
        )
    small, mask = decoded(path, image) != 0, np.zeros(shape, bool)
    if small.ndim != 2:
        raise Refusal(f"{path}: a mask has mode {image.mode}; needed: one channel")
    top, left = max(0, -y), max(0, -x)
    small = small[top : max(0, min(high, shape[0] - y)), left : max(0, min(wide, shape[1] - x))]
    mask[y + top :, x + left :][: small.shape[0], : small.shape[1]] = small
    return mask
