"""What one look at a pair of files tells; afterwards the pixels are gone and a kilobyte stays."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cli import Refusal
from data.doctor.files import Pair
from data.images import as_stored, decode_image, fault_of, open_image, orientation_of

MOST_VALUES = 1024  # distinct values of a mask that are kept, the most frequent
THUMB = 16  # pixels, the side of the small grey image that tells near duplicates


class ImageFacts(NamedTuple):
    """fault: a predicate, "" when it was decoded. size, raw_size: (H, W) as EXIF turns it and as
    it is stored. depth: bits a channel. brightest: 0..255 as training sees it. transparent: some
    alpha is below full. hash: 64 bits of ImageHash's phash. colour: mean RGB."""

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
    """values, counts: (n,) numbers and their pixels, rising; packed 0xRRGGBB when `coloured`.

    palette: packed colours of the values, of a palette mask. lone: pixels unlike all four
    neighbours as a share of the pixels on edges. lone_values: how many values those have.
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


class Facts(NamedTuple):
    image: ImageFacts
    mask: MaskFacts


def look(pair: Pair) -> Facts:
    return Facts(image_facts(pair.image), mask_facts(pair.mask))


def predicate(refusal: Refusal, path: Path) -> str:
    return str(refusal).removeprefix(f"{path} ").partition(":")[0]


def image_facts(path: Path) -> ImageFacts:
    if fault := fault_of(path):
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
        raw_size=(header.height, header.width),
        mode=header.mode,
        # PIL reads colour of 16 bits as one of 8; the depth is a byte of PNG's header.
        depth=raw[24] if header.format == "PNG" else 8,
        orientation=orientation_of(header),
        brightest=int(image.max()),
        transparent=is_transparent(header),
        digest=digest(image),
        hash=perceptual_hash(grey),
        thumb=cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA).tobytes(),
        colour=tuple(int(part) for part in small.mean((0, 1))),
    )


def digest(pixels: np.ndarray) -> bytes:
    """Equal for equal pixels of one shape."""
    kept = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    kept.update(np.ascontiguousarray(pixels).data)
    return kept.digest()


def perceptual_hash(grey: np.ndarray) -> int:
    import imagehash

    bits = imagehash.phash(Image.fromarray(grey)).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def is_transparent(header: Image.Image) -> bool:
    """Whether alpha hides something. Other images are not decoded for it."""
    if "A" not in header.getbands() and "transparency" not in header.info:
        return False
    try:
        return header.convert("RGBA").getchannel("A").getextrema()[0] < 255
    except Exception:  # what OpenCV has decoded, PIL may not
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
    return MaskFacts(
        "", pixels.shape, image.mode, image.format, coloured, values.astype(np.int32), counts,
        palette_of(image, values), lone, lone_values, digest(pixels),
    )  # fmt: skip


def stored_values(path: Path) -> tuple[Image.Image, np.ndarray, bool]:
    """(image, (H, W) numbers as stored, whether they are packed colours). Raises Refusal.

    Colours with three equal channels count as grey.
    """
    raw, image = open_image(path)
    try:
        if image.mode in ("1", "L", "P"):
            return image, as_stored(np.array(image, np.uint8), raw, image), False
        if image.mode.startswith("I"):
            return image, np.array(image).astype(np.int32), False
        if image.mode in ("LA", "La"):
            return image, np.array(image.getchannel(0)), False
        colours = np.array(image.convert("RGB"))
    except Exception as error:  # PIL's decoders fail in as many ways as bytes can be wrong
        raise Refusal(f"{path} is damaged: replace or remove it") from error
    if (colours == colours[..., :1]).all():
        return image, colours[..., 0], False
    return image, colours.astype(np.int32) @ np.int32([1 << 16, 1 << 8, 1]), True


def palette_of(image: Image.Image, values: np.ndarray) -> np.ndarray | None:
    """Packed colours of the values of a palette image; -1 beyond the palette's end."""
    if image.mode != "P" or not image.palette:
        return None
    palette = image.palette.palette[: len(image.palette.palette) // 3 * 3]
    if image.palette.mode != "RGB":
        return None
    packed = np.frombuffer(palette, np.uint8).reshape(-1, 3) @ np.int32([1 << 16, 1 << 8, 1])
    return np.append(packed, np.full(256, -1))[values]


def lone_pixels(pixels: np.ndarray) -> tuple[float, int]:
    """(pixels unlike all four neighbours, as a share of those on edges; how many values they have).

    Drawn regions have hardly any; JPEG and smooth resizing leave many.
    """
    right, down = pixels[:, 1:] != pixels[:, :-1], pixels[1:] != pixels[:-1]
    edges = int(right.sum() + down.sum())
    if not edges or min(pixels.shape) < 3:
        return 0.0, 0
    inner = right[1:-1, 1:] & right[1:-1, :-1] & down[1:, 1:-1] & down[:-1, 1:-1]
    return int(inner.sum()) / edges, len(np.unique(pixels[1:-1, 1:-1][inner]))
