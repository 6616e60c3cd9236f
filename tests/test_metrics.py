"""Masks of logits, the confusion matrix and its scores, by hand."""

import numpy as np
import pytest

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
