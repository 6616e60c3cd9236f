"""Constants of the dataset layout: splits, file endings, mask names and the ignore index."""

import colorsys
import os

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SPLITS = ("train", "val", "test")
VOID = 255  # the ignore index in memory: pixels that are neither trained on nor scored


def mask_name(image: str) -> str:
    return os.path.splitext(image)[0] + ".png"


def default_colours(count: int) -> list[list[int]]:
    """`count` distinct RGB colours; the first, usually the background, is black."""
    golden = 0.618034  # hues at steps of the golden ratio stay distinct for any count
    hues = [colorsys.hsv_to_rgb(i * golden % 1, 0.75, 0.95) for i in range(count - 1)]
    return [[0, 0, 0]] + [[round(255 * channel) for channel in hue] for hue in hues]
