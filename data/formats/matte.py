"""Alpha mattes: foreground, background, and a void band along the edge."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.folder import add_patterns, matches, pairs, stem_of
from data.formats.masks import split_of
from data.images import decoded, open_image

ABOUT = """SOURCE: a folder or zip with images and grey mattes that share names, or, with --alpha,
with images whose alpha channel is the matte. The classes are background and foreground. Values
between --low and --high and a band along the edge become void (the ignore index: neither trained on
nor scored)."""

CLASSES = ["background", "foreground"]


def add_arguments(parser) -> None:
    add_patterns(parser, "**/images/*", "**/masks/*")
    parser.add_argument(
        "--alpha", action="store_true", help="the matte is the image's own alpha channel"
    )
    parser.add_argument(
        "--low", type=float, default=0.1, metavar="X",
        help="alpha up to which a pixel is background (default 0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--high", type=float, default=0.9, metavar="X",
        help="alpha from which a pixel is foreground (default 0.9)",
    )  # fmt: skip
    parser.add_argument(
        "--band", type=int, default=2, metavar="N",
        help="pixels by which the void edge is widened (default 2)",
    )  # fmt: skip


def read(source: Path, args) -> Found:
    source = opened(source, args)
    if not 0 <= args.low < args.high <= 1:
        raise Refusal(f"--low {args.low} --high {args.high}: needed: 0 <= low < high <= 1")
    if not 0 <= args.band <= 100:
        raise Refusal(f"--band {args.band}: needed: 0 to 100 pixels")
    limits = (args.low, args.high, args.band)
    if args.alpha:
        items = [
            Item(stem_of(hit.names), hit.path, partial(read_own, hit.path, *limits),
                 split_of(hit.below), turned=False)
            for hit in matches(source, args.images)
        ]  # fmt: skip
        return Found(CLASSES, items, [])
    paired, broken = pairs(source, args.images, args.masks)
    items = [
        Item(pair.stem, pair.image, partial(read_matte, pair.mask, *limits), pair.split)
        for pair in paired
    ]
    return Found(CLASSES, items, broken)


def read_own(path: Path, low: float, high: float, band: int) -> np.ndarray:
    _, image = open_image(path)
    if not has_alpha(image):
        raise Refusal(f"{path} has no alpha channel")
    return trimap(decoded(path, image, "RGBA")[..., 3] / np.float32(255), low, high, band)


def has_alpha(image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def read_matte(path: Path, low: float, high: float, band: int) -> np.ndarray:
    return trimap(matte_of(path), low, high, band)


def matte_of(path: Path) -> np.ndarray:
    """(H, W) float32, 0 to 1: the alpha channel unless it is fully opaque, else grey."""
    _, image = open_image(path)
    if has_alpha(image):
        pixels = decoded(path, image, "RGBA")
        if pixels[..., 3].min() < 255:
            return pixels[..., 3] / np.float32(255)
    if image.mode in ("F", "I"):
        raise Refusal(f"{path} is a matte of mode {image.mode}; needed: 8-bit or 16-bit grey")
    deep = image.mode.startswith("I;16")
    pixels = decoded(path, image, None if deep else "L")
    return pixels / np.float32(65535 if deep else 255)


def trimap(matte: np.ndarray, low: float, high: float, band: int) -> np.ndarray:
    """(H, W) int16: 1 foreground, 0 background, -1 unknown, widened by `band` pixels.

    Where foreground meets background directly, the pixels within `band` of both are unknown too.
    """
    foreground, background = matte >= high, matte <= low
    regions = (foreground, background, ~foreground & ~background)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
    near = [cv2.dilate(np.uint8(region), disc) for region in regions]
    edge = near[2] | (near[0] & near[1])
    return np.where(edge > 0, -1, foreground.astype(np.int16))
