"""Truncated JPEGs are refused, sound ones read, whatever follows their end."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.doctor.facts import image_facts
from data.formats.pictures import read_picture
from data.images import read_image
from data.jpeg import ending

RNG = np.random.default_rng(5)


def in_memory(image, form: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


PHOTO = cv2.resize(RNG.integers(30, 225, (4, 5, 3), np.uint8), (150, 100))
BASELINE = in_memory(Image.fromarray(PHOTO), quality=92)
PROGRESSIVE = in_memory(Image.fromarray(PHOTO), quality=92, progressive=True)
RESTARTS = in_memory(Image.fromarray(PHOTO), quality=92, restart_marker_blocks=3)
jpegs = pytest.mark.parametrize(
    "raw", [BASELINE, PROGRESSIVE, RESTARTS], ids=["baseline", "progressive", "restarts"]
)


@pytest.fixture
def read(tmp_path):
    def read_bytes(raw: bytes) -> np.ndarray:
        (tmp_path / "a.jpg").write_bytes(raw)
        return read_image(tmp_path / "a.jpg")

    return read_bytes


@jpegs
@pytest.mark.parametrize(
    "tail", [b"", bytes(2048), bytes(3_000_000), b"\0\0\0\x18ftypmp42" + RNG.bytes(80_000),
             b"\xff\xd8\xff\xe1 further", b"\xff" * 7],
    ids=["none", "zeros", "megabytes", "video", "jpeg", "filling"],
)  # fmt: skip
def test_what_follows_the_end_of_a_jpeg(read, raw, tail):
    wanted = np.array(Image.open(io.BytesIO(raw)))
    assert ending(raw + tail).end == len(raw)
    assert np.abs(read(raw + tail).astype(int) - wanted).mean() < 1


@jpegs
def test_a_jpeg_that_lacks_its_end_marker_alone(read, raw):
    wanted = read(raw)
    for bare in (raw[:-2], raw[:-1], raw[:-2] + bytes(700)):
        assert np.array_equal(read(bare), wanted)


@jpegs
def test_truncated_jpegs(read, raw):
    """At every 40th byte, and the last ones of the pixels; with the end marker of a preview."""
    preview = in_memory(Image.fromarray(PHOTO[:9, :9]), "JPEG")
    shown = raw[:2] + b"\xff\xe5" + struct.pack(">H", len(preview) + 2) + preview + raw[2:]
    assert np.array_equal(read(shown), read(raw))
    cuts = [*range(10, len(shown) - 4, 40), *range(len(shown) - 60, len(shown) - 6)]
    for cut in cuts:
        for filled in (b"", bytes(600)):
            with pytest.raises(Refusal, match=r"is truncated|is damaged|is not an image"):
                read(shown[:cut] + filled)
                pytest.fail(f"cut at {cut} of {len(shown)}")


# 16x16 pixels and chroma of half the resolution: of the last block row and column two rows and six
# columns are seen, so that the last bytes of the file are of blocks that nobody sees.
NOISE = np.clip(
    cv2.resize(PHOTO, (70, 50)).astype(int) + RNG.integers(-20, 20, (50, 70, 3)), 0, 255
).astype(np.uint8)
NOISY = Image.fromarray(NOISE)
WRITTEN = {
    "Pillow": in_memory(NOISY, quality=90),
    "optimized": in_memory(NOISY, quality=90, optimize=True),
    "progressive": in_memory(NOISY, quality=90, progressive=True),
    "low quality": in_memory(NOISY, quality=50, subsampling=2),
    "grey": in_memory(NOISY.convert("L")),
    "CMYK": in_memory(NOISY.convert("CMYK")),
    "restarts": in_memory(NOISY, restart_marker_blocks=2),
    "OpenCV": cv2.imencode(".jpg", NOISE)[1].tobytes(),
    "OpenCV, restarts": cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_RST_INTERVAL, 3])[
        1
    ].tobytes(),
}
OTHER = in_memory(Image.fromarray(255 - NOISE))
written = pytest.mark.parametrize("raw", WRITTEN.values(), ids=WRITTEN)


def facts_of(path):
    found = image_facts(path)
    if found.fault:
        raise Refusal(f"{path} {found.fault}")
    return found.digest


@pytest.fixture
def doors(tmp_path):
    """From bytes to what training, an import and the check read of them, None if refused."""
    path = tmp_path / "a.jpg"

    def read(raw: bytes) -> list:
        path.write_bytes(raw)
        found = []
        for door in (read_image, lambda path: read_picture(path).pixels, facts_of):
            try:
                found.append(np.array(door(path)).tolist())
            except Refusal:
                found.append(None)
        return found

    return read


@written
def test_the_last_bytes_of_a_truncated_jpeg(doors, raw):
    """At each of the last 40 bytes; only the end marker may be missing, and a byte before it."""
    wanted = doors(raw)
    assert None not in wanted
    for cut in range(len(raw) - 40, len(raw)):
        found = doors(raw[:cut])
        assert found == wanted if cut >= len(raw) - 2 else found in ([None] * 3, wanted), cut
        if cut < len(raw) - 3:
            assert found == [None] * 3, cut


@written
def test_a_truncated_jpeg_with_an_end_marker(doors, raw):
    """The end marker that a program added, or that of another file that follows.

    The last scan of a progressive file only refines its coefficients, by one bit.
    """
    last = raw.rindex(b"\xff\xda") if raw is WRITTEN["progressive"] else len(raw)
    for cut in (last // 2, last * 2 // 3, last * 4 // 5):
        for end in (b"\xff\xd9", OTHER, bytes(40) + OTHER):
            assert doors(raw[:cut] + end) == [None] * 3, (cut, end[:4])


def test_grey_at_the_end_is_no_damage(doors):
    """128 is what decoders give for missing pixels; the scene may be of that grey as well."""
    grey = NOISE.copy()
    grey[16:] = 128
    for raw in (in_memory(Image.fromarray(grey), quality=95), cv2.imencode(".jpg", grey)[1]):
        found = doors(bytes(raw))
        assert None not in found and found[0][-1][-1] == [128] * 3


def test_limits_that_baseline_scans_may_state(doors):
    """Some cameras write 0 to 0 where 0 to 63 is meant; decoders ignore it."""
    raw = WRITTEN["Pillow"]
    at = raw.index(b"\xff\xda") + 2 + 2 + 1 + 2 * 3
    assert raw[at : at + 3] == b"\0\x3f\0"
    assert doors(raw[:at] + bytes(3) + raw[at + 3 :]) == doors(raw)
