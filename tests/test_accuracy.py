"""The figures of a file's accuracy, by hand, on a dataset of a few pixels."""

import math

import numpy as np
import pytest
from tiny_sets import write_set

from export.proof.accuracy import Comparison, accuracy, majority_miou, minority

COLOURS = 255 * np.eye(3, dtype=np.uint8)


def compared(*pairs):
    found = Comparison(len(pairs[0][0][0][0]))
    for file, model in pairs:
        found.add(np.float32(file), np.float32(model))
    return found.figures()


def test_figures_by_hand():
    """Two images of one and two pixels with two classes."""
    first = [[[1.5, -2]]], [[[1, -2]]]
    second = [[[0, 4], [3, 3.5]]], [[[0, 2], [4, 3]]]
    found = compared(first, second)
    # Of three pixels the last one changes its class. The largest difference is 2, the largest logit
    # 4. Differences less the model: 0.5 - 1 and 0 + 2 + 0.5, so 2.5 over 3 pixels at most. Squares
    # of the model: 1 + 4 + 0 + 4 + 16 + 9 = 34; products: 1.5 + 4 + 0 + 8 + 12 + 10.5 = 36.
    assert found["pixel_agreement"] == pytest.approx(2 / 3)
    assert found["max_abs_error"] == pytest.approx(2 / 4)
    assert found["logit_bias"] == pytest.approx((2.5 / 3) / math.sqrt(34 / 6))
    assert found["logit_scale_error"] == pytest.approx(36 / 34 - 1)


def test_smaller_logits_are_an_error_too():
    assert compared(([[[0.5, -1]]], [[[1, -2]]]))["logit_scale_error"] == pytest.approx(0.5)
    negative = compared(([[[-1, -4]]], [[[-1, -2]]]))
    assert negative["max_abs_error"] == 1.0 and negative["logit_bias"] > 1


def test_equal_logits():
    wanted = {"pixel_agreement": 1, "max_abs_error": 0, "logit_bias": 0, "logit_scale_error": 0}
    assert compared(([[[3, -5]]], [[[3, -5]]])) == wanted


def test_logits_of_zero():
    """Nothing is known of a model whose logits are all 0: no figure passes."""
    found = compared(([[[1, 0]]], [[[0, 0]]]))
    assert found["max_abs_error"] == found["logit_bias"] == math.inf
    assert found["logit_scale_error"] == 1.0
    assert compared(([[[0, 0]]], [[[0, 0]]]))["logit_bias"] == math.inf


def test_classes_that_differ_in_either_direction():
    found = compared(([[[1, 0], [0, 1], [0, 1]]], [[[0, 1], [1, 0], [0, 1]]]))
    assert found["pixel_agreement"] == pytest.approx(1 / 3)


