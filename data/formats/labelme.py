"""labelme's JSON: shapes that were drawn one by one, later ones on top."""

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
from data.formats.masks import ENDINGS, decoded, files_below, read_lines, split_of
from data.formats.polygons import corners, items_of, read_tree, shape_in
from data.formats.selection import BACKGROUND
from data.images import FORMATS, MOST_PIXELS

ABOUT = """SOURCE: a folder (or zip) with labelme's NAME.json, beside their images or with them
inside. A folder called train, val or test gives the split. Classes: those of --classes FILE or of
a labels.txt in SOURCE (__ignore__ is not scored, _background_ is background), else all labels that
occur. What no shape covers is background."""

IGNORED, GROUND = "__ignore__", "_background_"
LINE = 10  # pixels, width of lines; labelme.utils.shape_to_mask
POINT = 5  # pixels, radius of points; likewise
CORNERS = {"circle": 2, "rectangle": 2, "line": 2, "point": 1, "mask": 2,
           "oriented_rectangle": 4}  # fmt: skip


def add_arguments(parser) -> None:
    parser.add_argument("--classes", metavar="FILE", help="a label a line, in the classes' order")


def read(source: Path, words) -> Found:
    source = opened(source)
    files = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    if not files:
        raise Refusal(f"{source} holds no JSON file")
    items, broken, labels = [], [], {}
    for path in files:
        try:
            tree = read_tree(path)
            shapes = items_of(tree, "shapes", path)
            image = image_of(tree, path, source)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        labels |= dict.fromkeys(s["label"] for s in shapes if isinstance(s.get("label"), str))
        said = (tree.get("imageHeight"), tree.get("imageWidth"))
        items.append((path, shapes, image, said))
    named = list_of_labels(source, words, labels)
    scored = [name for name in named if name not in (IGNORED, GROUND, BACKGROUND)]
    place = {name: index for index, name in enumerate([BACKGROUND, *scored])}
    place |= {GROUND: 0, IGNORED: -1}
    made = [
        Item(
            path.stem,
            image,
            partial(draw, shapes, image, said, place, path),
            split_of(path.relative_to(source)),
        )
        for path, shapes, image, said in items
    ]
    return Found([BACKGROUND, *scored], made, broken)


def list_of_labels(source: Path, words, occurring: dict) -> list[str]:
    listed = Path(words.classes) if words.classes else source / "labels.txt"
    if words.classes or listed.exists():
        return list(dict.fromkeys(read_lines(listed)))
    return sorted(occurring)


def image_of(tree: dict, path: Path, source: Path) -> Path:
    """The file that imagePath names, else what imageData holds, else one of the same stem."""
    name = tree.get("imagePath")
    named = path.parent / name.replace("\\", "/") if isinstance(name, str) else path
    inside = within(source, named)
    if inside and named.suffix.lower() in ENDINGS and there(named):
        return named
    if isinstance(tree.get("imageData"), str):
        return unpacked(tree["imageData"], path)
    for ending in ENDINGS:
        if there(path.with_suffix(ending)):
            return path.with_suffix(ending)
    why = "is not there" if inside else f"leads out of {source}"
    raise Refusal(f"{path}: its image {name!r} {why}, and imageData holds none")


def within(source: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(source.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for a file
        return False


def unpacked(text: str, path: Path) -> Path:
    try:
        raw = base64.b64decode(text, validate=True)
        kind = Image.open(io.BytesIO(raw), formats=FORMATS).format
    except (OSError, ValueError, binascii.Error) as error:
        raise Refusal(f"{path}: imageData is no image") from error
    ending = {"JPEG": ".jpg", "MPO": ".jpg"}.get(kind, f".{kind.lower()}")
    target = temporary() / f"{path.stem[:100]}{ending}"
    target.write_bytes(raw)
    return target


def draw(shapes: list[dict], image: Path, said, place: dict[str, int], path: Path):
    """The mask (H, W), as labelme draws it: one shape after the other."""
    shape = shape_in(image, said, path)
    mask = np.zeros(shape, np.int32)
    for entry in shapes:
        label = entry.get("label")
        if not isinstance(label, str) or label not in place:
            raise Refusal(f"{path}: label {label!r} is none of {', '.join(place)}")
        mask[covered(entry, shape, path)] = place[label]
    return mask


def covered(entry: dict, shape, path: Path) -> np.ndarray:
    """(H, W) bool of one shape."""
    kind = entry.get("shape_type") or "polygon"
    if not isinstance(kind, str):
        raise Refusal(f"{path}: no shape_type {kind!r}")
    points = corners(entry.get("points"), shape, path)
    needed = CORNERS.get(kind)
    if needed and len(points) != needed:
        raise Refusal(f"{path}: a {kind} has {needed} points, came {len(points)}")
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
            raise Refusal(f"{path}: a polygon needs 3 points, came {len(xy)}")
        pen.polygon(xy, outline=1, fill=1)
    else:
        raise Refusal(f"{path}: no shape_type {kind!r}")
    return np.array(image, bool)


def disc(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)


def pasted(text, points: np.ndarray, shape, path: Path) -> np.ndarray:
    """A small mask, a PNG in base64, from the first corner on, as far as the second and the image
    go. Between whole pixels only the first corner counts: labelme rounds each by itself."""
    try:
        raw = base64.b64decode(text, validate=True)
        image = Image.open(io.BytesIO(raw), formats=("PNG",))
    except (OSError, ValueError, TypeError, binascii.Error) as error:
        raise Refusal(f"{path}: a mask is no PNG in base64") from error
    (x, y), (right, bottom) = points.round().astype(int).tolist()
    high, wide = bottom - y + 1, right - x + 1
    if (points != points.round()).any():
        high, wide = image.height, image.width
    too_large = image.width * image.height > MOST_PIXELS
    if too_large or not (0 < high <= image.height and 0 < wide <= image.width):
        raise Refusal(
            f"{path}: a mask of {image.height}x{image.width} (HxW) for a box of {high}x{wide}"
        )
    small, whole = decoded(path, image) != 0, np.zeros(shape, bool)
    if small.ndim != 2:
        raise Refusal(f"{path}: a mask of mode {image.mode}; needed: one channel")
    top, left = max(0, -y), max(0, -x)
    small = small[top : max(0, min(high, shape[0] - y)), left : max(0, min(wide, shape[1] - x))]
    whole[y + top :, x + left :][: small.shape[0], : small.shape[1]] = small
    return whole
