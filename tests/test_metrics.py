"""Masks of logits, the confusion matrix and its scores, by hand."""

import cv2
import numpy as np
import pytest

from segnet import metrics
from segnet.metrics import confusion, scores, to_mask


def test_logits_are_resized_before_the_class_is_chosen():
    # Four pixels of two: the middle ones are a quarter of the way from their neighbour. Class 1 is
    # -1, 0.25, 2.75, 4 there, and class 0 is 0 everywhere.
    logits = np.float32([[[0, -1], [0, 4]]])
    for wide, wanted in ((logits, [[0, 1, 1, 1]]), (logits.swapaxes(0, 1), [[0], [1], [1], [1]])):
        mask = to_mask(wide, np.shape(wanted))
        assert mask.tolist() == wanted and mask.dtype == np.uint8
    # Two pixels of four, each halfway between two: 1 and -1.
    assert to_mask(np.float32([[[0, -1], [0, 3], [0, -3], [0, 1]]]), (1, 2)).tolist() == [[1, 0]]
    assert to_mask(logits).tolist() == to_mask(logits, (1, 2)).tolist() == [[0, 1]]


@pytest.mark.parametrize(("channels", "values"), [(2, 10**6), (3, 10**6), (128, 200), (128, 1)])
def test_logits_of_many_classes_are_resized_in_blocks(monkeypatch, channels, values):
    """The same masks, class by class: 7 x 9 pixels of 2 x 3, and 3 classes or 1 in 200 values."""
    logits = np.random.default_rng(0).normal(size=(2, 3, 7)).astype(np.float32)
    planes = [cv2.resize(np.ascontiguousarray(logits[..., n]), (9, 7)) for n in range(7)]
    monkeypatch.setattr(metrics, "MOST_CHANNELS", channels)
    monkeypatch.setattr(metrics, "MOST_VALUES", values)
    found = to_mask(logits, (7, 9))
    assert found.dtype == np.uint8 and np.array_equal(found, np.argmax(planes, 0))
    tall = to_mask(logits.swapaxes(0, 1), (9, 7))  # as wide as there are classes
    assert np.array_equal(tall, found.T)
    best = [[max(range(7), key=pixel.__getitem__) for pixel in row] for row in logits.tolist()]
    assert to_mask(logits).tolist() == to_mask(logits, (2, 3)).tolist() == best
    ties = np.repeat(np.float32([[[0, 5, 5, 1, 5, 5, 2]]]), 2, 1)
    assert to_mask(ties, (7, 9)).tolist() == [[1] * 9] * 7
    low = -1e30 * np.ones((1, 2, 7), np.float32)
    low[..., 6] = -1e29
    assert to_mask(low, (7, 9)).tolist() == [[6] * 9] * 7


def test_blocks_hold_few_channels_and_values(monkeypatch):
    sizes = []

    def resize(block, size, **options):
        sizes.append(block.shape[-1])
        return np.zeros((*size[::-1], block.shape[-1]), np.float32)

    monkeypatch.setattr(metrics.cv2, "resize", resize)
    to_mask(np.zeros((1, 1, 255), np.float32), (2, 3))
    assert sizes == [128, 127]  # OpenCV 5 takes no more than 128
    sizes.clear()
    monkeypatch.setattr(metrics, "MOST_VALUES", 6 * 100)
    to_mask(np.zeros((1, 1, 255), np.float32), (2, 3))
    assert sizes == [100, 100, 55]
    sizes.clear()
    monkeypatch.setattr(metrics, "MOST_VALUES", 5)  # fewer than the pixels
    to_mask(np.zeros((1, 1, 3), np.float32), (2, 3))
    assert sizes == [1, 1, 1]
    assert metrics.MOST_CHANNELS == 128


def test_confusion_by_hand():
    truth = np.uint8([[0, 0, 1], [2, 255, 1]])
    predicted = np.uint8([[0, 1, 1], [1, 0, 2]])
    found = confusion(truth, predicted, 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 0]] and found.dtype == np.int64


def test_ids_whose_product_is_no_byte():
    found = confusion(np.uint8([199, 1]), np.uint8([198, 2]), 200)
    assert np.argwhere(found).tolist() == [[1, 2], [199, 198]] and found.sum() == 2


def test_scores_by_hand():
    found = scores(np.array([[3, 1, 0], [2, 4, 0], [0, 1, 0]]), ["a", "b", "c"])
    # Intersections 3, 4, 0; unions 4 + 5 - 3, 6 + 6 - 4, 1 + 0 - 0.
    assert found["iou"] == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert found["miou"] == pytest.approx(1 / 3) and found["pixel_accuracy"] == 7 / 11


def test_a_class_that_the_truth_lacks_is_not_scored():
    found = scores(np.array([[2, 2], [0, 0]]), ["a", "b"])
    assert found == {"miou": 0.5, "iou": {"a": 0.5, "b": None}, "pixel_accuracy": 0.5}


def test_scores_of_no_pixels():
    found = scores(np.zeros((2, 2), int), ["a", "b"])
    assert found == {"miou": 0.0, "iou": {"a": None, "b": None}, "pixel_accuracy": 0.0}


def test_scores_of_one_pixel():
    assert scores(np.array([[0, 1], [0, 0]]), ["a", "b"])["miou"] == 0.0
    assert scores(np.array([[1]]), ["a"]) == {"miou": 1.0, "iou": {"a": 1.0}, "pixel_accuracy": 1.0}


def test_each_class_has_a_name():
    for names in (["a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="zip"):
            scores(np.eye(2, dtype=int), names)
