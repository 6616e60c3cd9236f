"""Augmentation: seeded pure functions, listed in one table in the order of their application.

Images are (H, W, 3) uint8 RGB, masks (H, W) uint8 with 255 for void. All geometric augmentations
are composed into one transform, so that image and mask stay aligned and are sampled only once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from data.images import resize
from data.layout import VOID
from data.warp import affine, warp

# Ranges at magnitude 1.
SCALE = (0.7, 1.6)  # zoom relative to the image resized to the model's input
ROTATION = 12.0  # degrees, in both directions
PERSPECTIVE = 0.1  # of a side: maximum displacement of a corner, in both directions
RARE_ZOOM = 2.0  # maximum zoom of the crop around a rare class
BRIGHTNESS = 0.25  # fraction of the full range, in both directions
CONTRAST = (0.75, 1.3)
SATURATION = (0.6, 1.5)
EXPOSURE = 0.8  # stops, in both directions
TINT = 0.1  # relative gain of a channel in linear light: white balance error
SHADOW = (0.2, 0.5)  # fraction of the light that is blocked
BLUR = (0.004, 0.01)  # of the shorter side: sigma of defocus, half-length of motion blur
NOISE = (2.0, 10.0)  # standard deviation in byte values
JPEG = (10.0, 50.0)  # subtracted from quality 100
GAMMA = 2.2  # approximate sRGB gamma
SAME = range(256)  # the ids in a flipped image, if no class is the mirror image of another
SEARCH_SIDE = 128  # pixels: masks are subsampled to about this side in the search for rare classes


class Frame(NamedTuple):
    """The input of a geometric augmentation.

    matrix: (3, 3), from image pixels to output pixels relative to the centre of `size` (H, W).
    """

    mask: np.ndarray
    matrix: np.ndarray
    size: tuple[int, int]


# Geometric: (frame, rng, magnitude) to a matrix (3, 3) that is applied after frame.matrix


def flip(frame, rng, magnitude):
    return np.diag([-1.0, 1.0, 1.0])


def rotate(frame, rng, magnitude):
    angle = np.deg2rad(magnitude * rng.uniform(-ROTATION, ROTATION))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return affine(rotation)


def perspective(frame, rng, magnitude):
    sides = np.array(frame.size[::-1])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    displaced = magnitude * rng.uniform(-PERSPECTIVE, PERSPECTIVE, (4, 2))
    ends = (np.float32(places * sides) for places in (corners, corners + displaced))
    return cv2.getPerspectiveTransform(*ends)


def scale_crop(frame, rng, magnitude):
    """Zooms, and shifts by at most the margin between the zoomed image and the crop."""
    zoom = between(SCALE, rng, magnitude)
    slack = np.abs(zoom - 1) / 2 * np.array(frame.size[::-1])
    return affine(zoom * np.eye(2), rng.uniform(-slack, slack))


def rare_class_crop(frame, rng, magnitude):
    """Zooms in on a pixel of a random class, drawn uniformly from all but the most frequent."""
    step = max(1, min(frame.mask.shape) // SEARCH_SIDE)
    sparse = frame.mask[::step, ::step]
    counts = np.bincount(sparse.ravel(), minlength=VOID + 1)[:VOID]
    classes = np.flatnonzero(counts)
    if len(classes) < 2:
        return np.eye(3)
    chosen = rng.choice(classes[classes != counts.argmax()])
    y, x = divmod(rng.choice(np.flatnonzero(sparse.ravel() == chosen)), sparse.shape[1])
    zoom = RARE_ZOOM ** (magnitude * rng.uniform())
    sides = np.array(frame.size[::-1])
    target = rng.uniform(-0.25, 0.25, 2) * sides
    shift = target - zoom * moved(frame.matrix, [[step * x, step * y]])[0]
    # Clipped so that the crop stays inside the image.
    height, width = frame.mask.shape
    corners = zoom * moved(frame.matrix, [[0, 0], [width, 0], [width, height], [0, height]])
    ends = sides / 2 - corners.max(0), -sides / 2 - corners.min(0)
    return affine(zoom * np.eye(2), np.clip(shift, np.minimum(*ends), np.maximum(*ends)))


def moved(matrix, points):
    """Points (N, 2) transformed by a matrix (3, 3)."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def between(bounds, rng, magnitude):
    """A log-uniform factor from bounds (low, high) around 1."""
    return np.exp(magnitude * rng.uniform(*np.log(bounds)))


