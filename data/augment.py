"""Augmentation: seeded and pure, one table in the order in which it happens, one strength.

Images are (H, W, 3) uint8 RGB, masks (H, W) uint8 with 255 for void. All geometry is one
transform, so that image and mask move alike and are sampled once.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from data.images import resize
from data.layout import VOID

# Ranges at strength 1.
SCALE = (0.7, 1.6)  # of the image's own size after it fits the model's
ROTATION = 12.0  # degrees, either way
PERSPECTIVE = 0.1  # of a side: how far a corner wanders, either way
CLOSER = 2.0  # the most by which the crop of a rare class is enlarged
BRIGHTNESS = 0.25  # share of the full range, either way
CONTRAST = (0.75, 1.3)
SATURATION = (0.6, 1.5)
EXPOSURE = 0.8  # stops, either way
TINT = 0.1  # of a channel in linear light, either way: white balance that missed
SHADOW = (0.2, 0.5)  # share of the light that is taken away
BLUR = (0.004, 0.01)  # of the shorter side: standard deviation, half of a shake's length
NOISE = (2.0, 10.0)  # standard deviation in bytes
JPEG = (10.0, 50.0)  # below quality 100
GAMMA = 2.2  # from linear light to bytes, about
LOOKED_AT = 128  # pixels of a mask's shorter side in the search for rare classes, at least


class Frame(NamedTuple):
    """What geometry may look at.

    matrix: (3, 3), from pixels of the image to pixels about the middle of `size` (H, W).
    """

    mask: np.ndarray
    matrix: np.ndarray
    size: tuple[int, int]


# Geometry: (frame, rng, reach) to a matrix (3, 3) that goes on from frame.matrix


def flip(frame, rng, reach):
    return np.diag([-1.0, 1.0, 1.0])


def rotate(frame, rng, reach):
    angle = np.deg2rad(reach * rng.uniform(-ROTATION, ROTATION))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return affine(turn)


def perspective(frame, rng, reach):
    sides = np.array(frame.size[::-1])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    wander = reach * rng.uniform(-PERSPECTIVE, PERSPECTIVE, (4, 2))
    ends = (np.float32(places * sides) for places in (corners, corners + wander))
    return cv2.getPerspectiveTransform(*ends)


def scale_crop(frame, rng, reach):
    """The crop wanders as far as the zoomed image exceeds it, or falls short of it."""
    zoom = between(SCALE, rng, reach)
    slack = np.abs(zoom - 1) / 2 * np.array(frame.size[::-1])
    return affine(zoom * np.eye(2), rng.uniform(-slack, slack))


def rare_class_crop(frame, rng, reach):
    """Closer to a pixel of one of the mask's classes, all but the largest alike."""
    step = max(1, min(frame.mask.shape) // LOOKED_AT)
    sparse = frame.mask[::step, ::step]
    counts = np.bincount(sparse.ravel(), minlength=VOID + 1)[:VOID]
    classes = np.flatnonzero(counts)
    if len(classes) < 2:
        return np.eye(3)
    chosen = rng.choice(classes[classes != counts.argmax()])
    y, x = divmod(rng.choice(np.flatnonzero(sparse.ravel() == chosen)), sparse.shape[1])
    zoom = CLOSER ** (reach * rng.uniform())
    sides = np.array(frame.size[::-1])
    target = rng.uniform(-0.25, 0.25, 2) * sides
    shift = target - zoom * moved(frame.matrix, [[step * x, step * y]])[0]
    # No further than the image's own border.
    height, width = frame.mask.shape
    corners = zoom * moved(frame.matrix, [[0, 0], [width, 0], [width, height], [0, height]])
    ends = sides / 2 - corners.max(0), -sides / 2 - corners.min(0)
    return affine(zoom * np.eye(2), np.clip(shift, np.minimum(*ends), np.maximum(*ends)))


def moved(matrix, points):
    """Points (N, 2) through a matrix (3, 3)."""
    there = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return there[:, :2] / there[:, 2:]


def affine(linear, shift=(0.0, 0.0)):
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = linear, shift
    return whole


def between(bounds, rng, reach):
    """A factor from bounds (low, high) around 1, even in its logarithm."""
    return np.exp(reach * rng.uniform(*np.log(bounds)))


# Looks: (image, rng, reach) to an image; the mask stays


def exposure(image, rng, reach):
    """Too little or too much light, in stops, with highlights cut off, and a tint."""
    gain = 2 ** (reach * rng.uniform(-EXPOSURE, EXPOSURE))
    gains = gain * (1 + reach * rng.uniform(-TINT, TINT, 3))
    light = np.linspace(0, 1, 256)[:, None] ** GAMMA * gains
    table = np.rint(255 * np.minimum(light, 1) ** (1 / GAMMA)).astype(np.uint8)
    return cv2.LUT(image, table[None])


def shadow(image, rng, reach):
    """A hand's or the phone's own: one side of a line is darker, its edge hard or soft."""
    height, width = image.shape[:2]
    angle, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.3)
    x = np.cos(angle) * np.linspace(-1, 1, width, dtype=np.float32)
    y = np.sin(angle) * np.linspace(-1, 1, height, dtype=np.float32)
    along = (x + y[:, None] - rng.uniform(-0.6, 0.6)) / soft
    taken = reach * rng.uniform(*SHADOW)
    light = 1 - np.float32(taken) / (1 + np.exp(-np.clip(along, -30, 30)))
    return cv2.multiply(image, cv2.merge([light.astype(np.float32)] * 3), dtype=cv2.CV_8U)


