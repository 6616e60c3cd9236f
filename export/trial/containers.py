"""Whether a video file has all the bytes that its own structure states.

Decoders give the frames that a truncated file still has, and say nothing.
"""

import os
from pathlib import Path
from typing import BinaryIO

ISO = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # types of a first box
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_truncated(path: Path) -> bool:
    """Of MP4 and its relatives, AVI, Matroska and WebM; False for any other file."""
    with open(path, "rb") as file:
        start = file.read(8)
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if start[:4] == EBML:
            return matroska_end(file, size) > size
        if start[:4] == b"RIFF":
            return chunks_end(file, size, riff_size) > size
        return start[4:] in ISO and chunks_end(file, size, iso_size) > size


def chunks_end(file: BinaryIO, size: int, size_of) -> int:
    """Where the last of the chunks ends that follow each other through the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        at += size_of(file.read(16), size - at)
    return at


def iso_size(head: bytes, left: int) -> int:
    """Bytes of the box that begins with `head`, ISO/IEC 14496-12, 4.2. left: up to the file's end,
    for a box that says it lasts until there, and for what is none."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return size if size >= 8 else left


def riff_size(head: bytes, left: int) -> int:
    """As `iso_size`. What follows the RIFF chunks is none of the video."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size + size % 2 if head[:4] == b"RIFF" and size else left


def matroska_end(file: BinaryIO, size: int) -> int:
    """The end of the segment; `size` where a live recording leaves it open."""
    file.seek(4)
    file.seek(vint(file) or 0, os.SEEK_CUR)
    if file.read(4) != SEGMENT:
        return size
    length = vint(file)
    return size if length is None else file.tell() + length


def vint(file: BinaryIO) -> int | None:
    """A number of variable length, RFC 8794, 4; None if all its bits are set: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") & ((1 << 7 * (more + 1)) - 1)
    return None if value == (1 << 7 * (more + 1)) - 1 else value
