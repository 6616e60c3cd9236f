"""The networks of the dilation article's study: parameters, receptive fields, pruning, training."""

import numpy as np
import pytest

from benchmarks import receptive_field as study
from benchmarks import receptive_nets as nets
from benchmarks.receptive_nets import NETS, Layer, Net

TINY = (Layer(4), Layer(6, 5))
LAYOUTS = ("dilated", "strided", "large", "cascade", "depthwise")


@pytest.fixture(scope="module")
def tf_keras():
    from segnet.backend import seed_everything

    seed_everything(0)
    import tf_keras

    return tf_keras


def noise(count):
    return np.random.default_rng(0).uniform(-1, 1, (count, 32, 32, 3)).astype(np.float32)


# Nets


def test_published_parameters():
    counts = {name: nets.parameters(net.layers, 10) for name, net in NETS.items()}
    assert (counts["dilated"], counts["large"]) == (25_474, 172_930)
    assert counts["plain"] == counts["strided"] == counts["dilated"]
    assert counts["cascade"] == pytest.approx(86_404, rel=0.002)  # its layout is not published
    # By hand: `dilated` and six depthwise layers, with 9 weights, bias and norm per channel.
    assert counts["depthwise"] == 25_474 + (9 + 3) * (2 * 16 + 24 + 32 + 2 * 48)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain", [3, 5, 7, 9]),
        ("dilated", [3, 7, 13, 21]),
        ("wide", [3, 7, 13, 21]),
        ("large", [3, 7, 13, 21]),
        ("strided", [3, 7, 15, 23]),
        ("cascade", [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]),
        ("depthwise", [3, 5, 7, 9, 11, 13, 15, 17, 19, 21]),
    ],
)
def test_receptive_fields(name, fields):
    layers = NETS[name].layers
    ends = range(1, len(layers) + 1)
    assert [nets.receptive_field(layers[:end]) for end in ends] == fields


@pytest.mark.parametrize("name", LAYOUTS)
def test_parameters_and_receptive_field_of_the_model(tf_keras, name):
    """The receptive field is where the gradient of the logits is not zero."""
    import tensorflow as tf

    model, images = nets.build(NETS[name], 10), tf.constant(noise(4))
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert count == nets.parameters(NETS[name].layers, 10) == nets.nonzero(model)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.reduce_sum(model(images)[:, 0])
    field = np.any(tape.gradient(logits, images).numpy() != 0, axis=(0, 3))
    half = nets.receptive_field(NETS[name].layers) // 2
    for side in (field.any(0), field.any(1)):
        assert np.flatnonzero(side).tolist() == [*range(15 - half, 15 + half + 1)]


@pytest.mark.parametrize(("name", "at"), [("dilated", 15), ("strided", 3), ("depthwise", 15)])
def test_logits_are_those_of_same_padding_at_the_centre(tf_keras, name, at):
    """The whole patch is computed with `same` padding. Index 3 is pixel 15 at stride 4."""
    model = nets.build(NETS[name], 10)
    x = patch = tf_keras.Input((32, 32, 3))
    for layer in model.layers[2:-1]:  # without crop and reshape
        config = layer.get_config()
        padded = {**config, "padding": "same"} if "padding" in config else config
        type_ = tf_keras.layers.Conv2D if "Dilated" in type(layer).__name__ else type(layer)
        copy = type_.from_config(padded)
        x = copy(x)
        copy.set_weights(layer.get_weights())
    expected = tf_keras.Model(patch, x)(noise(3))[:, at, at]
    np.testing.assert_allclose(model(noise(3)), expected, atol=1e-4 * np.ptp(expected))


# Sparsity


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kept"), [("cascade_sparse", 21_601), ("large_sparse", 25_940)])
def test_published_number_of_parameters_is_kept(tf_keras, name, kept):
    """Zeros do not count; the sparsity is the constant one of tfmot."""
    trained = nets.sparsified(NETS[name], nets.build(NETS[name], 10), 0)
    trained.model(noise(2), training=True)
    assert nets.nonzero(trained.finish(trained.model)) == kept


def patches_of_two_colours(count):
    labels = np.arange(count) % 2
    images = np.random.default_rng(0).integers(0, 128, (count, 32, 32, 3), np.uint8)
    images[labels == 1, ..., 0] += 128
    return images, labels


COLOURS = {"train": patches_of_two_colours(256), "val": patches_of_two_colours(64)}


@pytest.mark.slow
def test_training_reduces_errors_and_keeps_the_sparsity(tf_keras):
    """tfmot rounds the number of weights in each of the three layers."""
    row = study.train(Net("tiny", TINY, kept=200), 0, COLOURS, 2, 10)
    assert row["parameters"] == pytest.approx(200, abs=2)
    assert row["accuracy"] > 0.9 and row["seed"] == 0
    right = np.unpackbits(np.frombuffer(bytes.fromhex(row["right"]), np.uint8))
    assert right.mean() == row["accuracy"]


def test_at_most_two_weights_per_kernel(tf_keras):
    net = Net("tiny", TINY, most=2)
    model = nets.build(net, 2)
    trained = nets.sparsified(net, model, dense_steps=1)
    study.compile_model(model, 10)
    for step in range(3):
        model.train_on_batch(noise(8), np.arange(8) % 2)
        trained.after()
        counts = [np.count_nonzero(kernel, axis=(0, 1)) for kernel in nets.kernels(model)[:2]]
        expected = ([9, 25], [2, 2], [2, 2])[step]
        assert [count.min() for count in counts] == [count.max() for count in counts] == expected
    before = nets.kernels(model)[1].numpy()
    model.train_on_batch(noise(8), np.arange(8) % 2)
    moved = nets.kernels(model)[1].numpy()
    trained.after()
    after = nets.kernels(model)[1].numpy()
    assert np.count_nonzero(before) == 2 * 24 < np.count_nonzero(moved)
    left = np.sort(np.abs(moved).reshape(25, 24), axis=0)[-2:]
    assert np.array_equal(np.sort(np.abs(after).reshape(25, 24), axis=0)[-2:], left)