def colour(image, rng, reach):
    """Brightness, contrast and saturation."""
    saturation, contrast = between(SATURATION, rng, reach), between(CONTRAST, rng, reach)
    brightness = 255 * reach * rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    linear = contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    shift = np.full((3, 1), 128 * (1 - contrast) + brightness)
    return cv2.transform(image, np.hstack([linear, shift]))


def blur(image, rng, reach):
    """Out of focus, or shaken along a line."""
    spread = reach * rng.uniform(*BLUR) * min(image.shape[:2])
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), max(spread, 0.1))
    radius = int(np.ceil(spread)) + 1
    angle = rng.uniform(0, np.pi)
    end = spread * np.array([np.cos(angle), np.sin(angle)])
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    ends = (np.rint(16 * (radius + way * end)).astype(int).tolist() for way in (-1, 1))
    cv2.line(kernel, *ends, 255, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def noise(image, rng, reach):
    """In brightness and, half as much, in each channel."""
    spread = np.float32(reach * rng.uniform(*NOISE))
    grey = rng.standard_normal(image.shape[:2], np.float32)
    added = rng.standard_normal(image.shape, np.float32) / 2 + grey[..., None]
    return cv2.add(image, spread * added, dtype=cv2.CV_8U)


def jpeg(image, rng, reach):
    quality = round(100 - reach * rng.uniform(*JPEG))
    wanted = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, raw = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), wanted)
    return cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)


# Mixing: (mask of another image, rng, reach) to what of that is laid on top, (H, W) bool


def cutmix(other, rng, reach):
    """A box of any area, anywhere. Yun et al. 2019, arXiv:1905.04899."""
    found, share = np.zeros(other.shape, bool), np.sqrt(rng.uniform())
    middle = rng.uniform(size=2)
    ends = (np.clip(middle + way * share / 2, 0, 1) * other.shape for way in (-1, 1))
    (top, left), (bottom, right) = (np.rint(end).astype(int) for end in ends)
    found[top:bottom, left:right] = True
    return found


