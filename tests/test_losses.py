"""The losses, against sums over pixels in plain Python."""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from segnet.losses import (
    cross_entropy,
    dice,
    distillation_loss,
    distillation_targets,
    one_hot,
    segmentation_loss,
)

TRUTH = np.uint8([[[0, 1], [255, 2]], [[2, 2], [1, 255]]])  # (2, 2, 2)
LOGITS = np.random.default_rng(0).normal(0, 2, (2, 2, 2, 3)).astype(np.float32)
TEACHER = np.random.default_rng(1).normal(0, 2, (2, 2, 2, 3)).astype(np.float32)
WEIGHTS = [0.5, 2.0, 3.0]


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def pixels():
    """(class, probabilities, the teacher's probabilities) of each pixel that is not void."""
    for at in np.ndindex(TRUTH.shape):
        if TRUTH[at] != 255:
            yield int(TRUTH[at]), softmax(LOGITS[at].tolist()), softmax(TEACHER[at].tolist())


def cross_entropy_in_a_loop(weights):
    losses = [-weights[label] * math.log(found[label]) for label, found, _ in pixels()]
    return sum(losses) / 6  # of the 8 pixels, two are void


def dice_in_a_loop():
    terms = []
    for label in range(3):
        shared = sum(found[label] for truth, found, _ in pixels() if truth == label)
        total = sum(found[label] + (truth == label) for truth, found, _ in pixels())
        terms.append((2 * shared + 1) / (total + 1))
    return 1 - sum(terms) / 3


def inputs():
    hot, counts = one_hot(keras, TRUTH, 3)
    return hot, counts, keras.ops.log_softmax(LOGITS)


def test_one_hot_by_hand():
    hot, counts = one_hot(keras, np.float32([[[0, 2, 255, 1]]]), 3)
    assert np.asarray(hot).tolist() == [[[[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]]]
    assert np.asarray(counts).tolist() == [[[1, 1, 0, 1]]]


def test_cross_entropy():
    for weights in (None, WEIGHTS):
        found = float(cross_entropy(keras, *inputs(), weights))
        assert found == pytest.approx(cross_entropy_in_a_loop(weights or [1, 1, 1]), 1e-5)


def test_dice():
    assert float(dice(keras, *inputs())) == pytest.approx(dice_in_a_loop(), 1e-5)


def test_dice_of_absent_classes_and_perfect_predictions():
    """The smoothing of 1 counts as one pixel that is right."""
    truth = np.zeros((1, 2, 2), np.uint8)
    for logits, wanted in (([99.0, 0, 0], 0.0), ([0, 99.0, 0], 1 - (1 / 5 + 1 / 5 + 1) / 3)):
        hot, counts = one_hot(keras, truth, 3)
        predicted = keras.ops.log_softmax(np.float32([[[logits] * 2] * 2]))
        assert float(dice(keras, hot, counts, predicted)) == pytest.approx(wanted, abs=1e-6)


def test_the_loss_is_their_sum():
    for weights in (None, WEIGHTS):
        wanted = cross_entropy_in_a_loop(weights or [1, 1, 1]) + dice_in_a_loop()
        found = float(segmentation_loss(keras, 3, weights)(TRUTH, LOGITS))
        assert found == pytest.approx(wanted, 1e-5)


def test_a_batch_of_void_has_no_loss():
    assert float(segmentation_loss(keras, 3)(np.full((1, 2, 2), 255), LOGITS[:1])) == 0.0


def test_few_pixels_are_not_weighed_less():
    """The mean is over the pixels that count, from one on."""
    truth = np.full((1, 2, 2), 255)
    truth[0, 0, 0] = 1
    hot, counts = one_hot(keras, truth, 3)
    found = float(cross_entropy(keras, hot, counts, keras.ops.log_softmax(LOGITS[:1])))
    assert found == pytest.approx(-math.log(softmax(LOGITS[0, 0, 0].tolist())[1]), 1e-5)


class Teacher:
    def __init__(self, logits):
        self.predict_on_batch = lambda images: logits


def test_targets_of_a_teacher():
    found = distillation_targets(Teacher(TEACHER), None, TRUTH)
    assert found.shape == (2, 2, 2, 4) and found.dtype == np.float32
    assert np.array_equal(found[..., 0], TRUTH)
    for at in np.ndindex(TRUTH.shape):
        assert found[at][1:] == pytest.approx(softmax(TEACHER[at].tolist()), 1e-5)


def test_targets_of_a_sure_teacher():
    """e^1000 is no float."""
    large = np.float32([[[[1000.0, 0.0, 0.0]]]])
    found = distillation_targets(Teacher(large), None, np.uint8([[[2]]]))
    assert found.tolist() == [[[[2, 1, 0, 0]]]]


def test_distillation():
    soft = [-sum(t * math.log(f) for t, f in zip(taught, found, strict=True))
            for _, found, taught in pixels()]  # fmt: skip
    targets = distillation_targets(Teacher(TEACHER), None, TRUTH)
    for weights in (None, WEIGHTS):  # the classes' weights are not the teacher's
        hard = cross_entropy_in_a_loop(weights or [1, 1, 1]) + dice_in_a_loop()
        found = float(distillation_loss(keras, 3, weights)(targets, LOGITS))
        assert found == pytest.approx(hard + sum(soft) / 6, 1e-5)
