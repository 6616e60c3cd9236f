"""Losses, metrics, initial weights, the tf_keras copy, checkpoints, remarks on a training."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from cli import Refusal
from data.statistics import balanced_weights
from segnet import blocks
from segnet import rows as rows_module
from segnet.build import build
from segnet.checkpoint import read_checkpoint, save_checkpoint
from segnet.loop import Loop, remarks
from segnet.losses import distillation_loss, distillation_targets, segmentation_loss
from segnet.metrics import confusion, scores
from segnet.presets import PRESETS, preset
from segnet.rows import mobilenet_v1
from segnet.twin import twin
from segnet.weights import copy_encoder, load_encoder, opposite_pairs

ROOT = Path(__file__).parent.parent


def test_help_omits_empty_defaults():
    command = [sys.executable, "train.py", "--help"]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    text = " ".join(end.stdout.split())
    assert "(default base)" in text and "(default imagenet)" in text
    assert "(default )" not in text and "(default None)" not in text


def test_iou_by_hand():
    truth = np.array([0, 0, 1, 1, 255])
    predicted = np.array([0, 1, 1, 1, 0])
    found = scores(confusion(truth, predicted, 3), ["a", "b", "c"])
    # a: intersection 1, union 2; b: 2 and 3; c is absent; the void pixel is not counted.
    assert found["iou"] == {"a": 1 / 2, "b": 2 / 3, "c": None}
    assert found["miou"] == pytest.approx(7 / 12)
    assert found["pixel_accuracy"] == 3 / 4


def test_void_pixels_do_not_change_the_loss():
    loss = segmentation_loss(keras, 2)
    truth = np.array([[[0, 255]]])
    one = np.array([[[[1.0, 2.0], [3.0, -9.0]]]], np.float32)
    two = np.array([[[[1.0, 2.0], [-5.0, 50.0]]]], np.float32)
    assert float(loss(truth, one)) == pytest.approx(float(loss(truth, two)))


def test_cross_entropy_and_dice_by_hand():
    loss = segmentation_loss(keras, 2)
    # Equal logits on one pixel of class 0: cross-entropy is ln 2; probabilities are 1/2 and 1/2,
    # so Dice is 1 - mean((2 * .5 + 1) / (.5 + 1 + 1), 1 / (.5 + 1)).
    wanted = np.log(2) + 1 - (2 / 2.5 + 1 / 1.5) / 2
    found = float(loss(np.zeros((1, 1, 1)), np.zeros((1, 1, 1, 2), np.float32)))
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("kernel", [2, 4])
def test_deconvolution_starts_without_a_checkerboard(kernel):
    """On a constant image all four phases agree: each is the He-initialised 1x1 convolution."""
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 64))
    net = keras.Model(image, blocks.deconv(keras, image, "deconv", 32, kernel, norm="linear"))
    constant = np.ones((1, 6, 6, 64), np.float32)
    found = np.asarray(net(constant))[0, 2:-2, 2:-2]
    assert found.max() > 0.1
    np.testing.assert_allclose(found, np.broadcast_to(found[0, 0], found.shape), atol=1e-5)
    slope = np.arange(6, dtype=np.float32)[None, None, :, None] * constant  # rises to the right
    rising = np.diff(np.asarray(net(slope))[0, 5, 2:-2, :], axis=0)
    steps = {2: [0, 1] * 3 + [0], 4: [0.5] * 7}[kernel]  # nearest repeats, bilinear rises evenly
    np.testing.assert_allclose(rising, np.multiply.outer(steps, found[0, 0]), atol=1e-5)


def test_batch_norm_equals_that_of_keras():
    """Outputs, gradients, statistics and inference, on inputs far from zero mean, unit variance."""
    rng = np.random.default_rng(0)
    image = rng.normal(3, 2, (4, 6, 5, 8)).astype(np.float32)
    results = []
    for kind in (keras.layers.BatchNormalization, blocks.norm_layer(keras)):
        norm = kind(epsilon=1e-3, momentum=0.9)
        norm.build(image.shape)
        norm.set_weights(np.random.default_rng(1).uniform(0.5, 1.5, (4, 8)).astype(np.float32))
        results.append([*gradients(norm, image), *norm.get_weights(), np.asarray(norm(image))])
        assert type(norm).__name__ == "BatchNormalization"
    for wanted, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def gradients(layer, image):
    """The output in training mode, and gradients of the sum of its cubes."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        x = tf.constant(image)
        tape.watch(x)
        y = layer(x, training=True)
        cubes = tf.reduce_sum(y**3)
    return [np.asarray(each) for each in (y, *tape.gradient(cubes, [x, *layer.trainable_weights]))]


