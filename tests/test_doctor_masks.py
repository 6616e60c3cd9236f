"""What masks and class names of a whole dataset tell the doctor."""

import re
import shutil

import cv2
import numpy as np
import pytest
from broken_sets import ROOT, check, cv2_ids, ids, mask, photo, rename, rewrite, valid, whole
from mutations import chunk
from PIL import Image

from data.dataset import read_dataset
from data.doctor.checks.check import ERROR, Named
from data.doctor.checks.table import CHECKS, findings
from data.doctor.doctor import examine
from data.doctor.fix import write_repaired
from data.doctor.manual import manual
from data.doctor.readings import voc_colours
from data.images import read_mask, write_image

__all__ = ["valid"]  # fixtures


def test_void_is_not_taken_for_a_class(valid, tmp_path):
    """255 in masks of only 0 and 255 means void if other masks contain 0, 1 and 255."""
    shutil.copytree(valid, tmp_path / "s")
    stripe = np.arange(128) < 20
    whole(tmp_path / "s", lambda m: np.where(stripe, 255, np.minimum(m, 1)).astype(np.uint8))
    rewrite(tmp_path / "s", "0005", lambda m: np.where(stripe, 255, m * 0).astype(np.uint8))
    (tmp_path / "s/dataset.toml").write_text("classes = ['ground', 'thing']")
    reported = [finding.check for finding in findings(examine(tmp_path / "s"))]
    assert "grey levels" not in reported and "empty mask" in reported


BINARY = "classes = ['ground', 'thing']"


def tiny(folder, *masks, toml=BINARY):
    """A pair for each list of ids, drawn as columns of 16 pixels; the last pair is in val."""
    rng = np.random.default_rng(0)
    for number, values in enumerate(masks):
        split = "val" if number == len(masks) - 1 else "train"
        drawn = np.tile(np.repeat(np.uint8(values), 16), (32, 1))
        image = rng.integers(0, 256, (*drawn.shape, 3), np.uint8)
        write_image(photo(folder, number, split), image)
        write_image(mask(folder, number, split), drawn)
    (folder / "dataset.toml").write_text(toml)
    return folder


WHITE = {
    "no mask holds 1": (([0, 255], [0, 255], [0, 0], [0, 255]), True),
    "one that is all 1": (([0, 255], [0, 255], [1, 1], [0, 255]), False),
    "one of ten holds 1 and no void": (([0, 1],) + ([0, 255],) * 9, False),
    "one of ten holds void alone": (([0, 1],) * 8 + ([0, 255], [0, 1]), False),
    "1 and 255 in one": (([0, 255], [0, 1, 255], [0, 1], [0, 1]), False),
}


@pytest.mark.parametrize("case", WHITE)
def test_white_is_a_class_only_where_no_mask_holds_the_class(tmp_path, case):
    masks, is_class = WHITE[case]
    reported = findings(examine(tiny(tmp_path / "s", *masks)))
    assert [f.check for f in reported if f.rank == ERROR] == ["grey levels"] * is_class
    notes = [named.note for finding in reported for named in finding.files]
    assert any("if 255 means thing here, replace it with 1" in note for note in notes) != is_class


def test_the_remedy_for_255_is_printed(tmp_path):
    end = check(tiny(tmp_path / "s", [0, 255], [0, 0], [0, 255]))
    assert end.returncode == 1 and "(grey levels, 2 cases)" in end.stdout
    assert "255 does mean void, confirm it with void = 255 in dataset.toml" in end.stdout
    tiny(tmp_path / "s", [0, 255], [1, 0], [0, 1])
    assert check(tmp_path / "s").returncode == 0


def test_void_of_255_can_be_stated(tmp_path):
    """255 is then void, and what is left contains no foreground."""
    tiny(tmp_path / "s", [0, 255], [0, 255], toml=f"{BINARY}\nvoid = 255")
    reported = [finding.check for finding in findings(examine(tmp_path / "s"))]
    assert "grey levels" not in reported and "constant class" in reported


def test_fix_writes_1_for_white(tmp_path):
    tiny(tmp_path / "s", [0, 255], [0, 0], [0, 255])
    write_repaired(examine(tmp_path / "s"), tmp_path / "out")
    assert [np.unique(ids(tmp_path / "out", n)).tolist() for n in "01"] == [[0, 1], [0]]
    assert np.unique(ids(tmp_path / "out", "2", "val")).tolist() == [0, 1]


