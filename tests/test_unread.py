"""Images and masks of kinds that a dataset does not hold: named by training, check and pack."""

import io
import os
import shutil

import numpy as np
import pytest
from broken_sets import check, ids, mask, photo, valid
from PIL import Image

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.pack import pack

__all__ = ["valid"]  # fixtures

NAME = "0001"


@pytest.fixture
def folder(valid, tmp_path):
    return shutil.copytree(valid, tmp_path / "s")


def replaced(folder, raw: bytes, ending: str):
    path = photo(folder, NAME).with_suffix(ending)
    photo(folder, NAME).unlink()
    path.write_bytes(raw)
    return path


def saved(folder, form: str, **options) -> bytes:
    file = io.BytesIO()
    image = Image.open(photo(folder, NAME)).convert("RGB")
    if form == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(image).save(file, quality=95, chroma=444)
    else:
        image.save(file, form, **options)
    return file.getvalue()


def reported(folder) -> dict:
    return {f.check: [f"{n.name} {n.note}" for n in f.files] for f in findings(examine(folder))}


def refused_by_training_and_pack(folder, message):
    with pytest.raises(Refusal, match=message):
        read_dataset(folder).pairs("train")
    with pytest.raises(Refusal, match=message):
        pack(folder, folder.parent / "packed")
    assert not (folder.parent / "packed").exists()


@pytest.mark.parametrize(
    ("form", "ending", "most"),
    [("HEIF", ".heic", 3), ("HEIF", ".HIF", 3), ("AVIF", ".avif", 8), ("TIFF", ".tif", 0),
     ("GIF", ".gif", 40), ("JPEG", ".jfif", 8)],
)  # fmt: skip
def test_kinds_that_fix_converts(folder, form, ending, most):
    wanted = np.array(Image.open(photo(folder, NAME)).convert("RGB")).astype(int)
    replaced(folder, saved(folder, form), ending)
    refused_by_training_and_pack(
        folder, rf"images/{NAME}\{ending} is of a kind that training does not read: convert it to "
        "PNG or JPEG, or remove it. python -m data check .*/s --fix OUT converts HEIC"
    )  # fmt: skip
    assert reported(folder) == {
        "image format": [f"train/images/{NAME}{ending} has the ending {ending}"]
    }
    end = check(folder, "--fix", folder.parent / "out")
    assert end.returncode == 0, end.stdout
    assert f"train/images/{NAME}{ending}: written as PNG" in end.stdout
    found = np.array(Image.open(photo(folder.parent / "out", NAME))).astype(int)
    assert np.abs(found - wanted).mean() <= most
    assert np.array_equal(ids(folder.parent / "out", NAME), ids(folder, NAME))


@pytest.mark.parametrize("ending", [".heic", ".dng", ".psd", ".svg", ".CR2"])
def test_kinds_that_nothing_reads(folder, ending):
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300)
    path = replaced(folder, heic if ending == ".heic" else b"8BPS" + bytes(300), ending)
    shutil.copy(path, path.with_stem("9999"))
    refused_by_training_and_pack(
        folder, rf"{NAME}\{ending} is of a kind that training does not read, and 1 more like it: "
    )
    found = reported(folder)
    (line,) = found.pop("broken image")
    assert line.startswith(f"train/images/{NAME}{ending} is ") and "not read" in line
    assert found == {"image without mask": [f"train/images/9999{ending} has no mask"]}
    end = check(folder, "--fix", folder.parent / "out")
    assert end.returncode == 0
    assert f"{NAME}{ending}: left out because it is " in end.stdout
    assert f"9999{ending}: left out because it has no mask" in end.stdout


def test_a_raw_file_beside_its_image_is_passed_over(folder):
    for ending in (".dng", ".heic"):
        photo(folder, NAME).with_suffix(ending).write_bytes(b"raw")
    for name in ("images/.9.heic", "images/._0001.png", "masks/._0001.png"):  # as macOS writes them
        (folder / "train" / name).write_bytes(b"hidden")
    assert len(read_dataset(folder).pairs("train")) == 32
    assert reported(folder) == {
        "ignored file": [f"train/images/{NAME}{ending} has a file type that training does not read"
                         for ending in (".dng", ".heic")]
    }  # fmt: skip


@pytest.mark.parametrize("ending", [".svg", ".psd", ".heic"])
def test_masks_that_are_not_read(folder, ending):
    """Beside the PNG a drawing is a work file; in place of it the mask is missing."""
    drawing = mask(folder, NAME).with_suffix(ending)
    drawing.write_bytes(b"drawing")
    line = f"train/masks/{NAME}{ending} has a file type that training does not read"
    assert len(read_dataset(folder).pairs("train")) == 32
    assert reported(folder) == {"ignored file": [line]}
    mask(folder, NAME).unlink()
    refused_by_training_and_pack(
        folder, rf"masks/{NAME}.png is missing, and {NAME}\{ending} is not read as one: save it as"
    )
    assert reported(folder) == {
        "image without mask": [f"train/images/{NAME}.png has no mask"], "ignored file": [line],
    }  # fmt: skip


def test_only_such_images(tmp_path):
    (tmp_path / "train/images").mkdir(parents=True)
    (tmp_path / "train/masks").mkdir()
    (tmp_path / "train/images/a.heic").write_bytes(b"")
    (tmp_path / "dataset.toml").write_text("classes = ['a', 'b']")
    with pytest.raises(Refusal, match=r"a\.heic is of a kind that training does not read: "):
        read_dataset(tmp_path).pairs("train")


def test_no_file_of_the_copy_is_one_of_the_dataset(folder):
    """An edit in place of the copy would change the dataset if they were linked."""
    assert check(folder, "--fix", folder.parent / "out").returncode == 0
    inodes = [
        {os.stat(path).st_ino for path in top.rglob("*") if path.is_file()}
        for top in (folder, folder.parent / "out")
    ]
    assert len(inodes[1]) > 60 and not inodes[0] & inodes[1]