# Photometric: (image, rng, magnitude) to an image; the mask is unchanged


def exposure(image, rng, magnitude):
    """Under- or overexposure in stops, with clipped highlights, and a colour cast."""
    gain = 2 ** (magnitude * rng.uniform(-EXPOSURE, EXPOSURE))
    gains = gain * (1 + magnitude * rng.uniform(-TINT, TINT, 3))
    light = np.linspace(0, 1, 256)[:, None] ** GAMMA * gains
    table = np.rint(255 * np.minimum(light, 1) ** (1 / GAMMA)).astype(np.uint8)
    return cv2.LUT(image, table[None])


def shadow(image, rng, magnitude):
    """A shadow on one side of a line, as of a hand or the phone, with a hard or soft edge."""
    height, width = image.shape[:2]
    angle, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.3)
    x = np.cos(angle) * np.linspace(-1, 1, width, dtype=np.float32)
    y = np.sin(angle) * np.linspace(-1, 1, height, dtype=np.float32)
    along = (x + y[:, None] - rng.uniform(-0.6, 0.6)) / soft
    blocked = magnitude * rng.uniform(*SHADOW)
    light = 1 - np.float32(blocked) / (1 + np.exp(-np.clip(along, -30, 30)))
    return cv2.multiply(image, cv2.merge([light.astype(np.float32)] * 3), dtype=cv2.CV_8U)


def colour(image, rng, magnitude):
    """Brightness, contrast and saturation."""
    saturation, contrast = between(SATURATION, rng, magnitude), between(CONTRAST, rng, magnitude)
    brightness = 255 * magnitude * rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    linear = contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    shift = np.full((3, 1), 128 * (1 - contrast) + brightness)
    return cv2.transform(image, np.hstack([linear, shift]))


def blur(image, rng, magnitude):
    """Defocus (Gaussian) or motion blur along a line."""
    spread = magnitude * rng.uniform(*BLUR) * min(image.shape[:2])
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), max(spread, 0.1))
    radius = int(np.ceil(spread)) + 1
    angle = rng.uniform(0, np.pi)
    end = spread * np.array([np.cos(angle), np.sin(angle)])
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    ends = (np.rint(16 * (radius + way * end)).astype(int).tolist() for way in (-1, 1))
    cv2.line(kernel, *ends, 255, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def noise(image, rng, magnitude):
    """Gaussian noise on the luminance and, half as strong, on each channel."""
    spread = np.float32(magnitude * rng.uniform(*NOISE))
    grey = rng.standard_normal(image.shape[:2], np.float32)
    added = rng.standard_normal(image.shape, np.float32) / 2 + grey[..., None]
    return cv2.add(image, spread * added, dtype=cv2.CV_8U)


def jpeg(image, rng, magnitude):
    quality = round(100 - magnitude * rng.uniform(*JPEG))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, raw = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
    return cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)


# Mixing: (mask of a second image, rng, magnitude) to the region to paste from it, (H, W) bool


def cutmix(other, rng, magnitude):
    """A box of random area and position. Yun et al. 2019, arXiv:1905.04899."""
    pasted, side = np.zeros(other.shape, bool), np.sqrt(rng.uniform())
    centre = rng.uniform(size=2)
    ends = (np.clip(centre + way * side / 2, 0, 1) * other.shape for way in (-1, 1))
    (top, left), (bottom, right) = (np.rint(end).astype(int) for end in ends)
    pasted[top:bottom, left:right] = True
    return pasted


