"""python -m data check --fix writes a dataset without errors, with correct repairs."""

import json
import shutil

import cv2
import numpy as np
import pytest
from broken_sets import ALL, FAULTS, broken, check, cv2_ids, ids, mask, photo, valid, whole
from conftest import train
from PIL import Image
from test_refusals import contents

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.check import ERROR
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.doctor.fix import write_repaired
from data.doctor.repair import without_strays
from data.images import read_mask, read_pair
from data.shapes import write_shapes

__all__ = ["broken", "valid"]  # fixtures


def errors(folder):
    return [finding for finding in findings(examine(folder)) if finding.rank == ERROR]


@pytest.fixture(scope="module")
def fixed(broken, tmp_path_factory):
    """(the folder that --fix writes for a dataset with every fault, the changes)."""
    out = tmp_path_factory.mktemp("fixed") / "out"
    return out, write_repaired(examine(broken), out)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The same dataset without faults, with the ground-truth masks."""
    folder = tmp_path_factory.mktemp("truth") / "all"
    write_shapes(folder, train=100, val=8)
    return folder


def test_what_comes_out_has_no_error(fixed):
    out, _ = fixed
    assert errors(out) == []
    dataset = read_dataset(out)
    for split in ("train", "val"):
        for pair in dataset.pairs(split):
            read_pair(pair, dataset)


def number_of(report):
    """The index in FAULTS of the fault with this report, as in file names."""
    return f"{next(i for i, (_, _, other) in enumerate(FAULTS) if other == report):04}"


# the report of a fault -> the change that --fix lists
REPAIRS = {
    "{}.png is empty, 0 bytes": "{}.png: left out because it is empty",
    "{}.jpg is truncated": "{}.jpg: left out because it is truncated",
    "{}.png has no mask": "images/{}.png: left out because it has no mask",
    "masks/{}.png has no image": "masks/{}.png: left out because it has no image",
    "{}.png is 128x96 (HxW) but its image {}.png is 96x128": "left out because its mask has a",
    "{}.bmp and {}.png have the same file name":
        "{}.png: left out because another image has its name",
    "{}.png contains the values 0, 85": "masks/{}.png: grey levels replaced with ids",
    "{}.png contains the values 1, ": "masks/{}.png: 1 subtracted from all ids",
    "{}.png is a JPEG file": "masks/{}.png: stray values replaced",
    "{}.png contains id": "masks/{}.png: unknown ids set to void",
    "{}.png has 16 bits per channel and is nearly black": "images/{}.png: written as 8-bit RGB",
    "images/caf\u00e9{}.png has non-ASCII characters": "renamed to cafe{}",
    "train/images/{}.png has the same pixels as val/images/leak{}.png":
        "train/images/{}.png: left out because it is identical to val/images/leak{}.png",
    "train/images/{}.png is nearly identical to val/images/leak{}.jpg":
        "train/images/{}.png: left out because it is nearly identical to val/images/leak{}.jpg",
    "images/{}.png has the same pixels as train/images/again{}.png":
        "images/again{}.png: left out because it repeats train/images/{}.png",
}  # fmt: skip


@pytest.mark.parametrize("report", REPAIRS)
def test_each_change_is_listed(fixed, report):
    out, changes = fixed
    wanted = REPAIRS[report].replace("{}", number_of(report))
    assert sum(wanted in line for line in changes) >= 1, changes
    assert json.loads((out / "origin.json").read_text())["changes"] == changes


# faults whose repair restores every pixel of the mask
EXACT = [
    "{}.PNG is the mask of {}.png but is not named {}.png", "{}.png contains the values 0, 85",
    "{}.png contains the values 1, ", "{}.png is stored with image mode RGB",
    "{}.png is stored with image mode I;16", "{}.png contains the palette indices ",
    "{}.png has 16 bits per channel and is nearly black",
]  # fmt: skip


@pytest.mark.parametrize("report", EXACT)
def test_repairs_give_the_mask_back(fixed, truth, report):
    name = number_of(report)
    assert np.array_equal(ids(fixed[0], name), ids(truth, name))


def test_colours_give_the_mask_back(fixed, truth):
    name = f"{next(i for i, fault in enumerate(FAULTS) if fault[1] == 'colour mask'):04}"
    assert np.array_equal(ids(fixed[0], name), ids(truth, name))


def test_a_turned_mask_by_hand(fixed, truth):
    """EXIF orientation 6: image viewers rotate the image by 90 degrees clockwise."""
    name = number_of("{}.png is 96x128 (HxW) but its image {}.jpg is 128x96")
    assert np.array_equal(ids(fixed[0], name), np.rot90(ids(truth, name)[:96], -1))


def test_a_scaled_mask_fits_again(fixed, truth):
    report = "is 64x64 (HxW) but its image {}.png is 128x128, exactly 1/2 of the image's size"
    name = number_of(report)
    assert (ids(fixed[0], name) == ids(truth, name)).mean() > 0.97


@pytest.mark.parametrize("report", ["{}.png is a JPEG file", "{}.png was smoothed"])
def test_stray_values_go(fixed, truth, report):
    """JPEG at this quality changes a few ids by 1; smoothing keeps the regions."""
    name = number_of(report)
    made, right = ids(fixed[0], name), ids(truth, name)
    assert set(np.unique(made)) <= set(range(4))
    assert (made == right).mean() > 0.97


def test_a_dark_image_is_brightened(fixed, truth):
    name = number_of("{}.png has 16 bits per channel and is nearly black")
    made, right = (cv2.imread(str(photo(folder, name))).astype(int) for folder in (fixed[0], truth))
    assert np.abs(made - right * 255 / right.max()).max() <= 1


def test_the_source_is_never_touched(broken, tmp_path):
    odd = [
        f"{number_of(report)}.png"
        for report in ("{}.png is not a regular file", "{}.png cannot be read")
    ]
    shutil.copytree(broken, tmp_path / "s", ignore=lambda folder, names: odd)
    before = contents(tmp_path / "s")
    end = check(tmp_path / "s", "--fix", tmp_path / "out")
    assert end.returncode == 0, end.stderr
    assert contents(tmp_path / "s") == before
    assert "masks/0017.png: 1 subtracted" in end.stdout.partition("--fix:")[2]


def test_where_the_repaired_dataset_may_be_written(valid, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    for out, message in ((valid / "new", "is inside the dataset"), (valid, "is inside the dataset"),
                       (tmp_path / "full", "exists: name a new or an empty folder")):  # fmt: skip
        before = contents(valid)
        end = check(valid, "--fix", out)
        assert end.returncode == 2 and message in end.stderr
        assert contents(valid) == before
    (tmp_path / "empty").mkdir()
    assert check(valid, "--fix", tmp_path / "empty").returncode == 0
    assert contents(tmp_path / "empty").keys() - {tmp_path / "empty/origin.json"} == {
        tmp_path / "empty" / path.relative_to(valid) for path in contents(valid)
    } - {tmp_path / "empty/origin.json"}


@pytest.mark.parametrize("kind", ALL)
def test_all_masks_wrong_in_one_way(valid, tmp_path, kind):
    change, classes, _ = ALL[kind]
    shutil.copytree(valid, tmp_path / "s")
    whole(tmp_path / "s", change)
    (tmp_path / "s/dataset.toml").write_text(f"classes = {classes}")
    write_repaired(examine(tmp_path / "s"), tmp_path / "out")
    assert errors(tmp_path / "out") == []
    for path in sorted(valid.glob("*/masks/*.png")):
        right = np.minimum(cv2_ids(path), len(classes) - 1)
        made = cv2_ids(tmp_path / "out" / path.relative_to(valid))
        assert (made == right).mean() >= (0.98 if kind == "soft" else 1), path


@pytest.mark.slow
def test_a_dataset_without_val_and_names_can_be_trained(valid, tmp_path):
    """A folder of only images/ and masks/ of 0 and 255 gets placeholder names and splits."""
    shutil.copytree(valid / "train/images", tmp_path / "s/images")
    shutil.copytree(valid / "train/masks", tmp_path / "s/masks")
    for path in (tmp_path / "s/masks").iterdir():
        cv2.imwrite(str(path), np.uint8(cv2_ids(path) > 0) * 255)
    end = check(tmp_path / "s", "--fix", tmp_path / "out")
    assert end.returncode == 0, end.stdout
    assert "placeholder names, please rename them: background, class_1" in end.stdout
    dataset = read_dataset(tmp_path / "out")
    assert len(dataset.pairs("train")) + len(dataset.pairs("val")) == 32
    image, drawn = dataset.pairs("val")[0]
    right = cv2_ids(valid / "train/masks" / f"{image.stem}.png") > 0
    assert np.array_equal(read_mask(drawn, dataset), right)
    assert train(tmp_path / "out", tmp_path / "run").returncode == 0


def test_too_little_is_refused(valid, tmp_path):
    shutil.copytree(valid, tmp_path / "s")
    for path in sorted((tmp_path / "s").glob("*/masks/*"))[1:]:
        path.unlink()
    with pytest.raises(Refusal, match="1 valid pair, too few for train and val"):
        write_repaired(examine(tmp_path / "s"), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".part*"))


def test_unclear_shared_stems_are_left_out(valid, tmp_path):
    """Two different images of one stem that both fit the mask are left out; if only one fits, it is
    kept."""
    shutil.copytree(valid, tmp_path / "s")
    for name, size in (("0000", (128, 128)), ("0002", (90, 90))):
        other = Image.open(photo(tmp_path / "s", "0009")).resize(size)
        other.save(photo(tmp_path / "s", name).with_suffix(".bmp"))
    photo(tmp_path / "s", "0009").unlink()
    changes = write_repaired(examine(tmp_path / "s"), tmp_path / "out")
    assert sum("0000" in line and "several images share" in line for line in changes) == 2
    assert sum("0002.bmp: left out" in line for line in changes) == 1
    assert photo(tmp_path / "out", "0002").exists() and not mask(tmp_path / "out", "0000").exists()
    assert errors(tmp_path / "out") == []


def test_strays_by_hand():
    """Stray and isolated pixels get the nearest id; a line is kept."""
    drawn = np.zeros((5, 7), np.int32)
    drawn[:, 4:] = 2
    wanted = drawn.copy()
    drawn[1, 1], drawn[2, 6], drawn[3, 3:5] = 1, -1, -1
    wanted[3, 3], wanted[3, 4] = 0, 2
    assert np.array_equal(without_strays(drawn), wanted)
    line = np.zeros((5, 7), np.int32)
    line[2] = 1
    assert np.array_equal(without_strays(line), line)