def test_a_trimap_keeps_its_void(tmp_path):
    tiny(tmp_path / "s", [0, 128, 255], [0, 128, 255], toml=f"{BINARY}\nvoid = 128")
    write_repaired(examine(tmp_path / "s"), tmp_path / "out")
    assert ids(tmp_path / "out", "0")[0, ::16].tolist() == [0, 255, 1]


def test_classes(valid, tmp_path):
    shutil.copytree(valid, tmp_path / "s")
    names = ["background", "disc", "box", "star", "twice", "val_only", "never"]
    (tmp_path / "s/dataset.toml").write_text(f"classes = {names}")
    for name in ("0000", "0001"):
        rewrite(tmp_path / "s", name, lambda m: np.where(m == 0, 4, m).astype(np.uint8))
    rewrite(tmp_path / "s", "0000", lambda m: np.where(m == 0, 5, m).astype(np.uint8), "val")
    reported = {
        finding.check: [f"{named.name} {named.note}" for named in finding.files]
        for finding in findings(examine(tmp_path / "s"))
    }
    assert reported["absent class"] == ["class never (id 6) appears in no mask"]
    assert [line.partition(" of")[0] for line in reported["rare class"]] == [
        "class twice (id 4) appears in 2"
    ]
    assert reported["class missing from split"] == [
        "class twice (id 4) is missing from val", "class val_only (id 5) is missing from train",
    ]  # fmt: skip
    assert set(reported) == {"absent class", "rare class", "class missing from split"}


def test_a_split_of_much_void_and_one_with_nothing(valid, tmp_path):
    shutil.copytree(valid, tmp_path / "s")
    whole(tmp_path / "s", lambda m: np.where(np.arange(128) < 32, 255, 0).astype(np.uint8))
    reported = {finding.check: finding.files for finding in findings(examine(tmp_path / "s"))}
    lines = [f"{named.name} {named.note}" for named in reported["much void"]]
    assert lines == ["train is 25% void", "val is 25% void"]
    (case,) = reported["constant class"]
    assert case.name == "train" and case.note == (
        "contains nothing but background in all its masks: 100% of the scored pixels, and 25% of "
        "all pixels are void"
    )


def test_without_dataset_toml(valid, tmp_path):
    """Files are checked nevertheless; a folder of only images/ and masks/ counts as one split."""
    (tmp_path / "s").mkdir()
    shutil.copytree(valid / "train/images", tmp_path / "s/images")
    shutil.copytree(valid / "train/masks", tmp_path / "s/masks")
    (tmp_path / "s/images/0004.png").write_bytes(b"")
    end = check(tmp_path / "s")
    assert end.returncode == 1
    for line in ("dataset.toml is missing", "train is missing: images/ and masks/ are not",
                  "images/0004.png is empty", "class_3"):  # fmt: skip
        assert line in end.stdout
    assert f"{tmp_path / 's'} is no dataset. It looks like folder (images/ and masks/" in end.stderr
    end = check(valid / "train/images")  # nothing of a dataset
    assert end.returncode == 2 and "is no dataset. It is of no format that is known" in end.stderr


NO_LIST = "dataset.toml has no list of class names"
ODD_TOML = {
    "classes = 3": NO_LIST,
    "classes = []": NO_LIST,
    "classes = ['a', 'b']\nvoid = 'x'": "dataset.toml is invalid: void is x; needed: an id from 0",
    "classes = ['a', 'b']\nvoid = [1]": "dataset.toml is invalid: void is [1]; needed",
    "classes = ['a', 'b']\nvoid = true": "dataset.toml is invalid: void is True; needed",
    "classes = ['a', 'b']\ncolours = 7": "dataset.toml is invalid: colours needs 2 [r, g, b] lists",
    "classes = ['a', 'b']\ncolours = [['x', 1, 2], [1, 2, 3]]": "colours needs 2 [r, g, b] lists",
    "classes = ['a', 'b']\ncolours = [[1e9, 1, 2], [-1, 2, 3]]": "colours needs 2 [r, g, b] lists",
    "classes = [": "dataset.toml cannot be read",
    "\0": "dataset.toml cannot be read",
}


@pytest.mark.parametrize("text", ODD_TOML)
def test_odd_dataset_toml(valid, tmp_path, text):
    """It is reported, and the masks are read with placeholder names nevertheless."""
    shutil.copytree(valid, tmp_path / "s")
    (tmp_path / "s/dataset.toml").write_text(text)
    end = check(tmp_path / "s")
    assert end.returncode == 1 and ODD_TOML[text] in end.stdout
    assert "class_3" in end.stdout and end.stderr.startswith("1 error in ")


