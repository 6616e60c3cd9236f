"""Reading of the images of a source; those of more than 8 bits a channel are scaled."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data.formats import Note
from data.formats.values import FRAMES
from data.images import (
    BY_OPENCV,
    by_opencv,
    decode_image,
    decoded,
    header_of,
    open_image,
    orientation_of,
    turned,
)
from data.layout import IMAGE_ENDINGS

BITS_PER_SAMPLE, MAX_SAMPLE = 258, 281  # TIFF tags
FULL = 65535


class Picture(NamedTuple):
    """An image of a source. pixels: (H, W, 3) uint8 RGB, EXIF orientation applied. header: as
    opened. as_is: whether a dataset can hold the file itself."""

    pixels: np.ndarray
    header: Image.Image
    as_is: bool
    notes: tuple[Note, ...]


def read_picture(path: Path) -> Picture:
    """Raises Refusal that names the file."""
    raw, header = open_image(path)
    several = header.format != "MPO" and getattr(header, "n_frames", 1) > 1
    notes = [Note(path, FRAMES)] if several else []
    deep = is_deep(raw, header)
    # Pillow takes the orientation out of the header of a TIFF when it decodes it.
    own = header_of(path, raw) if header.format == "TIFF" else header
    if deep:
        pixels, how = eight_bits(*deep_pixels(path, raw, own))
        notes.append(Note(path, how))
    else:
        pixels = decode_image(path, raw, own)
    as_is = header.format in BY_OPENCV and not deep and path.suffix.lower() in IMAGE_ENDINGS
    return Picture(pixels, header, as_is, tuple(notes))


def is_deep(raw: bytes, header: Image.Image) -> bool:
    """Whether a PNG or TIFF has more than 8 bits a channel."""
    if header.format == "PNG":
        return raw[24] == 16
    return header.format == "TIFF" and max(header.tag_v2.get(BITS_PER_SAMPLE, (1,))) > 8


def deep_pixels(path: Path, raw: bytes, header: Image.Image) -> tuple[np.ndarray, int, int]:
    """(pixels (H, W) or (H, W, 3) of integers, EXIF orientation applied, bits a channel in the
    file, the largest value that the file states, 0 if none)."""
    if header.format == "PNG":
        pixels = all_bits(raw)
        if pixels is None:
            raise Refusal(f"{path} is damaged: replace or remove it")
        return turned(pixels, orientation_of(header)), 16, 0
    bits, top = max(header.tag_v2.get(BITS_PER_SAMPLE, (1,))), stated(header)
    if header.mode.startswith("I"):
        pixels = decoded(path, header)  # Pillow applies the orientation of a TIFF
        top = top or (2**bits - 1) * (bits < 16)
    elif header.mode in ("RGB", "RGBA", "RGBX"):
        pixels = all_bits(raw)  # Pillow drops the lower bits; OpenCV shifts 10 to 14 bits up
        top = FULL if 8 < bits < 16 else top
    else:
        pixels = None
    if pixels is None or pixels.dtype.kind not in "iu" or int(pixels.min()) < 0:
        raise Refusal(
            f"{path} is a TIFF of mode {header.mode} with {bits} bits a channel, such as float or "
            "negative numbers: convert it to PNG or JPEG, with 8 or 16 bits a channel"
        )
    return pixels, bits, top


def all_bits(raw: bytes) -> np.ndarray | None:
    """(H, W, 3) RGB, not turned by EXIF, except for a TIFF; None for a damaged file."""
    # OpenCV 5.0's IMREAD_COLOR_RGB gives arbitrary values for a TIFF of 16 bits.
    pixels = by_opencv(raw, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    return None if pixels is None else pixels[..., ::-1]


def stated(header: Image.Image) -> int:
    """The largest value that a TIFF says it may have, 0 if it does not."""
    found = header.tag_v2.get(MAX_SAMPLE, 0)
    return int(max(found) if isinstance(found, tuple) else found)


def eight_bits(pixels: np.ndarray, bits: int, top: int) -> tuple[np.ndarray, str]:
    """((H, W, 3) uint8, how they were made): scaled by `top`, else by the fewest bits that hold the
    largest value, so that images of one camera are mostly scaled alike."""
    largest = int(pixels.max())
    if 0 < largest <= top:
        how = f"has {bits} bits a channel: its largest value, stated as {top}, became 255"
    else:
        used = max(8, largest.bit_length())
        top = 2**used - 1
        how = f"has {bits} bits a channel, of which its values use {used}: {top} became 255"
    scaled = np.rint(pixels * (255 / top)).astype(np.uint8)
    return (scaled if scaled.ndim == 3 else np.stack([scaled] * 3, -1)), how