def classmix(other, rng, reach):
    """Half of its classes. Olsson et al. 2020, arXiv:2007.07936."""
    classes = np.flatnonzero(np.bincount(other.ravel(), minlength=VOID + 1)[:VOID])
    return np.isin(other, rng.permutation(classes)[: len(classes) // 2])


MOVE, LOOK, MIX = "move", "look", "mix"


class Row(NamedTuple):
    name: str
    kind: str
    chances: tuple[float, float, float]  # at strength 0, 1 and 2
    function: Callable


# At strength 1 what was measured to help. Camera's defects cost a little on images without them
# (LOG.md); they, and what makes scenes that no camera sees, begin above 1.
# fmt: off
AUGMENTATIONS = (
    Row("flip",            MOVE, (0.0, 0.5, 0.5), flip),
    Row("rotation",        MOVE, (0.0, 1.0, 1.0), rotate),
    Row("perspective",     MOVE, (0.0, 0.0, 0.5), perspective),
    Row("scale and crop",  MOVE, (0.0, 1.0, 1.0), scale_crop),
    Row("rare class crop", MOVE, (0.0, 0.0, 0.3), rare_class_crop),
    Row("exposure",        LOOK, (0.0, 0.0, 0.3), exposure),
    Row("shadow",          LOOK, (0.0, 0.0, 0.3), shadow),
    Row("colour",          LOOK, (0.0, 1.0, 1.0), colour),
    Row("blur",            LOOK, (0.0, 0.0, 0.2), blur),
    Row("noise",           LOOK, (0.0, 0.0, 0.2), noise),
    Row("JPEG",            LOOK, (0.0, 0.0, 0.2), jpeg),
    Row("CutMix",          MIX,  (0.0, 0.0, 0.2), cutmix),
    Row("ClassMix",        MIX,  (0.0, 0.0, 0.2), classmix),
)
# fmt: on
STRONGEST = 2.0


def chance(row: Row, strength: float) -> float:
    return float(np.interp(strength, (0, 1, STRONGEST), row.chances))


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, size: tuple[int, int],
    strength: float = 1.0, another: Callable | None = None, only: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Image and mask at `size` (H, W); at strength 0 no more than resized.

    another(rng) gives a second pair for mixing, as it was read. only: one augmentation by name,
    which then happens for certain.
    """
    reach = float(np.interp(strength, (0, 1, STRONGEST), (0, 1, 1.5)))  # in ranges of strength 1

    def happening(kind):
        for row in AUGMENTATIONS:
            if row.kind == kind and (
                row.name == only if only else rng.random() < chance(row, strength)
            ):
                yield row.function

    def alone(image, mask):
        image, mask = geometry(image, mask, rng, size, happening(MOVE), reach)
        for look in happening(LOOK):
            image = look(image, rng, reach)
        return image, mask

    image, mask = alone(image, mask)
    for mix in happening(MIX) if another else ():
        other, its_mask = alone(*another(rng))
        on_top = mix(its_mask, rng, reach)
        image = np.where(on_top[..., None], other, image)
        mask = np.where(on_top, its_mask, mask)
    return image, mask


def geometry(image, mask, rng, size, moves, reach=1.0):
    """All `moves` in one transform to `size`; outside is void. Without any, the plain resize."""
    height, width = image.shape[:2]
    to_middle = affine(np.eye(2), [(1 - width) / 2, (1 - height) / 2])
    whole = fit = affine(np.diag([size[1] / width, size[0] / height])) @ to_middle
    for move in moves:
        whole = move(Frame(mask, whole, size), rng, reach) @ whole
    if whole is fit:
        to = (size[1], size[0])
        return resize(image, size), cv2.resize(mask, to, interpolation=cv2.INTER_NEAREST_EXACT)
    from_middle = affine(np.eye(2), [(size[1] - 1) / 2, (size[0] - 1) / 2])
    return warp(image, mask, from_middle @ whole, size)


def warp(image, mask, matrix, size):
    """Both through `matrix` (3, 3), from pixels to pixels of `size` (H, W)."""
    mask = sampled(mask, matrix, size, cv2.INTER_NEAREST, VOID)
    while shrinks(matrix, image.shape):
        image, matrix = halved(image, matrix)
    return sampled(image, matrix, size, cv2.INTER_LINEAR, 0), mask


def shrinks(matrix, shape) -> bool:
    """To less than a quarter of the area, in the middle: a bilinear sample would skip pixels."""
    depth = matrix[2] @ [(shape[1] - 1) / 2, (shape[0] - 1) / 2, 1]
    return abs(np.linalg.det(matrix) / depth**3) < 0.25 and min(shape[:2]) > 1


def halved(image, matrix):
    """By two, also where a side is odd: OpenCV then leaves out the last half of a pixel."""
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return half, matrix @ affine(2 * np.eye(2), [0.5, 0.5])


def sampled(pixels, matrix, size, rule, border):
    to = (size[1], size[0])
    if np.array_equal(matrix[2], [0, 0, 1]):
        return cv2.warpAffine(pixels, matrix[:2], to, flags=rule, borderValue=border)
    return cv2.warpPerspective(pixels, matrix, to, flags=rule, borderValue=border)
