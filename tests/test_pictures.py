"""Images of a source in every kind, against the pixels that they were written from."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.__main__ import import_options
from data.dataset import read_dataset
from data.formats import Note
from data.formats.account import summed
from data.formats.imports import SplitOptions, import_source
from data.formats.pictures import eight_bits, read_picture
from data.formats.values import FRAMES
from data.images import open_image, orientation_of, read_image, read_pair, stored_size

RNG = np.random.default_rng(2)
PHOTO = cv2.resize(RNG.integers(30, 225, (4, 5, 3), np.uint8), (64, 40))
ORIENTATION = 0x0112
# EXIF 2.3: the side of the view at which the stored row 0 and column 0 lie.
TURNED = {
    1: lambda m: m, 2: np.fliplr, 3: lambda m: np.rot90(m, 2), 4: np.flipud,
    5: lambda m: m.swapaxes(0, 1), 6: lambda m: np.rot90(m, -1),
    7: lambda m: np.rot90(m, 2).swapaxes(0, 1), 8: np.rot90,
}  # fmt: skip


def tiff(pixels, bits: int, *tags: tuple[int, int], data: bytes | None = None) -> bytes:
    """An uncompressed TIFF of (H, W) or (H, W, 3) uint16, by the specification TIFF 6.0: a header,
    one directory of 12-byte entries in order, then the pixels. tags: further short values."""
    height, width, count = (*pixels.shape, 1)[:3]
    data = pixels.astype("<u2").tobytes() if data is None else data
    shorts = [(256, width), (257, height), (259, 1), (262, 2 if count == 3 else 1), (277, count),
              (278, height), *tags]  # fmt: skip
    end = 8 + 2 + 12 * (len(shorts) + 3) + 4
    entries = [(tag, struct.pack("<HHIHH", tag, 3, 1, value, 0)) for tag, value in shorts]
    entries += [
        (258, struct.pack("<HHI", 258, 3, count) + struct.pack(*("<I", end) if count == 3
                                                               else ("<HH", bits, 0))),
        (273, struct.pack("<HHII", 273, 4, 1, end + 6)),
        (279, struct.pack("<HHII", 279, 4, 1, len(data))),
    ]  # fmt: skip
    body = b"".join(entry for _, entry in sorted(entries))
    depths = struct.pack("<3H", bits, bits, bits)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + body + bytes(4) + depths + data


def twelve_bits(pixels) -> bytes:
    """Two values of 12 bits in three bytes, as TIFF packs them, the width being even."""
    text = "".join(f"{value:012b}" for value in pixels.ravel())
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


@pytest.fixture
def picture(tmp_path):
    def read(raw: bytes, ending: str = ".tif"):
        (tmp_path / f"a{ending}").write_bytes(raw)
        return read_picture(tmp_path / f"a{ending}")

    return read


def scaled(values, top: int):
    """By hand: a whole of `top` parts becomes one of 255, the nearest number."""
    grey = np.array([[(2 * 255 * int(v) + top) // (2 * top) for v in row] for row in values])
    return np.stack([grey] * 3, -1)


VALUES = np.uint16([[0, 100, 2040, 7], [1020, 2, 1, 900]])


@pytest.mark.parametrize(
    ("raw", "top", "said"),
    [(tiff(VALUES, 16), 2047, "16 bits a channel, of which its values use 11: 2047 became 255"),
     (tiff(VALUES, 16, (281, 4000)), 4000, "its largest value, stated as 4000, became 255"),
     (tiff(VALUES, 16, (281, 2039)), 2047, "use 11: 2047 became"),  # which cannot be
     (tiff(VALUES, 12, data=twelve_bits(VALUES)), 4095, "12 bits a channel: its largest value, "),
     (tiff(VALUES // 10, 16), 255, "use 8: 255 became 255"),
     (tiff(VALUES * 32, 16), 65535, "use 16: 65535 became 255"),
     (tiff(VALUES * 0, 16), 255, "use 8")],
)  # fmt: skip
def test_grey_of_many_bits(picture, raw, top, said):
    found = picture(raw)
    values = VALUES * {"use 8": 0}.get(said, 1)
    values = values // 10 if top == 255 else values * 32 if top == 65535 else values
    assert found.pixels.tolist() == scaled(values, top).tolist()
    assert found.pixels.dtype == np.uint8 and not found.as_is
    assert len(found.notes) == 1 and said in found.notes[0].text


def test_colour_of_many_bits(picture):
    deep = PHOTO.astype(np.uint16) * 8 + 7  # 247 to 1807 at most: 11 bits
    files = [(tiff(deep, 16), ".tif"), (cv2.imencode(".png", deep[..., ::-1])[1].tobytes(), ".png"),
             (cv2.imencode(".tif", deep[..., ::-1])[1].tobytes(), ".tiff")]  # fmt: skip
    for raw, ending in files:
        found = picture(raw, ending)
        assert np.abs(found.pixels - deep * (255 / 2047)).max() <= 0.5 and not found.as_is


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_files(picture, orientation):
    wanted = TURNED[orientation](PHOTO)
    deep = PHOTO.astype(np.uint16) * 257
    assert np.array_equal(picture(tiff(deep, 16, (274, orientation))).pixels, wanted)
    grey = picture(tiff(deep[..., 0], 16, (274, orientation)))
    assert np.array_equal(grey.pixels[..., 1], wanted[..., 0])
    assert stored_size(grey.header) == (40, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_all_kinds(picture, form, orientation):
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True},
               "AVIF": {"quality": 98, "subsampling": "4:4:4"}}.get(form, {})  # fmt: skip
    Image.fromarray(PHOTO).save(file, form, exif=exif, **options)
    found = picture(file.getvalue(), f".{form.lower()}")
    assert orientation_of(found.header) == orientation and stored_size(found.header) == (40, 64)
    assert np.abs(found.pixels.astype(int) - TURNED[orientation](PHOTO)).mean() < 2


def test_exif_after_the_pixels_of_a_png(tmp_path):
    exif, file = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = 6
    Image.fromarray(PHOTO).save(file, "PNG", exif=exif)
    raw = file.getvalue()
    start = raw.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(raw[start : start + 4])
    moved = raw[:start] + raw[end:-12] + raw[start:end] + raw[-12:]
    (tmp_path / "a.png").write_bytes(moved)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(PHOTO, -1))


def test_an_orientation_that_viewers_ignore(tmp_path):
    """One in XMP alone, or a damaged or impossible one."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", xmp=xmp, quality=95)
    assert Image.open(tmp_path / "a.jpg").getexif()[ORIENTATION] == 6
    for number, stored in enumerate((None, b"Exif\0\0damaged", 0, 9)):
        exif = Image.Exif()
        if isinstance(stored, int):
            exif[ORIENTATION] = stored
        exif = stored if isinstance(stored, bytes) else exif
        Image.fromarray(PHOTO).save(tmp_path / f"{number}.jpg", exif=exif)
    for path in tmp_path.iterdir():
        assert orientation_of(open_image(path)[1]) == 1
        assert read_image(path).shape == (40, 64, 3)