def test_sums_of_large_logits():
    """Squares and sums of two that float32 cannot hold."""
    found = compared(([[[0], [0]]], [[[3e38], [3e38]]]))
    assert found["logit_bias"] == pytest.approx(1) and found["logit_scale_error"] == 1
    same = compared(([[[3e38], [3e38]]], [[[3e38], [3e38]]]))
    assert same["logit_scale_error"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("place", [0, 1])
def test_a_nan_stays(place):
    """Also if the images before or after it are sound."""
    pairs = [([[[1, 2]]], [[[1, 2]]])] * 2
    pairs[place] = ([[[math.nan, 2]]], [[[1, 2]]])
    found = compared(*pairs)
    assert math.isnan(found["max_abs_error"]) and math.isnan(found["logit_bias"])
    assert math.isnan(found["logit_scale_error"])


def test_minority_by_hand():
    # Truth: 6, 3 and 1 pixels; predicted: 8, 2 and 0. 2 of the 4 outside the most frequent class.
    assert minority(np.array([[6, 0, 0], [1, 2, 0], [1, 0, 0]])) == 0.5
    assert minority(np.array([[6, 0], [4, 0]])) == 0.0
    assert (
        minority(np.array([[0, 6], [0, 4]])) == 0.0
    )  # the class predicted is not the frequent one
    assert minority(np.array([[5, 1], [0, 0]])) is None
    assert minority(np.array([[5, 0], [0, 1]])) == 1.0


def test_miou_of_one_class_everywhere_by_hand():
    # Of 6, 3 and 1 pixels, class 0 has IoU 6/10 and the others 0.
    assert majority_miou(np.array([[6, 0, 0], [1, 2, 0], [1, 0, 0]])) == pytest.approx(0.2)
    # An absent class, which is predicted, does not count.
    assert majority_miou(np.array([[0, 0, 0], [1, 2, 0], [1, 0, 0]])) == pytest.approx(0.375)


def shown(rows):
    return COLOURS[np.array(rows)]


@pytest.fixture
def dataset(tmp_path):
    """Two images of one row of four pixels; the trained model's classes are the colours."""
    pairs = [(shown([[0, 0, 1, 1]]), [[0, 0, 1, 1]]), (shown([[0, 1, 1, 1]]), [[0, 0, 1, 255]])]
    return write_set(tmp_path / "set", ["a", "b", "c"], val=pairs, test=pairs[:1])


def keras(inputs):
    return inputs


def file(inputs):
    """Takes the first pixel of each image for class c."""
    logits = inputs.copy()
    logits[0, 0, 0] = [-1, -1, 2]
    return logits


def fine_tuned(inputs):
    return file(inputs) * 2


def test_accuracy_by_hand(dataset):
    found = accuracy(keras, keras, file, dataset, "val", (1, 4))
    # Keras is wrong at one of 7 pixels: a 3 of 4, b 3 of 4. The file has 1 of a's 4 pixels; of b's
    # 4 in truth or prediction 3 are right.
    assert found["iou_keras"] == {"a": 3 / 4, "b": 3 / 4, "c": None}
    assert found["iou_tflite"] == {"a": 1 / 4, "b": 3 / 4, "c": None}
    assert found["miou_keras"] == 0.75 and found["miou_tflite"] == 0.5
    assert found["miou_drop"] == 0.25 and found["worst_class_drop"] == 0.5
    assert found["confusion"] == [[1, 1, 2], [0, 3, 0], [0, 0, 0]]
    assert found["minority"] == 1.0  # 3 of 7 pixels are not b; 3 of the truth's are not a
    assert found["judged_on"] == "val" and found["judged_images"] == 2
    assert found["not_measured"] == {}
    assert found["pixel_agreement"] == 6 / 8  # void pixels are compared too
    # The logits are 1 or -1; the largest difference is that of 2 to -1 at two pixels.
    assert found["max_abs_error"] == 3.0
    assert found["logit_bias"] == pytest.approx(2 * 3 / 8)
    # 24 squares of 1; each of the two pixels gives -1 + 1 - 2 instead of 3.
    assert found["logit_scale_error"] == pytest.approx(10 / 24)


def test_a_file_that_was_fine_tuned_is_compared_with_its_own_model(dataset):
    """Its mIoU is still compared with Keras'."""
    found = accuracy(keras, fine_tuned, file, dataset, "val", (1, 4))
    assert found["miou_drop"] == 0.25 and found["pixel_agreement"] == 1.0
    assert found["max_abs_error"] == 0.5  # half of 4, the largest logit of the float model
    assert found["logit_scale_error"] == pytest.approx(0.5)


def test_the_split_and_the_size_of_the_model(dataset):
    found = accuracy(keras, keras, keras, dataset, "test", (1, 2))
    assert found["judged_on"] == "test" and found["judged_images"] == 1
    assert found["iou_keras"] == {"a": 1.0, "b": 1.0, "c": None}
    assert found["miou_drop"] == found["worst_class_drop"] == 0


def test_keras_runs_once_on_each_image(dataset):
    ran = []

    def counting(inputs):
        ran.append(inputs)
        return inputs

    accuracy(counting, counting, file, dataset, "val", (1, 4))
    assert len(ran) == 2


def test_a_gain_is_a_negative_drop(dataset):
    found = accuracy(file, keras, keras, dataset, "val", (1, 4))
    assert found["miou_drop"] == -0.25 and found["worst_class_drop"] == 0
    assert found["miou_keras"] == 0.5 and found["confusion"] == [[3, 1, 0], [0, 3, 0], [0, 0, 0]]


def test_the_minority_is_that_of_the_file(dataset):
    def one_class(inputs):
        return np.float32(inputs * 0 + [0, 1, 0])

    assert accuracy(keras, keras, one_class, dataset, "val", (1, 4))["minority"] == 0.0
    assert accuracy(one_class, keras, keras, dataset, "val", (1, 4))["minority"] == 1.0


def test_no_class_to_lose(tmp_path):
    pair = shown([[0, 1]]), [[255, 255]]
    dataset = write_set(tmp_path / "set", ["a", "b", "c"], val=[pair])
    found = accuracy(keras, keras, file, dataset, "val", (1, 2))
    assert found["worst_class_drop"] is None and found["minority"] is None
    assert found["not_measured"] == {"minority": "the masks of val hold a single class"}
