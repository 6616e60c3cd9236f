"""What is drawn of an image and its mask."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageColor

from cli import Refusal, one_of
from data.drawing import overlay
from data.images import read_image, resize, write_image
from files import beside

# Endings of the files.
LOOKS = {"overlay": ".jpg", "mask": ".png", "cutout": ".png", "blur": ".jpg", "replace": ".jpg"}
KEEPING = {"cutout", "blur", "replace"}  # these keep some classes and change the rest
STILL = {"mask", "cutout"}  # a video has no room for ids or transparency
BLUR_SIDE = 320  # pixels, the longer side of the image that is blurred
BLUR = 0.03  # standard deviation, a fraction of the longer side


class Style(NamedTuple):
    """colours: RGB of each class. kept: (256,) bool by id. background: from (H, W) to an image
    (H, W, 3) uint8 RGB, None if there is none."""

    colours: list
    kept: np.ndarray
    background: Callable | None


def style(classes: list[str], colours: list, names: list[str] | None, background) -> Style:
    """names: of the classes that are kept, None for all but the first. background: as typed."""
    for name in names or ():
        one_of(name, classes, "class")
    kept = np.zeros(256, bool)
    kept[: len(classes)] = [name in names if names else at > 0 for at, name in enumerate(classes)]
    return Style(colours, kept, backdrop(background) if background else None)


def backdrop(word: str) -> Callable:
    """The background of any size: an image that covers it, or a colour."""
    if os.path.exists(word):
        image = read_image(Path(word))
        return lru_cache(1)(lambda size: covering(image, size))
    try:
        colour = ImageColor.getrgb(word)[:3]
    except ValueError:
        raise Refusal(
            f"--background {word} is neither a file nor a colour: name an image, or a colour such "
            "as white or #00b140"
        ) from None
    return lambda size: np.broadcast_to(np.uint8(colour), (*size, 3))


def covering(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of the image in the aspect ratio of `size`, resized to it."""
    height, width = size
    ratio = min(image.shape[0] / height, image.shape[1] / width)
    tall, wide = (max(1, round(side * ratio)) for side in size)
    top, left = (image.shape[0] - tall) // 2, (image.shape[1] - wide) // 2
    return resize(image[top : top + tall, left : left + wide], size)


def draw(look: str, image: np.ndarray, mask: np.ndarray, style: Style) -> np.ndarray:
    """(H, W, 3) RGB; (H, W) ids for mask; (H, W, 4) RGBA for cutout. All uint8."""
    if look == "overlay":
        return overlay(image, mask, style.colours)
    if look == "mask":
        return mask
    kept = style.kept[mask][..., None]
    if look == "cutout":
        return np.where(kept, np.dstack([image, np.full(mask.shape, 255, np.uint8)]), np.uint8(0))
    ground = blurred(image, kept) if look == "blur" else style.background(mask.shape)
    return np.where(kept, image, ground)


def blurred(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The image without what is kept, blurred: colours of the kept do not spread into the rest.

    kept: (H, W, 1) bool. It is blurred at a small size, whose detail is lost anyway.
    """
    ratio = min(1.0, BLUR_SIDE / max(image.shape[:2]))
    size = tuple(max(1, round(ratio * side)) for side in image.shape[:2])
    rest = np.where(kept, np.uint8(0), image)
    share = np.where(kept[..., 0], np.uint8(0), np.uint8(255))
    sums, weights = (
        cv2.GaussianBlur(resize(each, size).astype(np.float32), (0, 0), BLUR * max(size))
        for each in (rest, share)
    )
    small = 255 * sums / np.maximum(weights, 1e-3)[..., None]
    return resize(np.clip(small, 0, 255).round().astype(np.uint8), image.shape[:2])


def save(path: Path, look: str, drawn: np.ndarray, style: Style) -> None:
    """Writes a result of `draw`."""
    if look not in STILL:
        write_image(path, drawn)
    elif look == "mask":
        image = Image.fromarray(drawn, "P")
        image.putpalette(np.uint8(style.colours).tobytes())
        with beside(path) as part:
            image.save(part)
    else:
        pixels = cv2.cvtColor(drawn, cv2.COLOR_RGBA2BGRA)
        with beside(path) as part:
            part.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
