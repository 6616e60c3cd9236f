"""Alpha mattes: what is in front, what is behind, and an edge that is not scored."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.folder import add_patterns, matches, pairs, stem_of
from data.formats.masks import decoded, split_of
from data.images import open_image

ABOUT = """SOURCE: a folder (or zip) with images and grey mattes that share names, or, with
--alpha, with images that carry their matte as alpha channel. Classes: background and
foreground. What is neither, and a band around the edge, is not scored."""

CLASSES = ["background", "foreground"]


def add_arguments(parser) -> None:
    add_patterns(parser, "**/images/*", "**/masks/*")
    parser.add_argument(
        "--alpha", action="store_true", help="the matte is the image's own alpha channel"
    )
    parser.add_argument(
        "--low", type=float, default=0.1, metavar="X", help="up to here background (default 0.1)"
    )
    parser.add_argument(
        "--high", type=float, default=0.9, metavar="X",
        help="from here on foreground (default 0.9)",
    )  # fmt: skip
    parser.add_argument(
        "--band", type=int, default=2, metavar="N",
        help="pixels by which the edge is widened (default 2)",
    )  # fmt: skip


def read(source: Path, words) -> Found:
    source = opened(source)
    if not 0 <= words.low < words.high <= 1:
        raise Refusal(f"--low {words.low} --high {words.high}: needed is 0 <= low < high <= 1")
    if not 0 <= words.band <= 100:
        raise Refusal(f"--band {words.band}: needed is 0 to 100 pixels")
    limits = (words.low, words.high, words.band)
    if words.alpha:
        items = [
            Item(stem_of(hit.names), hit.path, partial(read_own, hit.path, *limits),
                 split_of(hit.below), turned=False)
            for hit in matches(source, words.images)
        ]  # fmt: skip
        return Found(CLASSES, items, [])
    paired, broken = pairs(source, words.images, words.masks)
    items = [
        Item(pair.stem, pair.image, partial(read_matte, pair.mask, *limits), pair.split)
        for pair in paired
    ]
    return Found(CLASSES, items, broken)


def read_own(path: Path, low: float, high: float, band: int) -> np.ndarray:
    _, image = open_image(path)
    if not carries_alpha(image):
        raise Refusal(f"{path} has no alpha channel")
    return three_ways(decoded(path, image, "RGBA")[..., 3] / np.float32(255), low, high, band)


def carries_alpha(image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def read_matte(path: Path, low: float, high: float, band: int) -> np.ndarray:
    return three_ways(matte_of(path), low, high, band)


def matte_of(path: Path) -> np.ndarray:
    """(H, W) float32, 0 to 1: an alpha channel that says something, else grey."""
    _, image = open_image(path)
    if carries_alpha(image):
        pixels = decoded(path, image, "RGBA")
        if pixels[..., 3].min() < 255:
            return pixels[..., 3] / np.float32(255)
    if image.mode in ("F", "I"):
        raise Refusal(f"{path} is a matte of mode {image.mode}; needed: grey of 8 or 16 bits")
    deep = image.mode.startswith("I;16")
    pixels = decoded(path, image, None if deep else "L")
    return pixels / np.float32(65535 if deep else 255)


def three_ways(matte: np.ndarray, low: float, high: float, band: int) -> np.ndarray:
    """1 in front, 0 behind, -1 between, and within `band` pixels of between or of both."""
    front, behind = matte >= high, matte <= low
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
    near = [cv2.dilate(np.uint8(where), disc) for where in (front, behind, ~front & ~behind)]
    edge = near[2] | (near[0] & near[1])
    return np.where(edge > 0, -1, front.astype(np.int16))
