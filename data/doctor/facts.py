"""What is recorded about a pair of files: about a kilobyte per pair, the pixels are not kept."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data.doctor.files import Pair
from data.formats.values import is_in_alpha, whole_numbers
from data.images import (
    check_whole,
    decode_image,
    decode_mask,
    decoded,
    fault_of,
    grey_png,
    header_of,
    open_image,
    orientation_of,
    read_checked,
    stored_size,
)

MOST_VALUES = 1024  # of a mask's distinct values, only this many most frequent ones are kept
THUMB = 16  # pixels, the side of the grey thumbnail that confirms near duplicates


class ImageFacts(NamedTuple):
    """fault: why the image cannot be read, as a predicate; "" if it can.

    size, raw_size: (H, W) after and before EXIF orientation. depth: bits per channel. brightest:
    largest value, 0..255, as decoded for training. transparent: some alpha is below the maximum.
    hash: 64-bit phash of ImageHash. thumb: (THUMB, THUMB) uint8 grey. colour: mean RGB.
    """

    fault: str = ""
    size: tuple[int, int] = (0, 0)
    raw_size: tuple[int, int] = (0, 0)
    mode: str = ""
    depth: int = 8
    orientation: int = 1
    brightest: int = 0
    transparent: bool = False
    digest: bytes = b""
    hash: int = 0
    thumb: bytes = b""
    colour: tuple[int, int, int] = (0, 0, 0)


class MaskFacts(NamedTuple):
    """fault: as in ImageFacts. values, counts: (n,) distinct values in ascending order and their
    numbers of pixels; values are packed 0xRRGGBB if `coloured`.

    palette: packed colours of the values in a palette mask. lone: number of isolated pixels per
    pair of unequal neighbours. lone_values: number of distinct values of the isolated pixels.
    in_alpha: whether the values are those of the alpha channel, as colour is the same everywhere.
    """

    fault: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    coloured: bool = False
    values: np.ndarray = np.zeros(0, np.int32)
    counts: np.ndarray = np.zeros(0, np.int64)
    palette: np.ndarray | None = None
    lone: float = 0.0
    lone_values: int = 0
    digest: bytes = b""
    in_alpha: bool = False


class Facts(NamedTuple):
    image: ImageFacts
    mask: MaskFacts


def look(pair: Pair) -> Facts:
    return Facts(image_facts(pair.image), mask_facts(pair.mask))


def predicate(refusal: Refusal, path: Path) -> str:
    """What a refusal says about the file, without the path and the remedy."""
    said = str(refusal).removeprefix(f"{path} ")
    return re.split("; replace|: (?=replace|convert)", said)[0]


def image_facts(path: Path) -> ImageFacts:
    if isinstance(path, Path) and (fault := fault_of(path)):
        return ImageFacts(fault)
    try:
        raw, header = open_image(path)
        image = decode_image(path, raw, header)
    except Refusal as refusal:
        return ImageFacts(predicate(refusal, path))
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return ImageFacts(
        size=image.shape[:2],
        raw_size=stored_size(header),
        mode=header.mode,
        # Pillow reads 16-bit colour as 8-bit; byte 24 of a PNG file is its bit depth.
        depth=raw[24] if header.format == "PNG" else 8,
        orientation=orientation_of(header),
        brightest=int(image.max()),
        transparent=is_transparent(header),
        digest=digest(image),
        hash=perceptual_hash(grey),
        thumb=cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA).tobytes(),
        colour=tuple(int(channel) for channel in small.mean((0, 1))),
    )


def digest(pixels: np.ndarray) -> bytes:
    """A hash that is equal for arrays of equal shape and equal values."""
    kept = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    kept.update(np.ascontiguousarray(pixels).data)
    return kept.digest()


def perceptual_hash(grey: np.ndarray) -> int:
    import imagehash

    bits = imagehash.phash(Image.fromarray(grey)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def is_transparent(header: Image.Image) -> bool:
    """Whether some alpha is below the maximum. Images without alpha are not decoded for this."""
    if "A" not in header.getbands() and "transparency" not in header.info:
        return False
    try:
        return header.convert("RGBA").getchannel("A").getextrema()[0] < 255
    except Exception:  # Pillow cannot decode every file that OpenCV can
        return False


def mask_facts(path: Path) -> MaskFacts:
    try:
        image, pixels, coloured = stored_values(path)
    except Refusal as refusal:
        return MaskFacts(predicate(refusal, path))
    values, counts = np.unique(pixels, return_counts=True)
    lone, lone_values = lone_pixels(pixels) if len(values) > 2 else (0.0, 0)
    if len(values) > MOST_VALUES:
        kept = np.sort(np.argsort(counts)[-MOST_VALUES:])
        values, counts = values[kept], counts[kept]
    facts = MaskFacts(
        "", pixels.shape, "L", "PNG", coloured, values.astype(np.int32), counts,
        lone=lone, lone_values=lone_values, digest=digest(pixels),
    )  # fmt: skip
    if image is None:
        return facts
    return facts._replace(
        mode=image.mode, format=image.format, palette=palette_of(image, values),
        in_alpha=image.mode in ("LA", "RGBA") and is_in_alpha(decoded(path, image), image.mode),
    )  # fmt: skip


def stored_values(path: Path) -> tuple[Image.Image | None, np.ndarray, bool]:
    """(image, its stored values (H, W), whether these are packed colours). Raises Refusal.

    Ids are decoded as in `data.images.read_mask`; image is None for its fast path, an 8-bit grey
    PNG. Colour images with three equal channels count as grey. Where alpha alone varies, it is
    taken.
    """
    raw = read_checked(path)
    check_whole(path, raw)
    if (mask := grey_png(raw)) is not None:
        return None, mask, False
    image = header_of(path, raw)
    if image.mode in ("1", "L", "P"):
        return image, decode_mask(path, raw, image), False
    if image.mode.startswith("I"):
        return image, decoded(path, image).astype(np.int32), False
    if image.mode == "F":
        return image, whole_numbers(decoded(path, image), path).astype(np.int32), False
    if image.mode in ("LA", "RGBA") and is_in_alpha(pixels := decoded(path, image), image.mode):
        return image, pixels[..., -1], False
    if image.mode in ("LA", "La"):
        return image, decoded(path, image)[..., 0], False
    colours = decoded(path, image, "RGB")
    if (colours == colours[..., :1]).all():
        return image, colours[..., 0], False
    return image, colours.astype(np.int32) @ np.int32([1 << 16, 1 << 8, 1]), True


def palette_of(image: Image.Image, values: np.ndarray) -> np.ndarray | None:
    """Packed colours of a palette image's values; -1 for values that the palette does not have."""
    if image.mode != "P" or not image.palette:
        return None
    palette = image.palette.palette[: len(image.palette.palette) // 3 * 3]
    if image.palette.mode != "RGB":
        return None
    packed = np.frombuffer(palette, np.uint8).reshape(-1, 3) @ np.int32([1 << 16, 1 << 8, 1])
    return np.append(packed, np.full(256, -1))[values]


def lone_pixels(pixels: np.ndarray) -> tuple[float, int]:
    """Isolated pixels, which differ from all four neighbours: (their number divided by that of
    unequal neighbouring pairs, their number of distinct values).

    Annotated masks have hardly any; JPEG compression and smooth resizing leave many.
    """
    right, down = pixels[:, 1:] != pixels[:, :-1], pixels[1:] != pixels[:-1]
    edges = int(right.sum() + down.sum())
    if not edges or min(pixels.shape) < 3:
        return 0.0, 0
    inner = right[1:-1, 1:] & right[1:-1, :-1] & down[1:, 1:-1] & down[:-1, 1:-1]
    return int(inner.sum()) / edges, len(np.unique(pixels[1:-1, 1:-1][inner]))
