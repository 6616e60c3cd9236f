"""What a file is that is not read as an image, for refusals that name the true cause."""

import io
import os

from PIL import TiffImagePlugin

from data.layout import UNREAD_ENDINGS

STARTS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n": "PNG", b"GIF8": "GIF", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "BigTIFF", b"MM\0+": "BigTIFF",
}  # fmt: skip
BOXES = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF",
         b"avif": "AVIF", b"avis": "AVIF"}  # fmt: skip
CONVERT = "convert it to PNG or JPEG"
SAMPLE_FORMAT, FLOATS = 339, 3  # TIFF


def ending_of(path) -> str:
    return os.path.splitext(getattr(path, "name", str(path)))[1].lower()


def is_unread(path) -> bool:
    return ending_of(path) in UNREAD_ENDINGS


def why_unread(path, raw: bytes) -> str:
    """Why a file is not read, as a predicate with the way out."""
    if is_unread(path):
        return f"is of a kind that is not read: {CONVERT}"
    if FLOATS in tiff_tag(raw, SAMPLE_FORMAT):
        return f"is a TIFF of float numbers: {CONVERT}, with 8 or 16 bits a channel"
    if kind := kind_of(raw):
        return f"is damaged, or a form of {kind} that is not read: {CONVERT}, or remove it"
    return "is not an image: replace or remove it"


def kind_of(raw: bytes) -> str:
    """The kind that the first bytes announce, "" for an unknown one."""
    if raw[4:8] == b"ftyp":
        return BOXES.get(raw[8:12], "")
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WebP"
    return next((kind for start, kind in STARTS.items() if raw.startswith(start)), "")


def tiff_tag(raw: bytes, tag: int) -> tuple:
    """The values of a tag in the first directory of a TIFF; () without it or for other files."""
    if raw[:4] not in (b"II*\0", b"MM\0*"):
        return ()
    try:
        file = io.BytesIO(raw)
        directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
        found = directory.get(tag, ())
    except Exception:  # Pillow raises arbitrary exceptions for damaged files
        return ()
    return found if isinstance(found, tuple) else (found,)
