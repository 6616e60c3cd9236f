"""Network inputs and the order of batches, by hand."""

import cv2
import numpy as np
import pytest
from tiny_sets import grey, write_set

from data import batches
from data.batches import evaluation_pairs, scale, steps_per_epoch, to_input, training_batches

RNG = np.random.default_rng(0)
# Five images of other sizes, so that an order or a size that is wrong is seen.
IMAGES = [RNG.integers(0, 256, (2 + n, 6 - n, 3), np.uint8) for n in range(5)]
MASKS = [RNG.integers(0, 3, image.shape[:2], np.uint8) for image in IMAGES]


@pytest.fixture
def five(tmp_path):
    pairs = list(zip(IMAGES, MASKS, strict=True))
    return write_set(tmp_path / "set", ["a", "b", "c"], train=pairs, val=pairs[:1])


def test_scale():
    """TFLite's metadata says (byte - 127.5) / 127.5, each step in float32."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = scale(values)
    assert found.dtype == np.float32 and values[15, 15] == 255
    wanted = np.float32(np.arange(-127.5, 128)) / np.float32(127.5)
    assert np.array_equal(found.ravel(), wanted)
    assert found[0, 0] == -1 and found[15, 15] == 1


def test_to_input_resizes_the_whole_image():
    image = grey([[0, 255, 0, 255], [255, 0, 255, 0]])
    found = to_input(image, (1, 2))  # each value is the mean of a block of four, 127.5
    assert found.shape == (1, 2, 3) and found.dtype == np.float32
    assert np.abs(found).max() <= 0.5 / 127.5 + 1e-7  # rounded to 127 or 128
    assert to_input(grey([[255, 0]]), (1, 2)).tolist() == [[[1] * 3, [-1] * 3]]


@pytest.mark.parametrize(("batch", "counts"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (8, [5])])
def test_each_image_is_evaluated_once_and_in_order(five, batch, counts):
    groups = list(evaluation_pairs(five, "train", (3, 4), batch))
    assert [len(inputs) for inputs, _, _ in groups] == counts
    assert groups[0][0].shape == (counts[0], 3, 4, 3) and groups[0][0].dtype == np.float32
    inputs, masks, paths = ([item for group in groups for item in group[part]] for part in range(3))
    folder = five.folder / "train"
    assert paths == [
        (folder / "images" / f"{n}.png", folder / "masks" / f"{n}.png") for n in range(5)
    ]
    for found, image in zip(inputs, IMAGES, strict=True):
        assert np.array_equal(found, to_input(image, (3, 4)))
    for found, mask in zip(masks, MASKS, strict=True):
        assert np.array_equal(found, mask)


def test_the_split_is_the_one_that_is_asked_for(five):
    assert len(list(evaluation_pairs(five, "val", (3, 4), 1))) == 1


def test_colours_are_not_swapped(tmp_path):
    red = np.full((2, 2, 3), [255, 0, 0], np.uint8)
    dataset = write_set(tmp_path / "set", ["a"], val=[(red, red[..., 1])])
    ((inputs, _, _),) = evaluation_pairs(dataset, "val", (1, 1), 4)
    assert inputs.tolist() == [[[[1, -1, -1]]]]


@pytest.mark.parametrize(("batch", "steps"), [(1, 5), (2, 3), (4, 2), (5, 1), (6, 1)])
def test_steps_of_an_epoch(five, batch, steps):
    assert steps_per_epoch(five, batch) == steps


def test_order_of_an_epoch():
    for epoch in range(3):
        assert sorted(batches.order(7, epoch, 20)) == list(range(20))
    orders = {tuple(batches.order(seed, epoch, 20)) for seed in (7, 8) for epoch in (0, 1)}
    assert len(orders) == 4


STEPS = [(2, [1, 2, 2]), (3, [2, 3]), (4, [2, 3]), (5, [5])]


@pytest.mark.parametrize(("batch", "counts"), STEPS)
def test_an_epoch_reads_each_image_once_in_steps_of_nearly_one_size(
    five, monkeypatch, batch, counts
):
    """Where the batch does not divide an epoch, no step is more than one image smaller."""
    read = []

    def note(image, mask, rng, size, strength, another, *_):
        read.append(image.shape[0] - 2)  # the number of the image
        return np.full((*size, 3), 255, np.uint8), np.zeros(size, np.uint8)

    monkeypatch.setattr(batches, "augment", note)
    stream = batches.training_stream(five, (3, 4), batch, seed=1)
    epochs = []
    for epoch in range(2):
        read.clear()
        steps = [stream[epoch * len(counts) + step] for step in range(len(counts))]
        assert sorted(len(inputs) for inputs, _, _ in steps) == counts
        assert sorted(read) == [0, 1, 2, 3, 4]
        epochs.append(list(read))
        for inputs, masks, _ in steps:
            assert inputs.shape[1:] == (3, 4, 3) and masks.shape[1:] == (3, 4)
            assert inputs.min() == 1 and masks.max() == 0
    assert epochs[0] == [*batches.order(1, 0, 5)] and epochs[1] == [*batches.order(1, 1, 5)]


def test_batches_are_those_of_the_stream(five, monkeypatch):
    """From step 0 on, or from another; the stream does not end."""
    monkeypatch.setattr(batches, "augment", lambda image, mask, rng, size, *_: (
        np.full((*size, 3), image[0, 0, 0]), np.zeros(size, np.uint8)
    ))  # fmt: skip
    stream = batches.training_stream(five, (3, 4), 2, seed=1)
    assert len(stream) > 2**32
    for start, more in ((0, {}), (0, {"start": 0}), (2, {"start": 2})):
        found = training_batches(five, (3, 4), 2, 1, **more)
        for step in range(start, start + 3):
            assert np.array_equal(next(found)[0], stream[step][0])


def test_opencv_leaves_the_cores_to_the_threads(five):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        batches.training_stream(five, (3, 4), 2, seed=1)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_what_the_augmentation_is_given(five, monkeypatch):
    given = []

    def note(image, mask, rng, size, strength, another, *_):
        given.append((size, strength, another(np.random.default_rng(0))))
        assert mask.shape == image.shape[:2]
        return np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)

    monkeypatch.setattr(batches, "augment", note)
    next(training_batches(five, (3, 4), 5, seed=1))
    assert {strength for _, strength, _ in given} == {1.0}
    batches.training_stream(five, (3, 4), 5, seed=1)[0]
    assert {strength for _, strength, _ in given} == {1.0}
    next(training_batches(five, (3, 4), 5, seed=1, strength=0.5))
    assert {strength for _, strength, _ in given} == {0.5, 1.0}
    assert {size for size, _, _ in given} == {(3, 4)}
    chosen = int(np.random.default_rng(0).integers(5))
    for _, _, (image, mask) in given:  # any of the five may be mixed in
        assert np.array_equal(image, IMAGES[chosen]) and np.array_equal(mask, MASKS[chosen])
