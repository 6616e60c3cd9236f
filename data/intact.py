"""Whether PNG and JPEG files are whole, by their bytes: decoders pass over some damage."""

import re
import struct
import zlib
from typing import NamedTuple

PNG_MARK = b"\x89PNG\r\n\x1a\n"
JPEG_MARK, JPEG_END = b"\xff\xd8", b"\xff\xd9"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of PNG's colour types
# Adam7: x and y of the first pixel of each pass, and the steps to the next ones.
PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
# A marker of JPEG; FF 00 and FF D0 to FF D7 belong to the compressed pixels, FF FF is filling.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
SOS = 0xDA  # start of scan: compressed pixels follow
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF markers, which name the components
ALONE = (0x01, 0xD8)  # markers without a length


def png_fault(raw: bytes) -> str:
    """What is wrong with the chunks of a PNG, as a predicate; "" if all are whole.

    Every checksum is verified, because some decoders skip them: of 1,763 damages of one bit in a
    mask 192 were read as other class ids.
    """
    view, at = memoryview(raw), len(PNG_MARK)
    while at + 12 <= len(raw):
        length, kind = struct.unpack_from(">I4s", raw, at)
        end = at + 12 + length
        if end > len(raw):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            return f"is damaged: its chunk {kind.decode('ascii', 'replace')} has a wrong checksum"
        if kind == b"IEND":
            return ""
        at = end
    return "is damaged or truncated: it ends within a chunk"


def png_chunks(raw: bytes, wanted: bytes) -> list[bytes]:
    """The contents of all chunks of a kind, of a PNG without fault."""
    found, at, kind = [], len(PNG_MARK), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", raw, at)
        if kind == wanted:
            found.append(raw[at + 8 : at + 8 + length])
        at += 12 + length
    return found


def png_stream_fault(raw: bytes) -> str:
    """What is wrong with the compressed pixels of a PNG without `png_fault`. Pillow fills missing
    rows with zeros; OpenCV refuses such a file itself."""
    width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", raw, 16)
    if colour not in CHANNELS:
        return f"is damaged: its colour type is {colour}"
    steps = PASSES if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in steps]
    needed = sum(
        rows * (1 + (columns * bits * CHANNELS[colour] + 7) // 8)
        for columns, rows in sides
        if columns > 0 and rows > 0
    )
    unpacker, count = zlib.decompressobj(), 0
    try:
        for part in png_chunks(raw, b"IDAT"):
            while part and count <= needed:
                count += len(unpacker.decompress(part, 1 << 20))
                part = unpacker.unconsumed_tail
    except zlib.error:
        return "is damaged: its compressed pixels cannot be unpacked"
    return "" if count >= needed and unpacker.eof else "is truncated: its pixels are not all there"


class JpegEnd(NamedTuple):
    """Where a JPEG ends. end: the position behind its end marker; None without one. complete:
    without one, whether all that was announced has at least begun, so that only the marker may be
    missing."""

    end: int | None
    complete: bool


def jpeg_end(raw: bytes) -> JpegEnd:
    """Walks the markers of a JPEG: an embedded preview or what follows the picture, such as the
    video of a motion photo, is not taken for its end."""
    at, components, done = len(JPEG_MARK), 0, set()
    while found := MARKER.search(raw, at):
        marker, at = raw[found.end() - 1], found.end()
        if marker == JPEG_END[1]:
            return JpegEnd(at, True)
        if marker in ALONE:
            continue
        length = int.from_bytes(raw[at : at + 2])
        segment, at = raw[at + 2 : at + length], at + length
        if length < 2 or at > len(raw):
            return JpegEnd(None, False)
        if marker in FRAMES and length >= 8:
            components = segment[5]
        if marker == SOS and length >= 6:
            done |= refined(segment)
    return JpegEnd(None, bool(components) and len(done) == 64 * components)


def refined(scan: bytes) -> set[tuple[int, int]]:
    """The (component, coefficient) pairs that a scan brings to their full precision."""
    *_, first, last, precision = scan
    if precision & 15:
        return set()
    own = scan[1 : 1 + 2 * scan[0] : 2]
    return {(component, index) for component in own for index in range(first, min(last, 63) + 1)}


def without_end(raw: bytes) -> tuple[bytes, ...]:
    """A JPEG without end marker up to its compressed pixels, and that with bytes added that change
    the picture if more pixels, or the next restart marker, are awaited."""
    bare = raw.rstrip(b"\0")  # which programs that rescue files fill up with
    if bare.endswith(b"\xff"):  # a pixel's byte, FF 00, or half a marker
        bare = bare + b"\0" if bare != raw else bare[:-1]
    restarts = re.findall(rb"\xff([\xd0-\xd7])", bare[bare.rfind(b"\xff\xda") :])
    awaited = 0xD0 + (restarts[-1][0] - 0xD0 + 1) % 8 if restarts else 0xD0
    more = b"\xa5" * 64
    return bare, bare + bytes(64), bare + more, bare + b"\xff%c" % awaited + more
