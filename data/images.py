"""Decoding and encoding of images and masks."""

import io
import os
import stat
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from cli import Refusal
from data.dataset import Dataset
from data.layout import VOID
from files import beside

ORIENTATION = 0x0112  # EXIF's tag
# Of Pillow's many: EPS, for one, would run a program. TIFF and GIF are for import.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS = 100_000_000  # an image larger than this is taken for a decompression bomb
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"  # width and height follow, then bits and colour type
EIGHT_BITS_GREY = bytes([8, 0])
MOST_BYTES = 1 << 29  # a file larger than this is not opened
Image.MAX_IMAGE_PIXELS = None  # we check MOST_PIXELS ourselves, before anything is decoded


def read_bytes(path: Path) -> bytes:
    """Of a file, or of an image or mask in a shard (`data.shards.Member`)."""
    try:
        return path.read_bytes() if hasattr(path, "read_bytes") else Path(path).read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error


def fault_of(path: Path) -> str:
    """Why a file is not to be opened at all, "" when it may be."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "is no file"  # a folder, or a pipe that would keep us waiting
    if found.st_size == 0:
        return "is empty, 0 bytes"
    return f"has {found.st_size >> 20} MB; shrink it" if found.st_size > MOST_BYTES else ""


def open_image(path: Path) -> tuple[bytes, Image.Image]:
    """The bytes of a file and its header, nothing decoded yet."""
    raw = read_sound(path)
    return raw, header_of(path, raw)


def read_sound(path: Path) -> bytes:
    """The bytes of a file that may be opened. Raises Refusal."""
    if isinstance(path, Path) and (fault := fault_of(path)):
        raise Refusal(f"{path} {fault}")
    return read_bytes(path)


def header_of(path: Path, raw: bytes) -> Image.Image:
    try:
        header = Image.open(io.BytesIO(raw), formats=FORMATS)
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} is not an image: replace or remove it") from error
    if header.width * header.height > MOST_PIXELS:
        raise Refusal(f"{path} has {header.width}x{header.height} pixels; shrink it")
    return header


def read_image(path: Path) -> np.ndarray:
    """An image as (H, W, 3) uint8, RGB, turned as EXIF says. Raises Refusal naming the file."""
    return decode_image(path, *open_image(path))


def decode_image(path: Path, raw: bytes, header: Image.Image) -> np.ndarray:
    """What `read_image` gives, of a file that `open_image` opened."""
    if header.format == "JPEG" and b"\xff\xd9" not in raw[-1024:]:
        # OpenCV fills the rest of a truncated JPEG with grey and says nothing.
        raise Refusal(f"{path} is truncated: replace or remove it")
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise Refusal(f"{path} is damaged: replace or remove it")
    return image


def decoded(path: Path, image: Image.Image, mode: str | None = None) -> np.ndarray:
    """An opened image's values, in its own mode or another. Raises Refusal."""
    try:
        return np.array(image.convert(mode) if mode else image)
    except Exception as error:  # Pillow meets damage with whatever it stumbles over
        raise Refusal(f"{path} is damaged: replace or remove it") from error


def as_stored(values: np.ndarray, raw: bytes, image: Image.Image) -> np.ndarray:
    """What Pillow decoded of a file, with grey PNGs of 2 and 4 bits not stretched to 8."""
    if image.format == "PNG" and image.mode == "L" and raw[24] in (2, 4):
        return values // (255 // (2 ** raw[24] - 1))
    return values


def orientation_of(header: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1, not turned, where its block is damaged."""
    try:
        found = header.getexif().get(ORIENTATION, 1)
    except Exception:  # as above
        return 1
    return found if found in range(1, 9) else 1


def read_mask(path: Path, dataset: Dataset) -> np.ndarray:
    """A mask as (H, W) uint8 class ids, VOID where it is not scored. Raises Refusal."""
    raw = read_sound(path)
    mask = grey_png(raw)
    if mask is None:
        image = header_of(path, raw)
        if image.mode not in ("L", "P", "1"):
            raise Refusal(
                f"{path} is a mask of mode {image.mode}; needed: 8-bit grey or palette with class "
                "ids. Write one channel that holds 0, 1, 2, ..."
            )
        mask = decode_mask(path, raw, image)
    if dataset.void != VOID:
        mask = np.maximum(mask, (mask == dataset.void) * np.uint8(VOID))
    odd = (mask >= len(dataset.classes)) & (mask != VOID)
    if odd.any():
        raise Refusal(
            f"{path} holds id {mask[odd][0]} but there are {len(dataset.classes)} classes "
            f"(ids 0 to {len(dataset.classes) - 1}); name the class in dataset.toml or set void"
        )
    return mask


def grey_png(raw: bytes) -> np.ndarray | None:
    """The usual mask, a PNG of one channel of 8 bits, (H, W) uint8; None for all else.

    Without Pillow, whose header costs more than it tells here; OpenCV refuses all that Pillow
    refuses here, and more.
    """
    if raw[:16] != PNG_START or raw[24:26] != EIGHT_BITS_GREY:
        return None
    width, height = struct.unpack(">II", raw[16:24])
    if width * height > MOST_PIXELS:
        return None
    rule = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(raw, np.uint8), rule)


def decode_mask(path: Path, raw: bytes, image: Image.Image) -> np.ndarray:
    """(H, W) uint8, for palettes the indices. Raises Refusal."""
    mask = grey_png(raw)
    return as_stored(decoded(path, image).astype(np.uint8), raw, image) if mask is None else mask


def read_pair(pair: tuple[Path, Path], dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    image, mask = read_image(pair[0]), read_mask(pair[1], dataset)
    if image.shape[:2] != mask.shape:
        came = "x".join(map(str, mask.shape))
        needed = "x".join(map(str, image.shape[:2]))
        raise Refusal(
            f"{pair[1]} is {came} (HxW) but its image {pair[0].name} is {needed}: "
            "resize the mask by nearest neighbour, or remove the pair"
        )
    return image, mask


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To `size` (H, W), uint8: a side that shrinks by area, one that grows bilinearly."""
    height, width = size
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    if smaller != image.shape[1::-1]:
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def turned(mask: np.ndarray, orientation: int) -> np.ndarray:
    """A mask (H, W) as EXIF's `orientation`, 1 to 8, turns its image."""
    image = Image.fromarray(mask.astype(np.int32))
    image.getexif()[ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(image)).astype(mask.dtype)


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey uint8; the ending chooses the format."""
    with beside(path) as part:
        pixels = image[..., ::-1] if image.ndim == 3 else image
        done, raw = cv2.imencode(Path(path).suffix, np.ascontiguousarray(pixels))
        if not done:
            raise Refusal(f"cannot write {path}: no such format")
        part.write_bytes(raw.tobytes())