def test_names_that_are_no_text(valid, tmp_path):
    """Invalid UTF-8 and line breaks in file names are printed escaped, on one line."""
    shutil.copytree(valid, tmp_path / "s")
    rename(tmp_path / "s", "0001", "a\nb", "a\nb")
    rename(tmp_path / "s", "0002", "x\udcff", "x\udcff")
    end = check(tmp_path / "s", "--fix", tmp_path / "out", "--html", tmp_path / "page.html")
    assert end.returncode == 0 and r"images/x\xff.png has non-ASCII" in end.stdout
    assert photo(tmp_path / "out", "a_b").exists() and photo(tmp_path / "out", "x").exists()


def test_a_wrong_checksum_is_found(valid, tmp_path):
    """PNG: 8 bytes, IHDR of 25, then IDAT with its length, name, content and checksum. The pixels
    are whole here, but where they are not, decoders may not notice either."""
    shutil.copytree(valid, tmp_path / "s")
    for path in (mask(tmp_path / "s", "0001"), photo(tmp_path / "s", "0002")):
        raw = bytearray(path.read_bytes())
        assert raw[37:41] == b"IDAT"
        raw[41 + int.from_bytes(raw[33:37], "big")] ^= 1
        path.write_bytes(raw)
    reported = {finding.check: finding.files for finding in findings(examine(tmp_path / "s"))}
    line = "is damaged: its chunk IDAT has a wrong checksum"
    assert reported.pop("broken mask") == [Named("train/masks/0001.png", line)]
    assert [named.name for named in reported.pop("broken image")] == ["train/images/0002.png"]
    assert not reported


def test_a_shape_in_the_alpha_channel_alone(valid, tmp_path):
    """Black everywhere, opaque where the mask is 1: the values are those of alpha."""
    shutil.copytree(valid, tmp_path / "s")
    path = mask(tmp_path / "s", "0001")
    ids = np.array(Image.open(path))
    pixels = np.zeros((*ids.shape, 4), np.uint8)
    pixels[..., 3] = ids
    Image.fromarray(pixels).save(path)
    end = check(tmp_path / "s", "--fix", tmp_path / "out")
    line = (
        "train/masks/0001.png is stored with image mode RGBA, its shape in the alpha channel alone"
    )
    assert line in end.stdout
    assert np.array_equal(np.array(Image.open(mask(tmp_path / "out", "0001"))), ids)


def test_a_mask_is_read_as_in_training(valid, tmp_path):
    """A gamma chunk that is too short, with a right checksum, says nothing of the ids."""
    shutil.copytree(valid, tmp_path / "s")
    path = mask(tmp_path / "s", "0001")
    raw = path.read_bytes()
    path.write_bytes(raw[:33] + chunk(b"gAMA", b"\0\1") + raw[33:])
    dataset = read_dataset(tmp_path / "s")
    assert np.array_equal(read_mask(path, dataset), cv2_ids(mask(valid, "0001")))
    assert findings(examine(tmp_path / "s")) == []


@pytest.mark.parametrize(
    ("factor", "why"),
    [(1.0, "is stored with image mode F"), (0.4, "contains fractions or values that are no ids"),
     (300.0, "contains ids 300, 600, 900")],
)  # fmt: skip
def test_float_masks(valid, tmp_path, factor, why):
    """As TIFF; whole numbers are ids, and no other value is taken for one."""
    shutil.copytree(valid, tmp_path / "s")
    path = mask(tmp_path / "s", "0001")
    values = cv2_ids(path).astype(np.float32) * np.float32(factor)
    path.unlink()
    cv2.imwrite(str(path.with_suffix(".tif")), values)
    end = check(tmp_path / "s", "--fix", tmp_path / "out")
    assert why in end.stdout and end.returncode == 0
    out = mask(tmp_path / "out", "0001")
    if factor == 1:
        assert np.array_equal(cv2_ids(out), values.astype(np.uint8))
    elif factor < 1:
        assert not out.exists()
    else:
        assert np.array_equal(cv2_ids(out), np.where(values > 0, 255, 0))


def test_the_manual_is_what_the_checks_say():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names) > 30
    text = (ROOT / "docs/doctor.md").read_text(encoding="utf-8")
    assert text == "\n".join(manual()) + "\n", "python -m data.doctor.manual > docs/doctor.md"
    assert sorted(re.findall("^### (.*)$", text, re.MULTILINE)) == sorted(names)


def test_voc_colours_by_hand():
    assert list(voc_colours(21))[:4] == [0x000000, 0x800000, 0x008000, 0x808000]
    assert voc_colours(21)[0xC08080] == 15 and voc_colours(21)[0x004080] == 20  # person, tvmonitor
