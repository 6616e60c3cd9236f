"""Scores of functions whose logits are the input's own colours, on datasets of a few pixels."""

import os
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from tiny_sets import write_set

from cli import Refusal
from export.proof import score as module
from export.proof.score import predictor, score, score_function, subset_miou

COLOURS = 255 * np.eye(3, dtype=np.uint8)  # red is class 0, green 1, blue 2


def same(inputs):
    """Logits (1, H, W, 3) that are the input: the brightest channel is the class."""
    return inputs


@pytest.fixture
def three(tmp_path):
    red = np.zeros((4, 4), int)
    halves = np.repeat([[1, 1, 2, 2]], 4, 0)
    masks = [np.uint8(red), np.uint8(halves), np.uint8(halves)]
    masks[0][0] = 1  # 4 of 16 pixels are red, but class 1
    masks[1][0, 3], masks[1][1, 3] = 255, 0  # a blue one is void, and one is class 0
    pairs = list(zip(COLOURS[[red, halves, halves]], masks, strict=True))
    return write_set(tmp_path / "set", ["a", "b", "c"], val=pairs, train=pairs[2:])


def test_score_by_hand(three):
    # Intersections 12, 16 and 14; a: 12 + 4 + 1 pixels in the union; b: 16 + 4; c: 14 + 1.
    found = score_function(same, three, "val", (4, 4))
    assert found["iou"] == {"a": 12 / 17, "b": 16 / 20, "c": 14 / 15}
    assert found["miou"] == pytest.approx((12 / 17 + 16 / 20 + 14 / 15) / 3)
    assert found["pixel_accuracy"] == 42 / 47
    train = score_function(same, three, "train", (4, 4))
    assert train["iou"] == {"a": None, "b": 1.0, "c": 1.0}


def test_the_mask_is_judged_at_its_own_size(three):
    """At half the size, the logits of two columns give the same halves when they are resized."""
    assert score_function(same, three, "val", (2, 2)) == score_function(same, three, "val", (4, 4))


def test_inputs_logits_and_truth_of_each_image(three):
    found = list(module.predictions(lambda x: 2 * x, three, "val", (2, 4)))
    assert len(found) == 3
    for inputs, logits, truth in found:
        assert inputs.shape == (1, 2, 4, 3) and truth.shape == (4, 4)
        assert np.array_equal(logits, 2 * inputs[0])
    assert found[1][0][0, 0].tolist() == [[-1, 1, -1]] * 2 + [[-1, -1, 1]] * 2


def test_other_classes_are_refused(three):
    for classes, *name in ((4,), (2, "x.tflite")):
        words = f"{name[0] if name else 'the model'} predicts {classes}"

        def other(inputs, classes=classes):
            return np.zeros((1, 5, 6, classes))

        with pytest.raises(Refusal) as caught:
            score_function(other, three, "val", (4, 4), *name)
        assert str(caught.value) == (
            f"{words} classes, but {three.folder} has 3. Score it on a dataset with the classes "
            "that it was trained on"
        )


@pytest.fixture
def four(tmp_path):
    """Image n of four is all of class 0 and shows it at n of its 4 pixels."""
    shown = [np.array([[0 if at < n else 1 for at in range(4)]]) for n in range(4)]
    pairs = [(COLOURS[each], np.zeros((1, 4))) for each in shown]
    return write_set(tmp_path / "set", ["a", "b", "c"], val=pairs, train=pairs[:1])


@pytest.mark.parametrize(("seed", "most"), [(0, 2), (1, 2), (5, 3), (0, 9)])
def test_miou_of_a_subset(four, monkeypatch, seed, most):
    monkeypatch.setattr(module, "SUBSET", most)
    chosen = np.random.default_rng(seed).permutation(4)[:most]
    wanted = chosen.sum() / (4 * len(chosen))
    assert subset_miou(same, four, (1, 4), seed) == pytest.approx(wanted)
    if not seed:
        assert subset_miou(same, four, (1, 4)) == pytest.approx(wanted)


def test_the_subset_is_of_validation_images():
    assert module.SUBSET == 32 and module.BATCH == 1


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder whose network gives its input back."""
    net = SimpleNamespace(predict_on_batch=lambda images: images.tolist())
    loaded = net, SimpleNamespace(size=(1, 2)), {}
    monkeypatch.setattr("segnet.run.load_run", {tmp_path / "run": loaded}.__getitem__)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_run_is_scored(run, three):
    assert score(run, three, "train")["iou"] == {"a": None, "b": 1.0, "c": 1.0}


def test_a_prediction_has_the_size_of_its_image(run):
    image = COLOURS[[[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 2, 2]]]
    mask = predictor(run)(image)
    assert mask.tolist() == [[1, 1, 2, 2]] * 3 and mask.dtype == np.uint8


def test_a_file_is_scored(tmp_path, three):
    """A 1x1 convolution that gives its input's channels in another order."""
    import keras

    from export.graph.convert import to_tflite

    image = keras.Input((4, 4, 3), batch_size=1)
    net = keras.Model(image, keras.layers.Conv2D(3, 1, use_bias=False)(image))
    net.set_weights([np.eye(3)[[0, 2, 1]][None, None]])  # green is class 2, blue 1
    (tmp_path / "model.tflite").write_bytes(to_tflite(net))
    # Nothing of b and c is right now: of b, 4 pixels are taken for a and 16 for c.
    found = score(tmp_path / "model.tflite", three, "val")
    assert found["iou"] == {"a": 12 / 17, "b": 0.0, "c": 0.0}
    mask = predictor(tmp_path / "model.tflite")(COLOURS[np.repeat([[0, 1, 2]], 2, 0)])
    assert mask.shape == (2, 3) and mask[:, 0].tolist() == [0, 0] and mask[0, 2] == 1