def test_heic(picture, tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PHOTO)).save(file, quality=95, chroma=444)
    for ending in (".heic", ".HEIF", ".jpg"):  # telephones send HEIC under the name of a JPEG
        found = picture(file.getvalue(), ending)
        assert np.abs(found.pixels.astype(int) - PHOTO).mean() < 2 and not found.as_is


def saved(form: str, image=None, **options) -> bytes:
    file = io.BytesIO()
    (Image.fromarray(PHOTO) if image is None else image).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "ending", "as_is", "most"),
    [(saved("PNG"), ".png", True, 0), (saved("BMP"), ".bmp", True, 0),
     (saved("JPEG", quality=95), ".jpg", True, 3), (saved("JPEG", quality=95), ".jfif", False, 3),
     (saved("PNG", Image.fromarray(PHOTO).convert("RGBA")), ".png", True, 0),
     (saved("TIFF", compression="tiff_lzw"), ".tif", False, 0),
     (saved("TIFF", Image.fromarray(PHOTO).convert("CMYK")), ".tiff", False, 1),
     (saved("JPEG", Image.fromarray(PHOTO).convert("CMYK"), quality=95), ".jpg", True, 3),
     (saved("AVIF", quality=95), ".avif", False, 3), (saved("TIFF"), ".png", False, 0)],
)  # fmt: skip
def test_kinds(picture, raw, ending, as_is, most):
    found = picture(raw, ending)
    assert np.abs(found.pixels.astype(int) - PHOTO).mean() <= most
    assert (found.as_is, found.notes) == (as_is, ())


