"""Left and right: classes that change places when an image is flipped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_augment import SIZE, random_pair

from cli import Refusal
from data.augment import AUGMENTATIONS, augment
from data.batches import training_batches
from data.dataset import read_dataset
from data.images import write_image
from data.layout import VOID
from data.mirror import fault_of, ids_when_flipped, likely_pairs
from data.pack import pack
from data.shapes import write_shapes

seeds, sides, strengths = st.integers(0, 2**32 - 1), st.integers(1, 90), st.floats(0, 2)


def test_left_and_right_change_places_by_hand():
    """Class 1 is left, 2 is right: where the left eye was is now the right one, on the other side.
    Void and class 0 stay what they are; without leave to flip nothing is flipped."""
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    mask = np.uint8([[0, 1], [2, VOID]])
    swapped = [0, 2, 1, *range(3, 256)]
    for flipped, wanted in ((swapped, [[2, 0], [VOID, 1]]), (None, mask.tolist())):
        rng = np.random.default_rng(0)
        found = augment(image, mask, rng, (2, 2), only="flip", flipped=flipped)
        assert found[1].tolist() == wanted
        assert (found[0] == image).all() == (flipped is None)


@given(seeds, sides, sides)
def test_two_flips_give_the_pair_back(seed, height, width):
    rng = np.random.default_rng(seed)
    image, mask = random_pair(rng, height, width)
    once = augment(
        image, mask, rng, (height, width), only="flip", flipped=[2, 1, 0, *range(3, 256)]
    )
    twice = augment(*once, rng, (height, width), only="flip", flipped=[2, 1, 0, *range(3, 256)])
    assert np.array_equal(twice[0], image) and np.array_equal(twice[1], mask)
    assert np.array_equal(once[1] == 2, (mask == 0)[:, ::-1])


@settings(max_examples=50)
@given(seeds, strengths)
def test_without_flips_all_else_is_as_before(seed, strength):
    """The left half of an image stays left; where no flip was drawn, nothing changes at all."""
    image = np.zeros((40, 60, 3), np.uint8)
    mask = np.repeat(np.uint8([[0, 1]]), 30, 1).repeat(40, 0)
    found, other = (
        augment(image, mask, np.random.default_rng(seed), SIZE, strength, flipped=flipped)[1]
        for flipped in (None, range(256))
    )
    assert left_first(found)
    flipped = not left_first(other) or not in_view(other)  # with one class in view one cannot tell
    assert flipped or np.array_equal(found, other)


def in_view(mask):
    return bool(np.isin([0, 1], mask).all())


def left_first(mask):
    """Whether class 0 is left of class 1, as far as both are in view."""
    centres = [np.flatnonzero(mask.ravel() == id_) % mask.shape[1] for id_ in (0, 1)]
    return not in_view(mask) or centres[0].mean() < centres[1].mean()


@pytest.mark.parametrize(("classes", "pairs"), [
    (["skin", "left_eye", "right_eye"], [["left_eye", "right_eye"]]),
    (["bg", "Left-arm", "Right-arm", "r_brow", "l_brow"], [["Left-arm", "Right-arm"],
                                                           ["l_brow", "r_brow"]]),
    (["leftLane", "rightLane", "eye.L", "eye.R"], [["leftLane", "rightLane"], ["eye.L", "eye.R"]]),
    (["leg left upper", "leg right upper"], [["leg left upper", "leg right upper"]]),
    (["cleft", "left_eye", "wall", "lip", "rip", "light", "right"], []),
])  # fmt: skip
def test_names_that_look_like_left_and_right(classes, pairs):
    assert likely_pairs(classes) == pairs


@pytest.mark.parametrize("mirror", [
    3, ["left"], [["left"]], [["left", "left"]], [["left", 1]], [["left", "ear"]],
    [["left", "right"], ["left", "nose"]],
])  # fmt: skip
def test_what_is_no_list_of_pairs(mirror):
    assert fault_of(mirror, ["nose", "left", "right"])
    assert fault_of([["left", "right"]], ["nose", "left", "right"]) == fault_of([], ["a"]) == ""


def test_mirror_in_dataset_toml(tmp_path):
    """Of a folder, and of shards that are packed of it; a training batch shows the swap."""
    write_shapes(tmp_path / "s", train=4, val=1)
    names, toml = ["a", "b", "left", "right"], tmp_path / "s/dataset.toml"
    toml.write_text(f"classes = {names}")
    assert ids_when_flipped(read_dataset(tmp_path / "s")) is None
    toml.write_text(f"classes = {names}\nmirror = []")
    assert ids_when_flipped(read_dataset(tmp_path / "s")) == list(range(256))
    toml.write_text(f"classes = {names}\nmirror = [['right', 'left']]")
    pack(tmp_path / "s", tmp_path / "packed")
    for folder in ("s", "packed"):
        dataset = read_dataset(tmp_path / folder)
        assert ids_when_flipped(dataset) == [0, 1, 3, 2, *range(4, 256)]
        assert dataset.described(trust_times=True)["mirror"] == [["right", "left"]]
    toml.write_text(f"classes = {names}")  # as in every run of before there was a mirror
    assert "mirror" not in read_dataset(tmp_path / "s").described(trust_times=True)
    toml.write_text(f"classes = {names}\nmirror = [['right', 'lefd']]")
    with pytest.raises(Refusal, match=r"toml: mirror has 'lefd', which is no class; needed: pairs"):
        read_dataset(tmp_path / "s")


def test_training_swaps_left_and_right(tmp_path, monkeypatch):
    """Images whose left half is class 0 and right half is class 1, both a mirror pair: flipped or
    not, the left half is class 0."""
    for split in ("train", "val"):
        for number in range(8):
            write_image(tmp_path / split / f"images/{number}.png", np.zeros((32, 32, 3), np.uint8))
            mask = np.repeat(np.uint8([[0, 1]]), 16, 1).repeat(32, 0)
            write_image(tmp_path / split / f"masks/{number}.png", mask)
    (tmp_path / "dataset.toml").write_text("classes = ['a', 'b']\nmirror = [['a', 'b']]")
    monkeypatch.setattr("data.augment.AUGMENTATIONS", AUGMENTATIONS[:1])
    _, masks, _ = next(training_batches(read_dataset(tmp_path), (32, 32), 8, 0))
    assert (masks == np.repeat([0, 1], 16)).all()
    (tmp_path / "dataset.toml").write_text("classes = ['a', 'b']")
    _, masks, _ = next(training_batches(read_dataset(tmp_path), (32, 32), 8, 0))
    assert {int(mask[0, 0]) for mask in masks} == {0, 1}  # some are flipped
