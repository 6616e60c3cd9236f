"""Reading and writing images and masks, against Pillow and by hand."""

import os
import re
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from mutations import grey_png as low_bit_png
from PIL import Image

from cli import Refusal
from data import images
from data.dataset import Dataset
from data.images import read_checked, read_image, read_mask, read_pair, resize, turned, write_image

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
IDS = np.uint8([[0, 1, 2], [2, 1, 255]])
ORIENTATION = 0x0112


def dataset(void=255):
    return Dataset(None, ["a", "b", "c"], [], void)


def saved(path, values, **options):
    (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(path, **options)
    return path


def refused(read, *args):
    with pytest.raises(Refusal) as caught:
        read(*args)
    return str(caught.value)


def test_files_that_are_not_opened(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "one").write_bytes(b"x")
    for size, name in ((images.MOST_BYTES, "most"), (images.MOST_BYTES + 1, "large")):
        with open(tmp_path / name, "wb") as file:
            file.truncate(size)  # takes no room on the disk
    os.mkfifo(tmp_path / "pipe")
    faults = {
        "nothing": "cannot be read: No such file or directory",
        "empty": "is empty, 0 bytes",
        "one": "",
        "most": "",
        "large": "has 512 MB; shrink it",
        "pipe": "is not a regular file",
        ".": "is not a regular file",
    }
    assert {name: images.fault_of(tmp_path / name) for name in faults} == faults
    assert refused(read_checked, tmp_path / "empty") == f"{tmp_path / 'empty'} is empty, 0 bytes"
    assert read_checked(tmp_path / "one") == b"x"


def test_bytes_of_a_member_of_a_shard(tmp_path):
    assert read_checked(SimpleNamespace(read_bytes=lambda: b"member")) == b"member"
    (tmp_path / "file").write_bytes(b"file")
    assert images.read_bytes(str(tmp_path / "file")) == b"file"
    message = refused(images.read_bytes, tmp_path / "gone")
    assert message == f"{tmp_path / 'gone'} cannot be read: No such file or directory"


@pytest.mark.parametrize("ending", ["png", "bmp", "webp"])
def test_images_are_read_as_pillow_reads_them(tmp_path, ending):
    path = saved(tmp_path / f"a.{ending}", IMAGE, lossless=True)
    assert np.array_equal(read_image(path), IMAGE)


def test_grey_images_are_read_as_rgb(tmp_path):
    path = saved(tmp_path / "a.png", IMAGE[..., 0])
    assert np.array_equal(read_image(path), IMAGE[..., :1].repeat(3, -1))


def test_what_is_no_image(tmp_path):
    path = tmp_path / "a.png"
    for raw in (b"no image", b"P6 1 1 255\nrgb"):  # Pillow opens PPM, which is not supported
        path.write_bytes(raw)
        assert refused(read_image, path) == f"{path} is not an image: replace or remove it"


def test_images_that_are_too_large(tmp_path):
    """Judged by the header, before a pixel is decoded."""
    path = tmp_path / "a.png"
    path.write_bytes(low_bit_png(8, [[0]], claimed=(10001, 10000)))
    wanted = f"{path} has 10001x10000 pixels; shrink it"
    assert refused(read_image, path) == refused(read_mask, path, dataset()) == wanted
    path.write_bytes(low_bit_png(8, [[0]], claimed=(17, 5882353)))  # 100,000,001
    assert refused(read_image, path) == f"{path} has 17x5882353 pixels; shrink it"
    path.write_bytes(low_bit_png(8, [[0]], claimed=(10000, 10000)))
    assert images.open_image(path)[1].size == (10000, 10000)


def test_truncated_and_damaged_files(tmp_path):
    whole = saved(tmp_path / "a.jpg", np.tile(IMAGE, (20, 20, 1))).read_bytes()
    png = saved(tmp_path / "a.png", IMAGE).read_bytes()
    assert len(whole) > 4000
    for name, raw, fault in [
        ("a.jpg", whole[:3000], "is truncated: "),
        ("a.jpg", whole[:3000] + bytes(9000), "is truncated: "),  # as rescued from a disk
        ("a.png", png[:60], "is damaged or truncated: it ends within a chunk; "),
        ("a.png", png[:-1], "is damaged or truncated: it ends within a chunk; "),
        ("a.png", png[:50] + b"?" + png[51:], "is damaged: its chunk IDAT has a wrong checksum; "),
    ]:
        (tmp_path / name).write_bytes(raw)
        assert refused(read_image, tmp_path / name) == (
            f"{tmp_path / name} {fault}replace or remove it"
        )


def test_pixels_in_the_mode_of_the_file_or_another(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(IMAGE[..., 0]))
    assert np.array_equal(images.decoded(path, Image.open(path)), IMAGE[..., 0])
    rgb = images.decoded(path, Image.open(path), "RGB")
    assert np.array_equal(rgb, IMAGE[..., :1].repeat(3, -1))
    cut = Image.open(BytesIO(path.read_bytes()[:45]))
    assert refused(images.decoded, path, cut) == (
        f"{path} is damaged or truncated: it ends within a chunk; replace or remove it"
    )


@pytest.mark.parametrize(
    ("form", "mode", "bits", "wanted"),
    [("PNG", "L", 2, [0, 1, 2, 3]), ("PNG", "L", 8, [0, 85, 170, 255]), ("PNG", "L", 1, None),
     ("PNG", "P", 2, None), ("BMP", "L", 2, None), ("TIFF", "L", 2, None), ("PNG", "1", 2, None),
     ("PNG", "L", 4, [0, 5, 10, 15])],
)  # fmt: skip
def test_only_grey_pngs_of_two_and_four_bits_are_scaled_back(form, mode, bits, wanted):
    """Pillow makes the largest value of two bits, 3, to 255, and that of four, 15."""
    values, header = np.uint8([0, 85, 170, 255]), bytes(24) + bytes([bits])
    found = images.as_stored(values, header, SimpleNamespace(format=form, mode=mode))
    assert found.tolist() == (wanted or values.tolist()) and found.dtype == np.uint8


def test_void_of_masks(tmp_path):
    path = saved(tmp_path / "m.png", IDS)
    assert read_mask(path, dataset()).tolist() == IDS.tolist()
    assert read_mask(path, dataset(void=1)).tolist() == [[0, 255, 2], [2, 255, 255]]
    assert read_mask(path, dataset(void=0)).tolist() == [[255, 1, 2], [2, 1, 255]]
    assert read_mask(path, dataset()).dtype == np.uint8


def test_ids_that_are_no_class(tmp_path):
    path = saved(tmp_path / "m.png", np.uint8([[0, 3], [4, 2]]))
    assert refused(read_mask, path, dataset()) == (
        f"{path} contains id 3, but there are 3 classes (ids 0 to 2); name the class in "
        "dataset.toml or set void"
    )
    assert "contains id 4," in refused(read_mask, path, dataset(void=3))


@pytest.mark.parametrize("mode", ["RGB", "LA", "I;16"])
def test_masks_of_several_channels_or_many_bits(tmp_path, mode):
    path = saved(tmp_path / "m.png", Image.new(mode, (3, 2)))
    assert refused(read_mask, path, dataset()) == (
        f"{path} is stored with image mode {mode}; needed: 8-bit grey or palette with class ids. "
        "Write one channel that holds 0, 1, 2, ..."
    )


def test_masks_that_are_no_grey_png(tmp_path):
    palette = Image.frombytes("P", (3, 2), IDS.tobytes())
    palette.putpalette([value for i in range(256) for value in (255 - i, i, 7)])
    for ending in ("png", "bmp"):
        path = saved(tmp_path / f"p.{ending}", palette)
        assert read_mask(path, dataset()).tolist() == IDS.tolist()
    path = saved(tmp_path / "1.png", Image.fromarray(np.bool_([[0, 1, 1], [1, 0, 0]])))
    assert read_mask(path, dataset()).tolist() == [[0, 1, 1], [1, 0, 0]]
    assert images.grey_png((tmp_path / "p.png").read_bytes()) is None


def test_the_fast_path_is_for_grey_pngs_of_eight_bits(tmp_path, monkeypatch):
    """Any other file is left to Pillow."""
    raw = saved(tmp_path / "m.png", IDS).read_bytes()
    assert images.grey_png(raw).tolist() == IDS.tolist()
    for mode in ("RGB", "LA", "P", "1", "I;16"):
        other = saved(tmp_path / "o.png", Image.new(mode, (3, 2)))
        assert images.grey_png(other.read_bytes()) is None
    for ending in ("bmp", "webp"):
        assert images.grey_png(saved(tmp_path / f"o.{ending}", IDS).read_bytes()) is None
    for most, read in ((5, False), (6, True)):  # of 2 x 3 pixels
        monkeypatch.setattr(images, "MOST_PIXELS", most)
        assert (images.grey_png(raw) is not None) == read


def test_masks_are_not_turned(tmp_path):
    """Neither by OpenCV nor by Pillow: an importer has turned them with their images."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for image in (Image.fromarray(IDS), Image.frombytes("P", (3, 2), IDS.tobytes())):
        if image.mode == "P":
            image.putpalette(bytes(768))
        path = saved(tmp_path / f"{image.mode}.png", image, exif=exif)
        assert read_mask(path, dataset()).tolist() == IDS.tolist()


def test_a_pair_of_two_sizes(tmp_path):
    image, mask = saved(tmp_path / "i.png", IMAGE), saved(tmp_path / "m.png", IDS)
    assert refused(read_pair, (image, mask), dataset()) == (
        f"{mask} is 2x3 (HxW) but its image i.png is 5x7: resize the mask by nearest neighbour, "
        "or remove the pair"
    )
    saved(mask, np.zeros((6, 8), np.uint8))  # larger than the image
    assert "m.png is 6x8 (HxW) but its image i.png is 5x7: " in refused(
        read_pair, (image, mask), dataset()
    )
    saved(mask, IDS)
    saved(image, IMAGE[:2, :3])
    found = read_pair((image, mask), dataset())
    assert np.array_equal(found[0], IMAGE[:2, :3]) and np.array_equal(found[1], IDS)


def test_resize_by_hand():
    small = np.uint8([[[0, 100, 40], [100, 0, 40]]])  # (1, 2, 3)
    # Four pixels of two: a quarter and three quarters of the way between the centres.
    wide = [[[0, 100, 40], [25, 75, 40], [75, 25, 40], [100, 0, 40]]]
    assert resize(small, (1, 4)).tolist() == wide
    assert resize(small.swapaxes(0, 1), (4, 1)).tolist() == [[pixel] for pixel in wide[0]]
    # Six pixels averaged to two, where bilinear takes only the middle one of three.
    tall = np.uint8([0, 0, 90, 30, 60, 240])[:, None, None].repeat(3, 2)
    assert resize(tall, (2, 1))[..., 0].tolist() == [[30], [110]]
    # One side of each: averaged to 30 and 110 first, then four columns of one.
    assert resize(tall, (2, 4))[..., 0].tolist() == [[30] * 4, [110] * 4]
    assert resize(tall.swapaxes(0, 1), (4, 2))[..., 0].tolist() == [[30, 110]] * 4
    assert np.array_equal(resize(IMAGE, (5, 7)), IMAGE)


TURNED = {
    1: lambda m: m, 2: np.fliplr, 3: lambda m: np.rot90(m, 2), 4: np.flipud, 5: np.transpose,
    6: lambda m: np.rot90(m, -1), 7: lambda m: np.rot90(m, 2).T, 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
def test_turned(orientation):
    """Orientations as EXIF 2.3 defines them: the side at which row 0 and column 0 are shown."""
    for mask in (IDS, np.uint16(IDS) * 200, np.int32(IDS) * 70000):
        found = turned(mask, orientation)
        assert np.array_equal(found, TURNED[orientation](mask)) and found.dtype == mask.dtype


def test_images_are_written_as_pillow_reads_them(tmp_path):
    for values in (IMAGE, IMAGE[..., 0]):
        write_image(tmp_path / "a.png", values)
        assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), values)
    write_image(tmp_path / "a.jpg", IMAGE)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
        # Quality 95 scales the tables of the standard, which begin with 16 and 17, by a tenth.
        assert {number: table[0] for number, table in image.quantization.items()} == {0: 2, 1: 2}
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.jpg", "a.png"]


@pytest.mark.parametrize(("name", "shown"), [("a.xyz", ".xyz"), ("a", "a file without an ending")])
def test_images_of_no_known_format_are_not_written(tmp_path, name, shown):
    with pytest.raises(Refusal, match=re.escape(
        f"an image cannot be written as {shown}: name a file that ends in .png or .jpg"
    )):  # fmt: skip
        write_image(tmp_path / name, IMAGE)
    assert list(tmp_path.iterdir()) == []


def test_the_former_name_still_reads(tmp_path):
    from data.pictures import read_picture

    write_image(tmp_path / "a.png", np.full((2, 3, 3), 7, np.uint8))
    assert (read_picture(tmp_path / "a.png") == 7).all()
