"""Damaged PNGs are refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from mutations import grey_png
from PIL import Image

from cli import Refusal
from data.dataset import Dataset
from data.formats.values import read_ids
from data.images import decoded, open_image, read_image, read_mask
from data.intact import png_fault, png_stream_fault

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 2, (12, 17), np.uint8)
CLASSES = Dataset(None, [str(i) for i in range(200)], [], 255)


def in_memory(image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def palette(ids=IDS) -> Image.Image:
    image = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
    image.putpalette(RNG.integers(0, 256, 768, np.uint8).tobytes())
    return image


def pngs() -> dict[str, bytes]:
    """PNGs of every colour type and depth, with and without ancillary chunks."""
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb = RNG.integers(0, 256, (12, 17, 3), np.uint8)
    depths = {f"grey {bits}": grey_png(bits, IDS.tolist()) for bits in (1, 2, 4, 8, 16)}
    return depths | {
        "grey by Pillow": in_memory(Image.fromarray(IDS), "PNG", dpi=(72, 72)),
        "palette": in_memory(palette(), "PNG"),
        "palette 1": in_memory(palette(), "PNG", bits=1),
        "palette 2": in_memory(palette(), "PNG", bits=2, transparency=b"\0\x80"),
        "palette 4": in_memory(palette(), "PNG", bits=4, exif=exif),
        "colour": in_memory(Image.fromarray(rgb), "PNG", exif=exif),
        "colour 16": cv2.imencode(".png", rgb.astype(np.uint16) * 257)[1].tobytes(),
        "alpha": in_memory(Image.fromarray(np.dstack([rgb, IDS * 255])), "PNG"),
    }


def by_pillow(path):
    return decoded(path, open_image(path)[1])


@pytest.mark.parametrize("name", pngs())
def test_a_damaged_bit_never_changes_a_pixel(tmp_path, name):
    """Over all kinds 4,000 damages of one bit, each read in all ways: refused, or the same."""
    raw, path, rng = pngs()[name], tmp_path / "m.png", np.random.default_rng(len(name))
    ways = [read_image, by_pillow]
    if not name.startswith(("colour", "alpha")):
        ways.append(read_ids)
        if name != "grey 16":
            ways.append(lambda path: read_mask(path, CLASSES))
    path.write_bytes(raw)
    wanted = [way(path) for way in ways]
    for bit in rng.choice(8 * len(raw), min(8 * len(raw), 310), replace=False):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        for way, pixels in zip(ways, wanted, strict=True):
            try:
                found = way(path)
            except Refusal:
                continue
            assert np.array_equal(found, pixels), f"bit {bit}, {way}"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def stored(bits: int, colour: int, width: int, height: int, rows: bytes, interlaced=0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    body = chunk(b"IHDR", header)
    if colour == 3:
        body += chunk(b"PLTE", bytes(range(6)))
    body += chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("bits", "colour", "size", "count"),
    [(1, 0, (9, 3), 3 * (1 + 2)), (8, 3, (5, 2), 2 * (1 + 5)), (2, 3, (5, 2), 2 * (1 + 2)),
     (16, 2, (3, 2), 2 * (1 + 18)), (8, 6, (3, 1), 1 + 12), (16, 4, (1, 2), 2 * (1 + 4))],
)  # fmt: skip
def test_pixels_that_are_missing(bits, colour, size, count):
    """count: bytes of the rows, each with one for its filter, by PNG's definition."""
    assert png_stream_fault(stored(bits, colour, *size, bytes(count))) == ""
    short = stored(bits, colour, *size, bytes(count - 1))
    assert png_fault(short) == ""
    assert png_stream_fault(short) == "is truncated: its pixels are not all there"


def test_pixels_that_are_missing_in_passes():
    """Adam7 divides 5x5 pixels into 1x1, 1x1, 2x1, 1x2, 3x1, 2x3, 5x2, the width first."""
    count = 2 + 2 + 3 + 2 * 2 + 4 + 3 * 3 + 2 * 6
    assert png_stream_fault(stored(8, 0, 5, 5, bytes(count), 1)) == ""
    assert png_stream_fault(stored(8, 0, 5, 5, bytes(count - 1), 1))
    by_cv = cv2.imdecode(np.frombuffer(stored(8, 0, 5, 5, bytes(count), 1), np.uint8), 0)
    assert by_cv.shape == (5, 5)


def test_a_mask_with_missing_rows(tmp_path):
    """Pillow reads the missing rows as zeros."""
    path = tmp_path / "m.png"
    path.write_bytes(stored(8, 3, 4, 3, b"\0\1\1\1\1" * 2))
    assert np.array(Image.open(path))[2].tolist() == [0, 0, 0, 0]
    for read in (read_ids, lambda path: read_mask(path, CLASSES)):
        with pytest.raises(Refusal, match="is truncated: its pixels are not all there; replace"):
            read(path)
