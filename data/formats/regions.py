"""The regions that an annotation tool stores for an image, and the account of what became of them.

Every region becomes an RLE of pycocotools, so that a hundred of them fit into memory.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Drawn, Objects
from data.formats.polygons import outline_of, polygons_to_rle, vertices
from data.images import open_image, orientation_of, stored_size

CORNERS = 360  # of the polygon that stands for an ellipse: 0.04 pixels off at a radius of 1000
NEAR = 5  # pixels around the points of an object without an area; labelme's radius of a point
NUMBERS = (int, float)


class Layers:
    """The regions of one image, each added with its class or skipped with its reason.

    boxes: "fill" draws a rectangle as an outline, "void" takes it for a frame around an object: its
    pixels become void. source: the label file, for messages. Void lies below all outlines.
    """

    def __init__(self, shape: tuple[int, int], source: Path, boxes: str = "fill"):
        self.shape, self.source, self.boxes = shape, source, boxes
        self.outlines, self.void, self.skipped = [], [], []
        self.counts, self.anywhere = Counter(), False

    def add(self, id_: int, rle: dict | None, is_box: bool = False) -> None:
        from pycocotools import mask

        if rle is None or not mask.area(rle):
            self.counts["empty"] += 1
        elif is_box and self.boxes == "void":
            self.counts["boxes"] += 1
            self.void.append(rle)
        else:
            self.outlines.append((id_, rle))

    def add_flat(self, points) -> None:
        """An object without an area, such as a line, of (N, 2) or 2 N numbers in pixels: what is
        near the box around them becomes void. Of an object that is a single point, nobody knows
        how far it extends: where nothing is drawn beside it, the whole image becomes void."""
        points = vertices(points, self.shape, self.source)
        self.counts["boxes"] += 1
        self.anywhere |= len(np.unique(points, axis=0)) < 2
        if len(points):
            corners = [*(points.min(0) - NEAR).tolist(), *(points.max(0) + NEAR).tolist()]
            self.void.append(self.rectangle(*corners))

    def skip(self, sentence: str, rle: dict | None = None) -> None:
        """An object that is not drawn, whose region is known or not."""
        self.skipped.append(f"{self.source}: {sentence}")
        if rle is None:
            self.anywhere = True
        else:
            self.void.append(rle)

    def drawn(self, by_area: bool) -> Drawn:
        """The mask and the account. by_area: the smaller region on top, else the later one."""
        from pycocotools import mask

        canvas, layers = np.zeros(self.shape, np.int32), self.outlines
        if by_area:
            layers = sorted(layers, key=lambda layer: -int(mask.area(layer[1])))
        if self.anywhere and not layers:
            canvas[:] = -1
        for id_, rle in [*((-1, rle) for rle in self.void), *layers]:
            canvas[mask.decode(rle) > 0] = id_
        drawn, skipped = len(layers), tuple(self.skipped)
        read = drawn + self.counts.total() + len(skipped)
        return Drawn(canvas, Objects(read, drawn, **self.counts, skipped=skipped))

    def polygon(self, numbers) -> dict | None:
        """The RLE of [[x, y], ...] or [x, y, x, y, ...] in pixels; None below three corners."""
        return polygons_to_rle([outline_of(numbers, self.shape, self.source)], self.shape)

    def rectangle(self, left, top, right, bottom, degrees=0.0, about=(0.5, 0.5)) -> dict | None:
        """A rectangle turned clockwise, about a point in fractions of its sides."""
        left, top, right, bottom, degrees = self.finite(left, top, right, bottom, degrees)
        x, y = left + about[0] * (right - left), top + about[1] * (bottom - top)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return self.polygon(turned(np.array(corners), x, y, degrees))

    def ellipse(self, x, y, radius_x, radius_y, degrees=0.0) -> dict | None:
        """An ellipse turned clockwise about its centre."""
        x, y, radius_x, radius_y, degrees = self.finite(x, y, radius_x, radius_y, degrees)
        angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
        points = np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], 1)
        return self.polygon(turned(points, x, y, degrees))

    def pasted(self, small: np.ndarray, left: int, top: int) -> dict | None:
        """A bool (h, w) mask with its first pixel at (left, top), cropped to the image."""
        from pycocotools import mask

        height, width = self.shape
        down, right = max(0, -top), max(0, -left)
        small = small[down : max(0, height - top), right : max(0, width - left)]
        if not small.size:
            return None
        canvas = np.zeros(self.shape, np.uint8, "F")
        canvas[top + down :, left + right :][: small.shape[0], : small.shape[1]] = small
        return mask.encode(canvas)

    def finite(self, *numbers) -> list[float]:
        """The numbers as floats. Raises Refusal for anything else."""
        if not all(type(n) in NUMBERS and math.isfinite(in_range(n)) for n in numbers):
            raise Refusal(f"{self.source}: {str(numbers)[:80]} are not all numbers")
        return [float(number) for number in numbers]


def in_range(number) -> float:
    """The number, or infinity if it is too large for a float."""
    try:
        return float(number)
    except OverflowError:
        return math.inf


def turned(points: np.ndarray, x: float, y: float, degrees: float) -> np.ndarray:
    """(N, 2) points turned about (x, y); y points down, so that a positive angle is clockwise."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - (x, y)) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def upright_shape(image: Path) -> tuple[int, int]:
    """(H, W) of an image with its EXIF orientation applied, as browsers show it."""
    _, header = open_image(image)
    sides = stored_size(header)
    return sides[::-1] if orientation_of(header) >= 5 else sides


def add_boxes_option(parser) -> None:
    parser.add_argument(
        "--boxes", choices=("fill", "void"), default="fill",
        help="fill: a rectangle is the outline of its object (default); void: it is a frame around "
        "it, and its pixels are neither trained on nor scored",
    )  # fmt: skip


def boxes_note(boxes: int, args) -> tuple[str, ...]:
    """The sentence about rectangles that are drawn as outlines."""
    if not boxes or args.boxes == "void":
        return ()
    return (
        f"{boxes} rectangles are drawn filled; if they are frames around objects, add --boxes void",
    )


def flat_note(kinds: list[str], flat: Sequence[str]) -> tuple[str, ...]:
    """The sentence about shapes that have no area. kinds: of all shapes; flat: those without."""
    counts = Counter(kind for kind in kinds if kind in flat)
    if not counts:
        return ()
    named = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    return (f"shapes that have no area: {named}; draw outlines to train on these objects",)