def classmix(other, rng, magnitude):
    """The regions of half of its classes. Olsson et al. 2020, arXiv:2007.07936."""
    classes = np.flatnonzero(np.bincount(other.ravel(), minlength=VOID + 1)[:VOID])
    return np.isin(other, rng.permutation(classes)[: len(classes) // 2])


GEOMETRIC, PHOTOMETRIC, MIXING = "geometric", "photometric", "mixing"


class Augmentation(NamedTuple):
    name: str
    kind: str
    probabilities: tuple[float, float, float]  # at strength 0, 1 and 2
    function: Callable


# Strength 1 applies what was measured to help. Camera defects cost a little accuracy on images
# without them (LOG.md); they, and what produces unrealistic scenes, begin above strength 1.
# fmt: off
AUGMENTATIONS = (
    Augmentation("flip",            GEOMETRIC,   (0.0, 0.5, 0.5), flip),
    Augmentation("rotation",        GEOMETRIC,   (0.0, 1.0, 1.0), rotate),
    Augmentation("perspective",     GEOMETRIC,   (0.0, 0.0, 0.5), perspective),
    Augmentation("scale and crop",  GEOMETRIC,   (0.0, 1.0, 1.0), scale_crop),
    Augmentation("rare class crop", GEOMETRIC,   (0.0, 0.0, 0.3), rare_class_crop),
    Augmentation("exposure",        PHOTOMETRIC, (0.0, 0.0, 0.3), exposure),
    Augmentation("shadow",          PHOTOMETRIC, (0.0, 0.0, 0.3), shadow),
    Augmentation("colour",          PHOTOMETRIC, (0.0, 1.0, 1.0), colour),
    Augmentation("blur",            PHOTOMETRIC, (0.0, 0.0, 0.2), blur),
    Augmentation("noise",           PHOTOMETRIC, (0.0, 0.0, 0.2), noise),
    Augmentation("JPEG",            PHOTOMETRIC, (0.0, 0.0, 0.2), jpeg),
    Augmentation("CutMix",          MIXING,      (0.0, 0.0, 0.2), cutmix),
    Augmentation("ClassMix",        MIXING,      (0.0, 0.0, 0.2), classmix),
)
# fmt: on
STRONGEST = 2.0


def probability(augmentation: Augmentation, strength: float) -> float:
    return float(np.interp(strength, (0, 1, STRONGEST), augmentation.probabilities))


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, size: tuple[int, int],
    strength: float = 1.0, another: Callable | None = None, only: str | None = None,
    flipped: Sequence[int] | None = SAME,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Image and mask at `size` (H, W); at strength 0 they are only resized.

    another(rng) gives a second pair for mixing, not yet augmented. only: the name of a single
    augmentation, which is then always applied. flipped: the id that each id 0..255 has in a flipped
    image (`data.mirror`); None for no flips.
    """
    magnitude = float(np.interp(strength, (0, 1, STRONGEST), (0, 1, 1.5)))  # factor on the ranges

    def drawn(kind):
        for each in AUGMENTATIONS:
            if (
                each.kind == kind
                and (each.name == only if only else rng.random() < probability(each, strength))
                and (each.function is not flip or flipped is not None)
            ):
                yield each.function

    def without_mixing(image, mask):
        image, mask = geometry(image, mask, rng, size, drawn(GEOMETRIC), magnitude, flipped)
        for photometric in drawn(PHOTOMETRIC):
            image = photometric(image, rng, magnitude)
        return image, mask

    image, mask = without_mixing(image, mask)
    for mix in drawn(MIXING) if another else ():
        other_image, other_mask = without_mixing(*another(rng))
        pasted = mix(other_mask, rng, magnitude)
        image = np.where(pasted[..., None], other_image, image)
        mask = np.where(pasted, other_mask, mask)
    return image, mask


def geometry(image, mask, rng, size, transforms, magnitude=1.0, flipped=SAME):
    """One warp to `size` for all `transforms`, void outside; a plain resize if there are none."""
    height, width = image.shape[:2]
    to_centre = affine(np.eye(2), [(1 - width) / 2, (1 - height) / 2])
    matrix = fit = affine(np.diag([size[1] / width, size[0] / height])) @ to_centre
    for transform in transforms:
        if transform is flip and flipped is not SAME:
            mask = np.uint8(flipped)[mask]
        matrix = transform(Frame(mask, matrix, size), rng, magnitude) @ matrix
    if matrix is fit:
        to = (size[1], size[0])
        return resize(image, size), cv2.resize(mask, to, interpolation=cv2.INTER_NEAREST_EXACT)
    from_centre = affine(np.eye(2), [(size[1] - 1) / 2, (size[0] - 1) / 2])
    return warp(image, mask, from_centre @ matrix, size)