@pytest.mark.parametrize(("form", "as_is"), [("PNG", True), ("WEBP", True), ("GIF", False),
                                             ("TIFF", False), ("AVIF", False)])  # fmt: skip
def test_the_first_of_several_images_is_read(picture, form, as_is):
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}}.get(form, {})
    flat = Image.fromarray(np.full((8, 9, 3), (10, 200, 30), np.uint8))
    other = Image.fromarray(np.full((8, 9, 3), (200, 10, 30), np.uint8))
    found = picture(saved(form, flat, save_all=True, append_images=[other], **options), f".{form}")
    assert np.abs(found.pixels.astype(int) - [10, 200, 30]).max() < 6
    assert [note.text for note in found.notes] == [FRAMES]


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [("a.cr2", saved("TIFF"), "is of a kind that is not read: convert it to PNG or JPEG"),
     ("a.PSD", b"8BPS", "is of a kind that is not read: convert it to PNG or JPEG"),
     ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300), "or a form of HEIC that"),
     ("a.jpg", b"\xff\xd8\xff\xe0 no more", "is damaged, or a form of JPEG"),
     ("a.tif", cv2.imencode(".tif", np.ones((4, 5, 3), np.float32))[1].tobytes(),
      "is a TIFF of float numbers: convert it to PNG or JPEG, with 8 or 16 bits a channel"),
     ("a.tif", cv2.imencode(".tif", np.ones((4, 5), np.float32))[1].tobytes(), "such as float"),
     ("a.jpg", b"<html>", "is not an image: replace or remove it")],
)  # fmt: skip
def test_why_a_file_is_not_read(tmp_path, name, raw, why):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(Refusal) as caught:
        read_picture(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} ") and why in str(caught.value)


def test_eight_bits_by_hand():
    pixels, how = eight_bits(np.uint16([[0, 1023], [512, 4]]), 16, 0)
    assert pixels[..., 2].tolist() == [[0, 255], [128, 1]]  # 512/1023 = 127.6, 4/1023 = 1.0
    assert how == "has 16 bits a channel, of which its values use 10: 1023 became 255"


def test_notes_are_summed():
    a, b, c = (Note(Path(name), "is odd", count) for name, count in (("a", 2), ("b", 0), ("c", 3)))
    assert summed([a, b, c, Note(Path("d"), "is even")]) == [
        "a is odd (5 pixels in all), and so do 2 more files", "d is even"]  # fmt: skip


def test_an_import_of_many_kinds(tmp_path):
    """Each image is in the dataset as a file that training reads, with its mask."""
    source, mask = tmp_path / "source", np.uint8(PHOTO[..., 0] > 120)
    files = {"a.tif": tiff(PHOTO.astype(np.uint16) * 8, 16), "b.avif": saved("AVIF", quality=95),
             "c.jfif": saved("JPEG", quality=95), "d.PNG": saved("PNG"),
             "e.jpg": saved("TIFF")}  # fmt: skip
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    for name, raw in files.items():
        (source / "images" / name).write_bytes(raw)
        Image.fromarray(mask).save(source / "masks" / f"{name[0]}.png")
    (source / "images/d.nef").write_bytes(b"raw")  # beside its PNG
    (source / "images/f.nef").write_bytes(b"raw")  # alone
    Image.fromarray(mask).save(source / "masks/f.png")
    args = import_options("folder").parse_args(
        [str(source), str(tmp_path / "out"), "--values", "0=ground", "1=cat"]
    )
    account = import_source("folder", args, {}, SplitOptions(val=0.3))
    nef = source / "images/f.nef"
    assert account.broken == [f"{nef} is of a kind that is not read: convert it to PNG or JPEG"]
    assert "a.tif has 16 bits a channel, of which its values use 11" in account.notes[0]
    dataset = read_dataset(tmp_path / "out")
    pairs = [pair for split in ("train", "val") for pair in dataset.pairs(split)]
    assert sorted(pair[0].name for pair in pairs) == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    for pair in pairs:
        image, found = read_pair(pair, dataset)
        assert np.abs(image.astype(int) - PHOTO).mean() < 3 and np.array_equal(found, mask)
