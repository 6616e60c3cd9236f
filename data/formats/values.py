"""Reading of mask files: the values that a file stores, and what a viewer shows of them."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data.formats import Note
from data.images import (
    MOST_PIXELS,
    as_stored,
    by_opencv,
    decoded,
    header_of,
    open_image,
    read_checked,
)
from data.kinds import tiff_tag

FRAMES = "holds several images: only the first was read"
IN_ALPHA = "has one colour everywhere and its shape in the alpha channel: alpha was read"


class Values(NamedTuple):
    """The values of a mask file.

    stored: (H, W), ids or packed colours. shown: from stored value to the grey level 0..255 that a
    viewer shows, if these differ. permuted: whether greater values are shown darker. alpha: whether
    the values are those of the alpha channel. lossy: the kind of a file whose compression changes
    values, or "".
    """

    stored: np.ndarray
    shown: dict[int, int] | None = None
    permuted: bool = False
    alpha: bool = False
    lossy: str = ""
    notes: tuple[Note, ...] = ()


def read_ids(path: Path) -> np.ndarray:
    """The values of a mask, (H, W): grey or palette of any depth, or RGB with equal channels, or
    the alpha channel where the shape is in it alone. Raises Refusal."""
    return exact(read_values(path), path).stored


def read_colours(path: Path) -> np.ndarray:
    """The colours of a mask, (H, W) int32 0xRRGGBB; palettes are resolved. Raises Refusal."""
    return exact(read_colour_values(path), path).stored


def exact(values: Values, path: Path) -> Values:
    """Raises Refusal for values that a lossy compression may have changed."""
    if values.lossy and (values.stored != values.stored.flat[0]).any():
        raise Refusal(f"{path} is a {values.lossy}, which changes values of a mask: save it as PNG")
    return values


def read_values(path: Path) -> Values:
    raw = read_checked(path)
    if (doubles := double_tiff(raw)) is not None:
        return Values(whole_numbers(doubles, path))
    image = header_of(path, raw)
    notes, lossy = notes_of(path, image), lossy_kind(raw, image)
    pixels = decoded(path, image)
    if pixels.dtype.kind == "f":
        pixels = whole_numbers(pixels, path)
    if pixels.ndim == 3 and image.mode in ("RGB", "RGBA", "LA", "PA"):
        if is_in_alpha(pixels, image.mode):
            return Values(pixels[..., -1], None, False, True, lossy, (*notes, Note(path, IN_ALPHA)))
        if image.mode in ("RGB", "RGBA") and (pixels[..., :3] != pixels[..., :1]).any():
            if lossy:
                return Values(pixels[..., :3].max(-1), lossy=lossy, notes=notes)
            raise Refusal(
                f"{path} is a colour mask: its classes must be listed by colour, "
                "one line R G B NAME each"
            )
        return Values(pixels[..., 0], lossy=lossy, notes=notes)
    if pixels.ndim != 2:
        raise Refusal(
            f"{path} is stored with image mode {image.mode}; needed: grey, palette or RGB"
        )
    stored = as_stored(pixels, raw, image)
    if stored.dtype == bool:
        stored = stored.astype(np.uint8)
    shown, permuted = levels_shown(image, stored, pixels)
    return Values(stored, shown, permuted, False, lossy, notes)


def read_colour_values(path: Path) -> Values:
    raw, image = open_image(path)
    notes, lossy = notes_of(path, image), lossy_kind(raw, image)
    alpha = decoded(path, image, "RGBA") if "A" in image.getbands() else None
    if alpha is not None and is_in_alpha(alpha, "RGBA"):
        raise Refusal(
            f"{path} has one colour everywhere and its shape in the alpha channel: list the "
            "classes by value, as in --values 0=background 255=NAME"
        )
    pixels = decoded(path, image, "RGB") if alpha is None else alpha[..., :3]
    packed = pixels.astype(np.int32) @ np.int32([1 << 16, 1 << 8, 1])
    return Values(packed, lossy=lossy, notes=notes)


def notes_of(path: Path, image: Image.Image) -> tuple[Note, ...]:
    several = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
    return (Note(path, FRAMES),) if several else ()


def lossy_kind(raw: bytes, image: Image.Image) -> str:
    """The kind of a file whose compression changes values; "" for others."""
    if image.format in ("JPEG", "MPO"):
        return "JPEG"
    if image.format == "WEBP" and not (raw[12:16] == b"VP8L" or b"VP8L" in raw[:4096]):
        return "lossy WebP"
    return image.format if image.format in ("AVIF", "HEIF") else ""


def double_tiff(raw: bytes) -> np.ndarray | None:
    """The pixels (H, W) of a TIFF of 64-bit floats, which Pillow does not read; None for others."""
    width, height, bits = ((tiff_tag(raw, tag) or (0,))[0] for tag in (256, 257, 258))
    if bits != 64 or not 0 < width * height <= MOST_PIXELS:
        return None
    pixels = by_opencv(raw, cv2.IMREAD_UNCHANGED)
    return pixels if pixels is not None and pixels.ndim == 2 else None


def whole_numbers(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Floats that are whole numbers, as QGIS, GDAL and ImageJ save ids, as integers."""
    odd = pixels[~np.isfinite(pixels) | (pixels != np.rint(pixels)) | (np.abs(pixels) > 2**31 - 1)]
    if odd.size:
        raise Refusal(
            f"{path} contains fractions or values that are no ids, such as {odd[0]:g}; needed: "
            "whole numbers"
        )
    return pixels.astype(np.int64)


def is_in_alpha(pixels: np.ndarray, mode: str) -> bool:
    """Whether alpha alone varies: colour says nothing then."""
    if not mode.endswith("A"):
        return False
    colour, alpha = pixels[..., :-1], pixels[..., -1]
    return bool((colour == colour[0, 0]).all() and (alpha != alpha[0, 0]).any())


def levels_shown(image, stored: np.ndarray, pixels: np.ndarray) -> tuple[dict | None, bool]:
    """The grey level that a viewer shows for each stored value, and whether their order is another
    one; (None, False) if the levels are the values themselves, or colours, or not distinct."""
    used = np.unique(stored).tolist()
    if image.mode == "1":
        shown = {value: 255 * value for value in used}
    elif image.mode == "L":
        where = np.unique(stored, return_index=True)[1]
        shown = dict(zip(used, pixels.flat[where].tolist(), strict=True))
    elif image.mode == "P" and image.palette and image.palette.mode == "RGB":
        flat = bytes(image.palette.palette)
        colours = [flat[3 * value : 3 * value + 3] for value in used]
        if any(len(set(colour)) != 1 or len(colour) < 3 for colour in colours):
            return None, False
        shown = {value: colour[0] for value, colour in zip(used, colours, strict=True)}
    else:
        return None, False
    levels = list(shown.values())
    if len(set(levels)) < len(levels) or levels == used:
        return None, False
    return shown, levels != sorted(levels)
