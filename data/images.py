"""Decoding and encoding of images and masks."""

import io
import os
import stat
import struct
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data import jpeg
from data.dataset import Dataset
from data.intact import PNG_MARK, png_chunks, png_fault, png_stream_fault
from data.kinds import is_unread, why_unread
from data.layout import VOID
from files import beside

ORIENTATION = 0x0112  # EXIF tag
# The Pillow formats that may be opened; others are unsafe (EPS, for example, runs an external
# program). Those after BMP are accepted by imports only.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
BY_OPENCV = ("JPEG", "MPO", "PNG", "WEBP", "BMP")  # MPO: JPEG with further pictures behind it
EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
MOST_PIXELS = 100_000_000  # larger images are refused as possible decompression bombs
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"  # width and height follow, then bits and colour type
EIGHT_BITS_GREY = bytes([8, 0])
MOST_BYTES = 1 << 29  # larger files are not opened
Image.MAX_IMAGE_PIXELS = None  # MOST_PIXELS is checked here instead, before anything is decoded


def read_bytes(path: Path) -> bytes:
    """The content of a file, or of an image or mask in a shard (`data.shards.Member`)."""
    try:
        return path.read_bytes() if hasattr(path, "read_bytes") else Path(path).read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error


def fault_of(path: Path) -> str:
    """The reason why a file must not be opened, or "" if it may be."""
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"  # a folder, or a pipe, which would block
    if found.st_size == 0:
        return "is empty, 0 bytes"
    return f"has {found.st_size >> 20} MB; shrink it" if found.st_size > MOST_BYTES else ""


def open_image(path: Path) -> tuple[bytes, Image.Image]:
    """The bytes of a file and its parsed header; the pixels are not decoded yet."""
    raw = read_checked(path)
    return raw, header_of(path, raw)


def read_checked(path: Path) -> bytes:
    """The bytes of a file, after the checks of `fault_of`. Raises Refusal."""
    if isinstance(path, Path) and (fault := fault_of(path)):
        raise Refusal(f"{path} {fault}")
    return read_bytes(path)


def header_of(path: Path, raw: bytes) -> Image.Image:
    check_whole(path, raw)
    if is_unread(path):  # Pillow would take the preview in a camera's raw file for the picture
        raise Refusal(f"{path} {why_unread(path, raw)}")
    try:
        header = Image.open(io.BytesIO(raw), formats=formats_for(raw))
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} {why_unread(path, raw)}") from error
    if header.width * header.height > MOST_PIXELS:
        raise Refusal(f"{path} has {header.width}x{header.height} pixels; shrink it")
    if header.format == "PNG" and "exif" not in header.info and b"eXIf" in raw:
        header.info["exif"] = b"".join(png_chunks(raw, b"eXIf")[:1])  # it may follow the pixels
    return header


def check_whole(path: Path, raw: bytes) -> None:
    """Raises Refusal for a PNG with a damaged chunk."""
    if raw.startswith(PNG_MARK) and (fault := png_fault(raw)):
        raise Refusal(f"{path} {fault}; replace or remove it")


def formats_for(raw: bytes) -> tuple[str, ...]:
    """The Pillow formats that may be opened; HEIC needs a library of its own."""
    if raw[4:8] != b"ftyp":
        return FORMATS
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return (*FORMATS, "HEIF")


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, EXIF orientation applied. Raises Refusal that names the file."""
    return decode_image(path, *open_image(path))


def decode_image(path: Path, raw: bytes, header: Image.Image) -> np.ndarray:
    """Decodes a file that `open_image` has opened, with the result of `read_image`."""
    if header.format not in BY_OPENCV:
        if header.mode not in EIGHT_BITS:
            raise Refusal(
                f"{path} has image mode {header.mode}; needed: 8 bits a channel. "
                "Convert it to PNG or JPEG"
            )
        image = decoded(path, header, "RGB")
        return image if header.format == "TIFF" else turned(image, orientation_of(header))
    is_jpeg = raw.startswith(jpeg.MARK)
    file = jpeg.whole(raw) if is_jpeg else raw
    if file is None:
        raise Refusal(f"{path} is truncated: replace or remove it")
    image = by_opencv(file)
    if image is None:
        raise Refusal(f"{path} is damaged: replace or remove it")
    if is_jpeg and jpeg.is_filled(file, image):
        raise Refusal(f"{path} is truncated: replace or remove it")
    return turned(image, orientation_of(header))


def by_opencv(raw: bytes, rule: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray | None:
    """The pixels as stored, without EXIF orientation; None for a damaged file."""
    return cv2.imdecode(np.frombuffer(raw, np.uint8), rule | cv2.IMREAD_IGNORE_ORIENTATION)


def decoded(path: Path, image: Image.Image, mode: str | None = None) -> np.ndarray:
    """The pixel values of an opened image, in its own mode or converted. Raises Refusal."""
    if image.format == "PNG" and image.fp:  # not loaded yet; Pillow passes over some damage
        place = image.fp.tell()
        image.fp.seek(0)
        raw = image.fp.read()
        image.fp.seek(place)
        if fault := png_fault(raw) or png_stream_fault(raw):
            raise Refusal(f"{path} {fault}; replace or remove it")
    try:
        return np.array(image.convert(mode) if mode else image)
    except Exception as error:  # Pillow raises arbitrary exceptions for damaged files
        raise Refusal(f"{path} is damaged: replace or remove it") from error


def as_stored(values: np.ndarray, raw: bytes, image: Image.Image) -> np.ndarray:
    """Undoes Pillow's scaling of 2-bit and 4-bit grey PNGs to the 8-bit range."""
    if image.format == "PNG" and image.mode == "L" and raw[24] in (2, 4):
        return values // (255 // (2 ** raw[24] - 1))
    return values


