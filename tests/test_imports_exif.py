"""python -m data import: masks of images with an EXIF orientation."""

import numpy as np
import pytest
from PIL import Image
from sources import splits_of, write_pair, written

from data.__main__ import import_
from data.dataset import read_dataset
from data.formats import Found, Item
from data.images import read_pair

CLASSES = "0=sky 1=cat 2=dog 3=tree 9=void".split()


def corner(orientation, side=16):
    """(mask as displayed, mask as stored) of an asymmetric image with this EXIF orientation."""
    displayed = np.zeros((2 * side, 3 * side), np.uint8)
    displayed[:side, :side], displayed[:side, side:], displayed[side:, :side] = 3, 2, 1
    to_stored = {  # the inverse of EXIF 2.3, 4.6.4, tag 0x0112
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: np.transpose, 6: np.rot90, 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    return displayed, np.ascontiguousarray(to_stored[orientation](displayed))


def save_oriented(path, mask, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(mask[..., None] * 80, 3, -1)).save(path, exif=exif, quality=95)


def image_as_ids(pair, dataset):
    image, mask = read_pair(pair, dataset)
    return np.round(image[..., 1] / 80).astype(int), mask


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_of_images_with_exif_orientation(tmp_path, orientation, capsys):
    """Masks may match the displayed image, or the stored one if it is rotated by 90 degrees."""
    displayed, stored = corner(orientation)
    for name, mask in (("displayed", displayed), ("stored", stored)):
        if name == "stored" and orientation < 5:
            continue
        write_pair(tmp_path / name, "a", mask)
        save_oriented(tmp_path / name / "images/a.jpg", stored, orientation)
        (tmp_path / name / "images/a.png").unlink()
        out = tmp_path / f"{name}-out"
        import_(["folder", str(tmp_path / name), str(out), "--values", *CLASSES[:4]])
        dataset = read_dataset(out)
        ids, mask = image_as_ids(dataset.pairs("train")[0], dataset)
        assert np.array_equal(ids, displayed) and np.array_equal(mask, displayed)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_formats_whose_masks_match_the_stored_image(tmp_path, orientation):
    displayed, stored = corner(orientation)
    save_oriented(tmp_path / "a.jpg", stored, orientation)
    found = Found(list("abcd"), [Item("a", tmp_path / "a.jpg", lambda: stored, turned=False)], [])
    written(found, tmp_path / "out")
    dataset = read_dataset(tmp_path / "out")
    ids, mask = image_as_ids(dataset.pairs("train")[0], dataset)
    assert np.array_equal(ids, displayed) and np.array_equal(mask, displayed)


def test_a_damaged_exif_block_is_ignored(tmp_path, capsys):
    write_pair(tmp_path / "source", "a", 0)
    path = tmp_path / "source/images/a.png"
    Image.open(path).copy().save(path, exif=b"Exif\0\0garbage")
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    assert splits_of(tmp_path / "out") == {"a": "train"}
