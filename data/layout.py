"""The folder contract in constants: splits, endings, names of masks, what a mask's numbers mean."""

import colorsys
import os

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SPLITS = ("train", "val", "test")
VOID = 255  # in memory: a pixel that is neither trained on nor scored, the ignore index


def mask_name(image: str) -> str:
    return os.path.splitext(image)[0] + ".png"


def default_colours(count: int) -> list[list[int]]:
    """`count` distinct RGB colours; the first, usually the background, is black."""
    golden = 0.618034  # steps of the golden ratio keep hues apart however many there are
    hues = [colorsys.hsv_to_rgb(i * golden % 1, 0.75, 0.95) for i in range(count - 1)]
    return [[0, 0, 0]] + [[round(255 * part) for part in hue] for hue in hues]
