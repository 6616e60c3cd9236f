"""Losses, metrics, weights, checkpoints."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from cli import Refusal
from segnet.build import build
from segnet.losses import segmentation_loss
from segnet.metrics import confusion, scores
from segnet.rows import preset
from segnet.run import read_checkpoint, save_checkpoint
from segnet.weights import load_encoder, opposite_pairs


def test_iou_by_hand():
    truth = np.array([0, 0, 1, 1, 255])
    guess = np.array([0, 1, 1, 1, 0])
    found = scores(confusion(truth, guess, 3), ["a", "b", "c"])
    # a: 1 hit of 2 in the union; b: 2 of 3; c is nowhere; void counts nowhere.
    assert found["iou"] == {"a": 1 / 2, "b": 2 / 3, "c": None}
    assert found["miou"] == pytest.approx(7 / 12)
    assert found["pixel_accuracy"] == 3 / 4


def test_void_gives_no_loss_and_no_gradient():
    loss = segmentation_loss(keras, 2)
    truth = np.array([[[0, 255]]])
    one = np.array([[[[1.0, 2.0], [3.0, -9.0]]]], np.float32)
    two = np.array([[[[1.0, 2.0], [-5.0, 50.0]]]], np.float32)
    assert float(loss(truth, one)) == pytest.approx(float(loss(truth, two)))


def test_cross_entropy_and_dice_by_hand():
    loss = segmentation_loss(keras, 2)
    # Even logits on one pixel of class 0: cross entropy ln 2; shares 1/2 and 1/2, so
    # Dice is 1 - mean((2 * .5 + 1) / (.5 + 1 + 1), 1 / (.5 + 1)).
    wanted = np.log(2) + 1 - (2 / 2.5 + 1 / 1.5) / 2
    found = float(loss(np.zeros((1, 1, 1)), np.zeros((1, 1, 1, 2), np.float32)))
    assert found == pytest.approx(wanted, abs=1e-6)


def test_opposite_pairs():
    filters = np.array([[1.0, 0.0, -2.0, 0.1], [0.0, 1.0, 0.0, -1.0]])
    kept, opposite = opposite_pairs(filters)
    assert kept.tolist() == [2, 3] and opposite.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["base", "course160"])
def test_pairs_keep_the_pretrained_function(name):
    """With filters in exactly opposite pairs, CReLU halves lose nothing."""
    plain = build(keras, preset("mobileseg160"), (64, 64), 3)
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
    for which in ("mobileseg160", name):
        from segnet.weights import copy_encoder

        model = build(keras, preset(which), (64, 64), 3)
        assert "14 of 14" in copy_encoder(model, preset(which), source, "test")
        last = [layer for layer in model.layers if layer.name.startswith("conv6_pw")][-1]
        models.append(keras.Model(model.input, last.output))
    picture = rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    found = [np.sort(np.asarray(model(picture, training=False)), -1) for model in models]
    assert np.abs(found[0] - found[1]).max() < 1e-4 * np.abs(found[0]).max()


def plain_name(model, number):
    names = [layer.name for layer in model.layers if layer.name.endswith("_pw")]
    return names[number - 1]


def norm(rng, channels, mirrored=False):
    gamma, beta, mean, variance = rng.uniform(0.5, 1.5, (4, channels))
    if mirrored:  # the negated half as BN(-x) = -BN(x) has it
        half = channels // 2
        gamma[half:], variance[half:] = gamma[:half], variance[:half]
        beta[half:], mean[half:] = -beta[:half], -mean[:half]
    return [gamma, beta, mean, variance]


def test_weights_refusals(tmp_path):
    model = build(keras, preset("tiny"), (64, 64), 3)
    with pytest.raises(Refusal, match="takes imagenet, none"):
        load_encoder(model, preset("tiny"), str(tmp_path / "no.h5"))
    (tmp_path / "bad.h5").write_bytes(b"no weights")
    with pytest.raises(Refusal, match=r"bad\.h5 is no keras"):
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