def test_opposite_pairs():
    filters = np.array([[1.0, 0.0, -2.0, 0.1], [0.0, 1.0, 0.0, -1.0]])
    kept, opposite = opposite_pairs(filters)
    assert kept.tolist() == [2, 3] and opposite.tolist() == [0, 1]


@pytest.mark.parametrize("norm_position", ["before", "after"])
def test_opposite_pairs_keep_the_pretrained_function(norm_position):
    """With filters in exactly opposite pairs, CReLU with half the filters loses nothing."""
    whole = preset("mobileseg160")
    halved = whole._replace(encoder=mobilenet_v1(1.0, ("conv5_5", "conv6")))
    if norm_position == "after":
        halved = preset("course160")
    plain = build(keras, whole, (64, 64), 3)
    rng, source = np.random.default_rng(0), {}
    for number in range(14):
        ours = "conv1" if not number else plain_name(plain, number)
        theirs = "conv1" if not number else f"conv_pw_{number}"
        kernel = rng.normal(0, 0.1, plain.get_layer(ours).get_weights()[0].shape)
        half = kernel.shape[-1] // 2
        if number:
            kernel[..., half:] = -kernel[..., :half]
            depth = plain.get_layer(ours.replace("_pw", "_dw"))
            source[f"conv_dw_{number}"] = [rng.normal(0, 0.3, depth.get_weights()[0].shape)]
            source[f"conv_dw_{number}_bn"] = norm(rng, depth.get_weights()[0].shape[2])
        source[theirs] = [kernel]
        source[theirs + "_bn"] = norm(rng, 2 * half, mirrored=bool(number))
    models = []
    for network in (whole, halved):
        model = build(keras, network, (64, 64), 3)
        assert "14 of 14" in copy_encoder(model, network, source, "test")
        last = [layer for layer in model.layers if layer.name.startswith("conv6_pw")][-1]
        models.append(keras.Model(model.input, last.output))
    image = rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    found = [np.sort(np.asarray(model(image, training=False)), -1) for model in models]
    assert np.abs(found[0] - found[1]).max() < 1e-4 * np.abs(found[0]).max()


def plain_name(model, number):
    names = [layer.name for layer in model.layers if layer.name.endswith("_pw")]
    return names[number - 1]


def norm(rng, channels, mirrored=False):
    gamma, beta, mean, variance = rng.uniform(0.5, 1.5, (4, channels))
    if mirrored:  # the second half is such that BN(-x) = -BN(x)
        half = channels // 2
        gamma[half:], variance[half:] = gamma[:half], variance[:half]
        beta[half:], mean[half:] = -beta[:half], -mean[:half]
    return [gamma, beta, mean, variance]


def test_invalid_weights_are_refused(tmp_path):
    model = build(keras, preset("tiny"), (64, 64), 3)
    with pytest.raises(Refusal, match="takes imagenet, none"):
        load_encoder(model, preset("tiny"), str(tmp_path / "no.h5"))
    (tmp_path / "bad.h5").write_bytes(b"no weights")
    with pytest.raises(Refusal, match=r"bad\.h5 is damaged or no weights file"):
        load_encoder(model, preset("tiny"), str(tmp_path / "bad.h5"))


def test_damaged_checkpoint_is_refused(tmp_path):
    save_checkpoint(tmp_path, [np.arange(1000.0)], {"step": 3})
    tensors, state = read_checkpoint(tmp_path)
    assert state == {"step": 3} and tensors[0][-1] == 999
    path = tmp_path / "checkpoints" / "last.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Refusal, match=r"last\.npz is damaged"):
        read_checkpoint(tmp_path)


def epochs(*values):
    return [{"epoch": n + 1, "iou_cat": value, "iou_dog": 0.5} for n, value in enumerate(values)]


def test_remarks_on_a_training():
    assert remarks(epochs(0.0, 0.0), 0.0) == []
    assert remarks(epochs(0.0, 0.0, 0.1), 0.14) == []
    assert remarks(epochs(None, None, None), 0.0) == []  # a class that is absent from the split
    (line,) = remarks(epochs(0.4, 0.0, 0.0, 0.0), 0.0)
    assert "class cat was not found once in 3 evaluations" in line and "data check" in line
    (line,) = remarks(epochs(0.4), 0.4)
    assert "inference is 40% of the pixels worse" in line and "smaller --batch" in line


