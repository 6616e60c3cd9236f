"""The doctor on frames of videos: found by clip, split by clip, never left out in numbers."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from broken_sets import check, ids, mask, photo, valid

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.table import findings
from data.doctor.doctor import check_dataset, examine
from data.doctor.fix import write_repaired
from data.images import write_image

__all__ = ["valid"]  # fixtures

BY_CLIP = "^(.*?)[0-9]+$"


def videos(folder, clips, frames):
    """Clips of a square that moves over a still picture; every sixth frame is in val."""
    rng = np.random.default_rng(0)
    for clip in range(clips):
        still = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        for frame in range(frames):
            image, drawn = still.copy(), np.zeros((96, 128), np.uint8)
            image[40:44, 10 + frame : 14 + frame], drawn[40:44, 10 + frame : 14 + frame] = 255, 1
            split = folder / ("val" if frame % 6 == 0 else "train")
            write_image(split / f"images/clip{clip}_{frame:03}.png", image)
            write_image(split / f"masks/clip{clip}_{frame:03}.png", drawn)
    (folder / "dataset.toml").write_text("classes = ['ground', 'square']")
    return folder


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """4 clips of 10 frames each, of which frames 0 and 6 are in val. Not to be written to."""
    return videos(tmp_path_factory.mktemp("videos") / "four", 4, 10)


def test_frames_are_one_case_a_clip(four):
    (finding,) = findings(examine(four))
    assert finding.check == "near leak" and f"--group '{BY_CLIP}'" in finding.remedy
    assert [f"{named.name} {named.note}" for named in finding.files] == [
        f"train/images/clip{clip}_001.png and 9 more frames of the clip clip{clip}_* are nearly "
        "identical to others: 8 in train, 2 in val"
        for clip in range(4)
    ]


def test_frames_of_a_clip_in_two_splits_are_no_leak_unless_alike(tmp_path):
    """Of three scenes of one clip two are in train, with 4 and 2 frames, and one is in val."""
    rng = np.random.default_rng(0)
    for split, frames in (("train", range(4)), ("train", (10, 11)), ("val", range(20, 23))):
        scene = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        for frame in frames:
            drawn = np.zeros((96, 128), np.uint8)
            drawn[:9, frame : frame + 9] = 1
            image = np.where(drawn[..., None] > 0, 255, scene).astype(np.uint8)
            write_image(tmp_path / split / f"images/v_{frame:02}.png", image)
            write_image(tmp_path / split / f"masks/v_{frame:02}.png", drawn)
    (tmp_path / "dataset.toml").write_text("classes = ['ground', 'square']")
    (finding,) = findings(examine(tmp_path))
    assert finding.check == "near duplicate"
    assert [f"{named.name} {named.note}" for named in finding.files] == [
        "train/images/v_00.png and 5 more frames of the clip v_* are nearly identical to others: "
        "6 in train",
        "val/images/v_20.png and 2 more frames of the clip v_* are nearly identical to others: "
        "3 in val",
    ]


def test_fix_does_not_leave_out_most_of_a_video(four, tmp_path):
    """The 8 frames of val remain; the other 32 of 40 are nearly identical to them."""
    end = check(four, "--fix", tmp_path / "out")
    assert end.returncode == 2 and not (tmp_path / "out").exists()
    assert (
        f"--fix would leave out 32 of the 40 pairs of {four}, more than 20%; the most frequent "
        "reason, 32 times: it is nearly identical to one in another split. If these are frames of "
        f"videos, keep each video in one: python -m data check {four} --fix OUT --group '{BY_CLIP}'"
    ) in end.stderr
    one = videos(tmp_path / "one", 1, 12)
    with pytest.raises(Refusal, match="all are frames of one video: take val from another"):
        write_repaired(examine(one), tmp_path / "out")


def test_splits_by_clip(four, tmp_path):
    """Val has 8 of 40 images, so that one clip of 10 is nearest; nothing is left out."""
    check_dataset(four, fix=tmp_path / "out", group=BY_CLIP)
    made = {
        split: {pair[0].stem for pair in read_dataset(tmp_path / "out").pairs(split)}
        for split in ("train", "val")
    }
    assert len(made["train"]) == 30 and len(made["val"]) == 10
    assert len({stem[:5] for stem in made["train"]}) == 3
    assert len({stem[:5] for stem in made["val"]}) == 1
    assert [f.check for f in findings(examine(tmp_path / "out"))] == ["near duplicate"]
    changes = json.loads((tmp_path / "out/origin.json").read_text())["changes"]
    assert len(changes) == 8 + 6 and all("moved to" in line for line in changes)
    # The clip's 8 frames of train went to val, and 2 frames of each other clip to train.


def test_a_clip_stays_whole_where_val_is_lost(tmp_path):
    """Of 19 pairs val gets the clip of 3; if its images are damaged, one of the clips of 8."""
    rng = np.random.default_rng(0)
    for clip, frames in (("a", 8), ("b", 3), ("c", 8)):
        for frame in range(frames):
            image = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
            drawn = np.zeros((96, 128), np.uint8)
            drawn[:40] = 1
            write_image(tmp_path / f"s/train/images/{clip}{frame}.png", image)
            write_image(tmp_path / f"s/train/masks/{clip}{frame}.png", drawn)
    (tmp_path / "s/dataset.toml").write_text("classes = ['ground', 'square']")
    write_repaired(examine(tmp_path / "s"), tmp_path / "whole", BY_CLIP)
    assert {path.stem[0] for path in (tmp_path / "whole/val/images").iterdir()} == {"b"}
    for path in (tmp_path / "s/train/images").glob("b*"):
        path.write_bytes(b"damaged")
    write_repaired(examine(tmp_path / "s"), tmp_path / "out", BY_CLIP)
    clips = [{path.stem[0] for path in (tmp_path / "out" / split / "images").iterdir()}
             for split in ("train", "val")]  # fmt: skip
    assert sorted(map(sorted, clips)) == [["a"], ["c"]]


def test_group_needs_fix(four):
    end = check(four, "--group", "x")
    assert end.returncode == 2 and "--group is for the splits that --fix writes: add" in end.stderr


def test_pairs_are_no_clip(valid, tmp_path):
    """Two nearly identical numbered images are a pair, as before."""
    folder = shutil.copytree(valid, tmp_path / "s")
    for name in ("0001", "0002"):
        other = cv2.resize(cv2.imread(str(photo(folder, name))), (200, 200))
        cv2.imwrite(str(photo(folder, f"9{name}")), other)
        other = cv2.resize(ids(folder, name), (200, 200), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(mask(folder, f"9{name}")), other)
    (finding,) = findings(examine(folder))
    assert [f"{named.name} {named.note}" for named in finding.files] == [
        f"train/images/000{n}.png is nearly identical to train/images/9000{n}.png" for n in (1, 2)
    ]


def test_a_leak_names_two_splits(valid, tmp_path):
    """Of three copies, two in train: the case names one in train and the one in val."""
    folder = shutil.copytree(valid, tmp_path / "s")
    for split, name in (("train", "copy"), ("val", "leak")):
        shutil.copy(photo(folder, "0001"), photo(folder, name, split))
        shutil.copy(mask(folder, "0001"), mask(folder, name, split))
    (finding,) = findings(examine(folder))
    assert finding.check == "leak"
    (named,) = finding.files
    line = "has the same pixels as val/images/leak.png and 1 more"
    assert (named.name, named.note) == ("train/images/0001.png", line)


def test_copies_are_no_loss(valid, tmp_path):
    """Every image three times with its mask: two thirds are left out, as nothing is lost."""
    folder = shutil.copytree(valid, tmp_path / "s")
    for path in sorted(folder.glob("*/*/*.png")):
        for copy in ("b", "c"):
            shutil.copy(path, path.with_name(f"{copy}{path.name}"))
    changes = write_repaired(examine(folder), tmp_path / "out")
    assert sum("it repeats" in line for line in changes) == 80


def test_many_broken_pairs_are_refused(valid, tmp_path):
    folder = shutil.copytree(valid, tmp_path / "s")
    for path in sorted(folder.glob("train/images/*"))[:9]:  # of 40 pairs, 8 may be left out
        path.write_bytes(b"")
    with pytest.raises(Refusal, match=r"9 of the 40 .* 9 times: it is empty, 0 bytes\. Repair"):
        write_repaired(examine(folder), tmp_path / "out")


def test_an_edit_of_the_copy_leaves_the_source(valid, tmp_path):
    write_repaired(examine(valid), tmp_path / "out")
    before = mask(valid, "0001").read_bytes()
    with open(mask(tmp_path / "out", "0001"), "r+b") as file:
        file.write(b"edited")
    assert mask(valid, "0001").read_bytes() == before
    assert os.stat(mask(tmp_path / "out", "0002")).st_nlink == 1
