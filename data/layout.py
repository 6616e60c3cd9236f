"""Constants of the dataset layout: splits, file endings, mask names and the ignore index."""

import colorsys
import os

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# An import reads these as well and writes them as PNG.
IMPORTED_ENDINGS = (
    ".tif", ".tiff", ".gif", ".jfif", ".jpe", ".heic", ".heif", ".hif", ".avif", ".dib",
)  # fmt: skip
# Images that no command reads: raw files of cameras, layered and scientific files, drawings.
UNREAD_ENDINGS = (
    ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".raf", ".orf", ".rw2",
    ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".raw", ".psd", ".psb", ".xcf", ".kra", ".svg", ".eps",
    ".ai", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".exr", ".hdr", ".tga", ".ppm", ".pgm", ".pbm",
    ".pnm", ".pfm", ".ico", ".pcx", ".dcm", ".npy", ".npz", ".mat",
)  # fmt: skip
# What operating systems add to folders and zips, in lower case; hidden files are left out as well.
JUNK = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin")
SPLITS = ("train", "val", "test")
VOID = 255  # the ignore index in memory: pixels that are neither trained on nor scored


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden or made by an operating system."""
    return name.startswith(".") or name.casefold() in JUNK


def mask_name(image: str) -> str:
    return os.path.splitext(image)[0] + ".png"


def default_colours(count: int) -> list[list[int]]:
    """`count` distinct RGB colours; the first, usually the background, is black."""
    golden = 0.618034  # hues at steps of the golden ratio stay distinct for any count
    hues = [colorsys.hsv_to_rgb(i * golden % 1, 0.75, 0.95) for i in range(count - 1)]
    return [[0, 0, 0]] + [[round(255 * channel) for channel in hue] for hue in hues]
