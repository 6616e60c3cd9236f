"""labelme's JSON: a list of shapes, later ones on top."""

import base64
import binascii
import io
import math
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened, temporary
from data.formats.masks import ENDINGS, files_below, read_lines, split_of
from data.formats.polygons import items_of, read_tree, shape_in, vertices
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
POINTS = {"circle": 2, "rectangle": 2, "line": 2, "point": 1, "mask": 2,
           "oriented_rectangle": 4}  # fmt: skip


def add_arguments(parser) -> None:
    parser.add_argument("--classes", metavar="FILE", help="one label per line, in class order")


def read(source: Path, args) -> Found:
    source = opened(source, args)
    files = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    if not files:
        raise Refusal(f"{source} contains no JSON file")
    items, broken, labels = [], [], {}
    for path in files:
        try:
            tree = read_tree(path)
            shapes = items_of(tree, "shapes", path)
            image = image_of(tree, path, source, args)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        labels |= dict.fromkeys(s["label"] for s in shapes if isinstance(s.get("label"), str))
        stated = (tree.get("imageHeight"), tree.get("imageWidth"))
        items.append((path, shapes, image, stated))
    named = list_of_labels(source, args, labels)
    scored = [name for name in named if name not in (IGNORED, GROUND, BACKGROUND)]
    place = {name: index for index, name in enumerate([BACKGROUND, *scored])}
    place |= {GROUND: 0, IGNORED: -1}
    made = [
        Item(
            path.stem,
            image,
            partial(draw, shapes, image, stated, place, path),
            split_of(path.relative_to(source)),
        )
        for path, shapes, image, stated in items
    ]
    return Found([BACKGROUND, *scored], made, broken)


def list_of_labels(source: Path, args, occurring: dict) -> list[str]:
    listed = Path(args.classes) if args.classes else source / "labels.txt"
    if args.classes or listed.exists():
        return list(dict.fromkeys(read_lines(listed)))
    return sorted(occurring)


def image_of(tree: dict, path: Path, source: Path, args) -> Path:
    """The image from imagePath, else from imageData, else a file of the same stem."""
    name = tree.get("imagePath")
    named = path.parent / name.replace("\\", "/") if isinstance(name, str) else path
    inside = args.links or is_within(source, named)
    if inside and named.suffix.lower() in ENDINGS and is_file(named):
        return named
    if isinstance(tree.get("imageData"), str):
        return embedded(tree["imageData"], path, args.scratch)
    for ending in ENDINGS:
        if is_file(path.with_suffix(ending)):
            return path.with_suffix(ending)
    why = "is missing" if inside else f"is outside {source}"
    raise Refusal(f"{path}: its image {name!r} {why}, and there is no imageData")


def is_within(source: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(source.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def embedded(text: str, path: Path, scratch: Path) -> Path:
    """Writes the image in imageData to a temporary file."""
    try:
        raw = base64.b64decode(text, validate=True)
        kind = Image.open(io.BytesIO(raw), formats=FORMATS).format
    except (OSError, ValueError, binascii.Error) as error:
        raise Refusal(f"{path}: imageData is not an image") from error
    ending = {"JPEG": ".jpg", "MPO": ".jpg"}.get(kind, f".{kind.lower()}")
    target = scratch / f"{path.stem[:100]}{ending}"
    with writing(target):
        target = temporary(scratch) / target.name
        target.write_bytes(raw)
    return target


def draw(shapes: list[dict], image: Path, stated, place: dict[str, int], path: Path):
    """The mask (H, W), drawn as by labelme: one shape after the other."""
    shape = shape_in(image, stated, path)
    mask = np.zeros(shape, np.int32)
    for entry in shapes:
        label = entry.get("label")
        if not isinstance(label, str) or label not in place:
            raise Refusal(f"{path}: unknown label {label!r}; known: {', '.join(place)}")
        mask[shape_mask(entry, shape, path)] = place[label]
    return mask


def shape_mask(entry: dict, shape, path: Path) -> np.ndarray:
    """(H, W) bool: the pixels of one shape."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise Refusal(f"{path}: unknown shape_type {kind!r}")
    points = vertices(entry.get("points"), shape, path)
    needed = POINTS.get(kind)
    if needed and len(points) != needed:
        raise Refusal(f"{path}: a {kind} needs {needed} points but has {len(points)}")
    if kind == "mask":
        return pasted(entry.get("mask"), points, shape, path)
    image = Image.new("L", shape[::-1])
    pen, xy = ImageDraw.Draw(image), [tuple(point) for point in points.tolist()]
    if kind == "circle":
        (x, y), (far_x, far_y) = xy
        disc(pen, x, y, math.dist((x, y), (far_x, far_y)))
    elif kind == "point":
        disc(pen, *xy[0], POINT)
    elif kind == "rectangle":
        pen.rectangle([*points.min(0).tolist(), *points.max(0).tolist()], outline=1, fill=1)
    elif kind == "line":
        pen.line(xy, fill=1, width=LINE)
    elif kind == "linestrip":
        pen.line(xy, fill=1, width=LINE, joint="curve")
    elif kind in ("polygon", "oriented_rectangle"):
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
