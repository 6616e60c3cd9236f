"""Datasets that training refuses, and what it tells of others before its first step."""

import numpy as np
import pytest
from trained import small

from cli import Refusal
from data import statistics
from data.dataset import read_dataset
from data.images import write_image
from data.layout import VOID
from data.pack import pack
from data.ready import check_ready, half_width, listed, remarks
from train import train


def made(folder, masks, classes=("ground", "thing"), more="", size=(8, 10)):
    """A dataset with a mask per split that holds the ids in these columns."""
    for split, rows in masks.items():
        for number, ids in enumerate(rows):
            mask = np.resize(np.uint8(ids), size)
            write_image(folder / split / f"images/{number}.png", np.zeros((*size, 3), np.uint8))
            write_image(folder / split / f"masks/{number}.png", mask)
    (folder / "dataset.toml").write_text(f"classes = {list(classes)}\n{more}")
    return read_dataset(folder)


SOUND = {"train": [[0, 1]] * 2, "val": [[0, 1]]}
REFUSED = {
    "0 and 255": (
        {"train": [[0, 255]] * 2, "val": [[0, 255]]}, 2,
        r"set, train: no pixel is thing; all that are scored are ground, and 50% of all pixels "
        r"are void \(255\)\. If 255 means a class in your masks, type python -m data check .*set -"
        "-fix OUT and train on OUT"),
    "255 beside ids": (
        {"train": [[0, 255]] * 2, "val": [[0, 1]]}, 2,
        r"no pixel is thing; .* 50% .* void \(255\)\. python -m data check .*set shows what the"),
    "one class": (
        {"train": [[0], [0]], "val": [[0, 1]]}, 2,
        r"no pixel is thing; .* 0% of all .*\. python -m data check .*set shows what the masks"),
    "the last class": (
        {"train": [[1], [1]], "val": [[0, 1]]}, 2, "no pixel is ground; .* are thing, and 0%"),
    "all void": (
        {"train": [[255]], "val": [[0, 1]]}, 1,
        "set, train: every pixel of every mask is void, .*python -m data check .*set shows what"),
    "white": (
        {"train": [[255]], "val": [[0, 255]]}, 1,
        r"train: every pixel of every mask is void, so that .* scored\. If 255 means a class"),
    "void in val": (
        {"train": [[0, 1]], "val": [[255], [255]]}, 1, "set, val: every pixel of every mask is"),
    "batch": (SOUND, 3, r"--batch is 3, but .*set has 2 training images\. Type --batch 2, or less"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_refused(tmp_path, kind, packed):
    masks, batch, message = REFUSED[kind]
    dataset = made(tmp_path / "set", masks)
    if packed:
        (tmp_path / "set").rename(tmp_path / "folder")
        pack(tmp_path / "folder", tmp_path / "set")
        dataset = read_dataset(tmp_path / "set")
        message = message.partition(r"\. If")[0]  # a packed dataset is not fixed
    with pytest.raises(Refusal, match=message):
        check_ready(dataset, batch)


def test_what_is_not_refused(tmp_path):
    """A void image, a class of val alone, void of two ids, one class in all, one image."""
    check_ready(made(tmp_path / "a", {"train": [[0, 1], [255]], "val": [[0]]}), 2)
    check_ready(made(tmp_path / "b", {"train": [[0, 1]], "val": [[2]]}, "abc"), 1)
    check_ready(made(tmp_path / "c", {"train": [[0, 1, 2]], "val": [[0]]}, "abc", "void = 2"), 1)
    check_ready(made(tmp_path / "d", {"train": [[0]], "val": [[0]]}, "a"), 1)


def test_training_refuses_before_it_writes(tmp_path):
    made(tmp_path / "set", {"train": [[0, 255]] * 6, "val": [[0, 255]]}, size=(64, 64))
    with pytest.raises(Refusal, match="no pixel is thing"):
        train(small(tmp_path / "set"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_remarks_come_once_before_training(tmp_path, monkeypatch, capsys):
    """Of a new run, not of one that goes on."""
    made(tmp_path / "set", {"train": [[0, 1]] * 6, "val": [[0, 1]] * 9}, size=(64, 64))

    def stop(*_):
        raise Refusal("stopped here")

    monkeypatch.setattr("segnet.run.has_begun", stop)
    for begun in (False, True):
        monkeypatch.setattr("segnet.checkpoint.has_checkpoint", lambda _, begun=begun: begun)
        with pytest.raises(Refusal, match="stopped here"):
            train(small(tmp_path / "set"), tmp_path / "run")
        said = capsys.readouterr().err
        assert ("val has 9 images: the 95 % interval" in said) == (not begun)


def test_a_mask_that_does_not_fit_is_found_by_headers(tmp_path, monkeypatch):
    """Every image is large, so that none may be decoded but the one whose header does not fit."""
    dataset = made(tmp_path / "set", SOUND)
    write_image(tmp_path / "set/train/masks/1.png", np.zeros((9, 9), np.uint8))
    decoded, real = [], statistics.read_pair
    monkeypatch.setattr(
        statistics, "read_pair", lambda pair, data: decoded.append(pair[0].name) or real(pair, data)
    )
    with pytest.raises(Refusal, match=r"masks/1\.png is 9x9 \(HxW\) but its image 1\.png is 8x10"):
        check_ready(read_dataset(dataset.folder), 2)
    assert decoded == ["1.png"]


def test_images_are_counted_by_hand(tmp_path):
    """Columns 0 1 void 0 of 8 rows and 4 columns, twice: 32 pixels of 0, 16 of 1 and of void."""
    dataset = made(tmp_path / "set", {"train": [[0, 1, VOID, 0]] * 2, "val": [[0, 1]]}, size=(8, 4))
    counts = statistics.count_ids(dataset, "train")
    assert counts[[0, 1, VOID]].tolist() == [32, 16, 16] and counts.sum() == 64


def test_remarks(tmp_path):
    """0.98 / sqrt(4) = 0.49; classes in train, val and neither."""
    masks = {"train": [[0, 1, 4]], "val": [[0, 2]] * 4}
    dataset = made(tmp_path / "set", masks, ["a", "b", "c", "l_eye", "r_eye"])
    assert list(remarks(dataset)) == [
        "val has 4 images: the 95 % interval of their mIoU may be as wide as ± 0.49 (0.98 / √4, if "
        "they are independent); smaller differences between runs may be chance",
        "c: in no training mask but in val: not learnt, with an IoU of 0 there",
        "l_eye: in no mask of train or val: not learnt, and not part of the mIoU",
        "b and r_eye: in no mask of val: not part of the mIoU",
        "l_eye and r_eye look like left and right, so images are not flipped. Write mirror = "
        f"[['l_eye', 'r_eye']] with all such pairs in {tmp_path}/set/dataset.toml: flips then swap "
        "them; mirror = [] flips and swaps nothing",
    ]
    sound = made(tmp_path / "sound", {"train": [[0, 1]], "val": [[0, 1]] * 100}, size=(4, 4))
    assert list(remarks(sound)) == []
    one = made(tmp_path / "one", {"train": [[0, 1]], "val": [[0, 1]]})
    assert list(remarks(one)) == [
        "val has 1 image: too few for their mIoU to tell anything; 100 give it ± 0.10"
    ]
    assert half_width(1) == 0.98 and half_width(100) == pytest.approx(0.098)


def test_the_interval_holds_for_the_widest_scores():
    """Of means of 25 scores that are 0 or 1 with equal chance, 95 % are within it, about."""
    means = np.random.default_rng(0).integers(0, 2, (20_000, 25)).mean(1)
    assert (np.abs(means - 0.5) <= half_width(25)).mean() == pytest.approx(0.95, abs=0.01)


def test_names_in_a_sentence():
    assert listed(["a"], "or") == "a" and listed(["a", "b"], "or") == "a or b"
    assert listed(list("abcdefg"), "and") == "a, b, c, d, e and 2 more"