def test_mode_gap_of_lagging_averages():
    """With moving averages that are far off, training mode is right and inference is not."""
    x = keras.Input((2, 2, 1))
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Model(x, norm(keras.layers.Concatenate()([x, -x])))
    images = np.float32([1, 1, -1, -1]).reshape(1, 2, 2, 1)
    masks = np.uint8([[[0, 0], [1, 1]]])
    loop = Loop(model, None, None, 1, None)
    assert loop.mode_gap(images, masks) == 0.0
    norm.set_weights([np.ones(2), np.zeros(2), np.float32([9, 0]), np.ones(2)])
    # x - 9 < -x everywhere: all four pixels are predicted as class 1, half of them wrongly.
    before = [np.array(w) for w in norm.get_weights()]
    assert loop.mode_gap(images, masks) == 0.5
    assert all(np.array_equal(a, b) for a, b in zip(before, norm.get_weights(), strict=True))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each, marks=() if each in ("tiny", "small") else pytest.mark.slow)
        for each in PRESETS
    ],
)
def test_tf_keras_copy(name):
    rows = preset(name)
    size = (rows.stride, rows.stride * 2)
    model = build(keras, rows, size, 3)
    other = twin(model, rows, size, 3)
    assert type(other).__module__.startswith("tf_keras")
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]


def test_tf_keras_copy_that_differs_is_an_error(monkeypatch):
    monkeypatch.setattr("segnet.blocks.NORM_EPSILON", 1e-3)
    model = build(keras, preset("tiny"), (32, 32), 3)
    monkeypatch.setattr("segnet.blocks.NORM_EPSILON", 0.5)
    with pytest.raises(ArithmeticError, match="the tf_keras copy differs by"):
        twin(model, preset("tiny"), (32, 32), 3)


def test_balanced_weights_by_hand():
    # Frequencies 0.9 and 0.1: 1 / root is 1.054 and 3.162; scaled so that the mean pixel weighs 1.
    found = balanced_weights(np.array([90, 10]))
    assert found == pytest.approx(np.array([1.0541, 3.1623]) / (0.9 * 1.0541 + 0.1 * 3.1623), 1e-3)


def test_imagenet_weights_are_refused_offline(monkeypatch):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(keras.applications, "MobileNet", fail)
    model = build(keras, preset("base"), (64, 64), 3)
    with pytest.raises(Refusal, match=r"cannot be downloaded. Type --weights none, or"):
        load_encoder(model, preset("base"), "imagenet")


def test_distillation_by_hand():
    """Two pixels, the second void. Teacher: 0.75 and 0.25. Student: first 0.5 and 0.5, so ln 2."""
    masks = np.array([[[0, 255]]], np.uint8)
    theirs = np.log(np.array([[[[0.75, 0.25], [0.5, 0.5]]]], np.float32))

    class Teacher:
        predict_on_batch = staticmethod(lambda images: theirs)

    targets = distillation_targets(Teacher, None, masks)
    assert targets == pytest.approx(np.array([[[[0, 0.75, 0.25], [255, 0.5, 0.5]]]]))
    for student, soft in (([0.0, 0.0], np.log(2)), ([0.0, 1.0], 0.75 * 1.3133 + 0.25 * 0.3133)):
        logits = np.float32([[[student, [9.0, -9.0]]]])
        hard = float(segmentation_loss(keras, 2)(masks, logits))
        both = float(distillation_loss(keras, 2)(targets, logits))
        assert both - hard == pytest.approx(soft, 1e-3)


ENCODERS = [("MobileNet", 0.5), ("MobileNetV2", 0.35)]


@pytest.mark.parametrize(("name", "width"), ENCODERS)
def test_encoders_equal_those_of_keras_applications(name, width, monkeypatch):
    """With the same weights both compute the same features at the last tensor that both have."""
    source = getattr(keras.applications, name)(
        (64, 64, 3), alpha=width, include_top=False, weights=None
    )
    rows = {
        "MobileNet": rows_module.mobilenet_v1(width),
        "MobileNetV2": rows_module.mobilenet_v2(width),
    }[name]
    network = rows_module.Preset(
        rows, (rows_module.Up("deconv1", rows_module.CLASSES, 2, None, 0, 0, False, "bias"),),
        "test", (name, width),
    )  # fmt: skip
    monkeypatch.setattr(keras.applications, name, lambda *_, **__: source)
    model = build(keras, network, (64, 64), 2)
    assert f"{len(rows)} of {len(rows)}" in load_encoder(model, network, "imagenet")
    last = {"MobileNet": "conv_pw_13_relu", "MobileNetV2": "block_16_project_BN"}
    theirs = source.get_layer(last[name]).output
    ours = model.get_layer("deconv1").input
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    wanted = np.asarray(keras.Model(source.input, theirs)(image))
    found = np.asarray(keras.Model(model.input, ours)(image))
    assert wanted.std() > 0
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
