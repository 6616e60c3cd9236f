"""No damage of one bit makes a mask be read as other ids, whichever program wrote it.

FUZZ=N in the environment sets the number of damaged masks (default 500). To run 10,000:

    FUZZ=10000 python -m pytest tests/test_bits.py -s
"""

import io
import os
import struct
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest
from mutations import PNG, chunk
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cli import Refusal
from data.dataset import Dataset
from data.doctor.facts import stored_values
from data.formats.classes import LabelMap, read_as
from data.formats.values import read_colour_values, read_values
from data.images import read_mask, read_pair
from data.intact import PASSES

COUNT = int(os.environ.get("FUZZ", 500))
HEIGHT, WIDTH = 11, 13  # all passes of an interlaced file have pixels, and rows end within a byte
RNG = np.random.default_rng(11)
EXIF = Image.Exif()
EXIF[0x0112] = 6
# What must not change an id: transparency, gamma, an orientation, a text, significant bits.
ANCILLARY = {
    "gAMA": struct.pack(">I", 220_000), "eXIf": EXIF.tobytes()[6:], "tEXt": b"Title\0ids",
    "cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}  # fmt: skip


def ids_of(bits: int) -> np.ndarray:
    """Random ids, (H, W): every one that `bits` bits hold, up to 200, the highest included."""
    most = min(2**bits, 200)
    ids = RNG.integers(0, most, (HEIGHT, WIDTH), np.uint8)
    ids[0, :2] = 0, most - 1
    return ids


def packed_rows(samples: np.ndarray, bits: int, rng) -> bytes:
    """The rows of (H, W, C) samples, each after a filter byte: none, Sub or Up."""
    step, above, out = max(1, samples.shape[2] * bits // 8), None, b""
    for row in samples.reshape(len(samples), -1).astype(int):
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        line = np.frombuffer(int(text, 2).to_bytes(len(text) // 8, "big"), np.uint8)
        kind = int(rng.integers(0, 3))
        left = np.r_[np.zeros(step, np.uint8), line][: len(line)]
        up = np.zeros_like(line) if above is None else above
        out += bytes([kind]) + (line - (np.zeros_like(line), left, up)[kind]).tobytes()
        above = line
    return out


def by_hand(ids, bits: int, colour: int, interlaced: bool = False, level: int = 6) -> bytes:
    """A PNG with several IDAT chunks and every ancillary chunk; colour: 0 grey, 2 RGB, 3 palette.

    16 bits hold the id itself, three channels hold it three times.
    """
    rng = np.random.default_rng(bits * 10 + colour)
    samples = np.repeat(ids[..., None], 3 if colour == 2 else 1, -1)
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    parts = [samples[y::down, x::right] for x, y, right, down in passes]
    rows = b"".join(packed_rows(part, bits, rng) for part in parts)
    stream = zlib.compress(rows, level)
    cuts = sorted(rng.integers(0, len(stream), 3))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, int(interlaced))
    body = [(b"IHDR", header)] + [(k.encode(), v) for k, v in ANCILLARY.items()]
    if colour == 3:
        body += [(b"PLTE", COLOURS[: 3 * 2**bits]), (b"tRNS", b"\0\x80")]
    else:
        body.append((b"tRNS", struct.pack(">H", 1) * (3 if colour == 2 else 1)))
    body += [(b"IDAT", piece) for piece in pieces] + [(b"IEND", b"")]
    return PNG + b"".join(chunk(*part) for part in body)


COLOURS = RNG.permutation(256 * 3).astype(np.uint8).tobytes()  # no two entries are equal


def by_pillow(ids, mode: str, **options) -> bytes:
    image = Image.frombytes("P" if mode == "P" else "L", (WIDTH, HEIGHT), ids.tobytes())
    if mode == "P":
        image.putpalette(COLOURS)
    elif mode == "1":
        image = Image.fromarray(ids.astype(bool))
    elif mode == "I;16":
        image = Image.fromarray(ids.astype(np.uint16))
    elif mode == "RGB":
        image = Image.merge("RGB", [image] * 3)
    info, file = PngInfo(), io.BytesIO()
    for name in ("gAMA", "cHRM"):
        info.add(name.encode(), ANCILLARY[name])
    image.save(file, "PNG", pnginfo=info, exif=EXIF, **options)
    return file.getvalue()


def by_opencv(pixels, *options) -> bytes:
    return cv2.imencode(".png", pixels, options)[1].tobytes()


def masks() -> dict[str, tuple[bytes, np.ndarray]]:
    """(file, ids) of masks of every kind; the name begins with "deep" or "colour" where training
    takes them for no mask: 16 bits, or three channels."""
    one, two, four, eight = (ids_of(bits) for bits in (1, 2, 4, 8))
    found = {}
    for bits, ids in ((1, one), (2, two), (4, four), (8, eight)):
        for interlaced in (False, True):
            passes = " interlaced" * interlaced
            for level in (0, 1, 9) if bits == 8 else (6,):
                found[f"grey {bits} level {level}{passes}"] = by_hand(
                    ids, bits, 0, interlaced, level), ids  # fmt: skip
            found[f"palette {bits}{passes}"] = by_hand(ids, bits, 3, interlaced), ids
        found[f"palette {bits} by Pillow"] = by_pillow(ids, "P", bits=bits), ids
    found["grey 1 by Pillow"] = by_pillow(one, "1"), one
    found["grey 1 by OpenCV"] = by_opencv(one * 255, cv2.IMWRITE_PNG_BILEVEL, 1), one
    for level in (0, 1, 9):
        found[f"grey 8 by Pillow, level {level}"] = (
            by_pillow(eight, "L", compress_level=level),
            eight,
        )
        found[f"grey 8 by OpenCV, level {level}"] = (
            by_opencv(eight, cv2.IMWRITE_PNG_COMPRESSION, level), eight)  # fmt: skip
    found["grey 8 with transparency"] = by_pillow(eight, "L", transparency=3), eight
    for interlaced in (False, True):
        passes = " interlaced" * interlaced
        found[f"deep{passes}"] = by_hand(eight, 16, 0, interlaced), eight
        found[f"colour 8{passes}"] = by_hand(eight, 8, 2, interlaced), eight
    found["deep by Pillow"] = by_pillow(eight, "I;16"), eight
    found["deep by OpenCV"] = by_opencv(eight.astype(np.uint16)), eight
    found["colour by Pillow"] = by_pillow(eight, "RGB"), eight
    found["colour by OpenCV"] = by_opencv(np.dstack([eight] * 3)), eight
    return found


MASKS = masks()
NAMES = [str(i) for i in range(200)]
DATASET = Dataset(None, NAMES, [[0, 0, 0]] * 200, 255)
VALUES = LabelMap(NAMES, {value: value for value in range(200)})


def mask_of(found):
    return getattr(found, "mask", found)


def doors(name: str, image) -> dict:
    """What reads a mask: from a path to its ids, or its colours."""
    ways = {
        "importers": lambda path: read_values(path).stored,
        "classes": lambda path: mask_of(read_as(path, VALUES)),
        "doctor": lambda path: stored_values(path)[1],
        "colours": lambda path: read_colour_values(path).stored,
    }
    if not name.startswith(("deep", "colour")):
        ways["training"] = lambda path: read_mask(path, DATASET)
        ways["a pair"] = lambda path: read_pair((image, path), DATASET)[1]
    return ways


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    return path


@pytest.mark.parametrize("name", MASKS)
def test_every_door_reads_the_ids(name, image):
    raw, ids = MASKS[name]
    path = image.with_name("mask.png")
    path.write_bytes(raw)
    for door, read in doors(name, image).items():
        if door != "colours":
            assert np.array_equal(read(path), ids), door


@pytest.mark.parametrize("name", MASKS)
def test_a_damaged_bit_is_refused_or_changes_no_id(name, image):
    raw, ids = MASKS[name]
    path, ways = image.with_name("mask.png"), doors(name, image)
    path.write_bytes(raw)
    colours = ways["colours"](path)
    each, rng, counts = -(-COUNT // len(MASKS)), np.random.default_rng(len(name)), Counter()
    for bit in rng.choice(8 * len(raw), min(8 * len(raw), each), replace=False):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        for door, read in ways.items():
            try:
                found = read(path)
            except Refusal as refusal:
                assert str(path) in str(refusal)
                counts["refused"] += 1
                continue
            wanted = colours if door == "colours" else ids
            assert np.array_equal(found, wanted), f"bit {bit}, {door}"
            counts["read"] += 1
    print(f"{name}: {len(raw)} bytes, {each} damages, {dict(counts)}")