def orientation_of(header: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, by which the stored pixels have to be turned; 1 (upright) if
    the EXIF block is damaged. Pillow would also take one from XMP, which viewers ignore."""
    if header.format == "TIFF":
        found = header.tag_v2.get(ORIENTATION, 1)
    else:
        exif = Image.Exif()
        try:
            exif.load(header.info.get("exif", b""))
            found = exif.get(ORIENTATION, 1)
        except Exception:  # Pillow, as above
            return 1
    return found if found in range(1, 9) else 1


def stored_size(header: Image.Image) -> tuple[int, int]:
    """(H, W) before the EXIF orientation. Pillow states that of a TIFF after it."""
    swapped = header.format == "TIFF" and orientation_of(header) >= 5
    return (header.width, header.height) if swapped else (header.height, header.width)


def read_mask(path: Path, dataset: Dataset) -> np.ndarray:
    """(H, W) uint8 class ids, VOID at void pixels. Raises Refusal that names the file."""
    raw = read_checked(path)
    check_whole(path, raw)
    mask = grey_png(raw)
    if mask is None:
        image = header_of(path, raw)
        if image.mode not in ("L", "P", "1"):
            raise Refusal(
                f"{path} is stored with image mode {image.mode}; needed: 8-bit grey or palette "
                "with class ids. Write one channel that holds 0, 1, 2, ..."
            )
        mask = decode_mask(path, raw, image)
    if dataset.void != VOID:
        mask = np.maximum(mask, (mask == dataset.void) * np.uint8(VOID))
    odd = (mask >= len(dataset.classes)) & (mask != VOID)
    if odd.any():
        raise Refusal(
            f"{path} contains id {mask[odd][0]}, but there are {len(dataset.classes)} classes "
            f"(ids 0 to {len(dataset.classes) - 1}); name the class in dataset.toml or set void"
        )
    return mask


def grey_png(raw: bytes) -> np.ndarray | None:
    """An 8-bit single-channel PNG, the usual mask, as (H, W) uint8; None for any other file.

    A fast path without Pillow, whose header parsing takes longer than the check needs. OpenCV
    rejects every file of this kind that Pillow rejects.
    """
    if raw[:16] != PNG_START or raw[24:26] != EIGHT_BITS_GREY:
        return None
    width, height = struct.unpack(">II", raw[16:24])
    if width * height > MOST_PIXELS:
        return None
    return by_opencv(raw, cv2.IMREAD_GRAYSCALE)


def decode_mask(path: Path, raw: bytes, image: Image.Image) -> np.ndarray:
    """(H, W) uint8, the indices of a palette image. Raises Refusal."""
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
    """uint8 to `size` (H, W): a side that shrinks is area-averaged, one that grows is bilinear."""
    height, width = size
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    if smaller != image.shape[1::-1]:
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return image


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image or mask (H, W, ...) with the EXIF `orientation`, 1 to 8, applied."""
    if orientation >= 5:  # from 5 on width and height are swapped
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def encoded(image: np.ndarray, suffix: str) -> bytes:
    """(H, W, 3) RGB or (H, W) grey uint8 as a file with this suffix; JPEG at OpenCV's default, 95.

    Raises Refusal for a suffix of no known format.
    """
    if not cv2.haveImageWriter(f"name{suffix}"):
        raise Refusal(
            f"an image cannot be written as {suffix or 'a file without an ending'}: "
            "name a file that ends in .png or .jpg"
        )
    pixels = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, np.ascontiguousarray(pixels))[1].tobytes()


def write_image(path: Path, image: np.ndarray) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey uint8; the file ending selects the format."""
    raw = encoded(image, Path(path).suffix)
    with beside(path) as part:
        part.write_bytes(raw)
