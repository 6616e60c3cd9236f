"""The deploy graph and the file made from it compute the same function as the trained model."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import spread_norms

from cli import Refusal
from export.graph import equalise
from export.graph.convert import silence, to_tflite
from export.graph.deploy import CRELU, DECONV, DeployOps, Lowering, deploy
from export.recipes import BY_NAME
from export.targets.xnnpack import run_faults
from export.tflite.inspect import operators, parse
from export.tflite.pack import pack
from export.tflite.runtime import Runtime, to_bytes
from segnet import presets, rows
from segnet.build import build

# Every form of the deconvolution, then the other forms of CReLU.
LOWERINGS = [*(Lowering(deconv=d) for d in DECONV), *(Lowering(crelu=c) for c in CRELU[1:])]
# The operators that a deploy graph may become; any other would be a fault of the converter.
OPERATORS = {
    "ADD", "CONCATENATION", "CONV_2D", "DEPTH_TO_SPACE", "DEPTHWISE_CONV_2D", "MUL", "PAD",
    "STRIDED_SLICE", "TRANSPOSE_CONV",
}  # fmt: skip


def trained(name):
    """(model of a preset with batch norms far from the identity, preset, size, image)."""
    import keras

    preset, rng = presets.preset(name), np.random.default_rng(0)
    size = (preset.stride * 2, preset.stride * 2)
    keras.utils.set_random_seed(0)
    model = build(keras, preset, size, 3)
    spread_norms(model, rng)
    return model, preset, size, rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)


FAST = ("tiny", "small")  # one with either version of MobileNet


def slower(is_so):
    return pytest.mark.slow if is_so else ()


CASES = [
    pytest.param(name, lowering, id=f"{name}-{lowering.name}", marks=slower(name not in FAST))
    for name in presets.PRESETS
    for lowering in LOWERINGS
]


def windowed(preset, lowering):
    """How many deconvolutions pad before and crop after DEPTH_TO_SPACE: those with kernel 4."""
    fitted = (rows.fitted(row, 3) for row in preset.decoder)
    kernels = [row.kernel for row in fitted if isinstance(row, rows.Up)]
    return kernels.count(4) if lowering.deconv == "depth_to_space" else 0


@pytest.mark.parametrize(("name", "lowering"), CASES)
def test_same_function(name, lowering):
    model, preset, size, image = trained(name)
    wanted = np.asarray(model(image, training=False))
    found = np.asarray(deploy(model, preset, size, 3, lowering)(image))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_frozen_variables_convert_as_variables_do():
    """The same operators and bits as by TensorFlow's converter from a Keras model."""
    import tensorflow as tf

    model, preset, size, image = trained("tiny")
    graph = deploy(model, preset, size, 3, LOWERINGS[0])
    with silence():
        theirs = pack(parse(tf.lite.TFLiteConverter.from_keras_model(graph).convert()))
    mine = to_tflite(graph)
    steps = [[(step.name, step.layer) for step in operators(file)] for file in (mine, theirs)]
    assert steps[0] == steps[1] and len(steps[0]) > 20
    assert np.array_equal(Runtime(mine)(image), Runtime(theirs)(image))


@pytest.mark.parametrize(
    ("name", "lowering"),
    [
        each if each.values[0] == "tiny" else pytest.param(*each.values, marks=pytest.mark.slow)
        for each in CASES
    ],
)
def test_same_function_in_the_file(name, lowering):
    model, preset, size, image = trained(name)
    content = to_tflite(deploy(model, preset, size, 3, lowering))
    runtime = Runtime(content)
    wanted = np.asarray(model(image, training=False))
    assert np.abs(runtime(image) - wanted).max() < 1e-4 * np.abs(wanted).max()
    found = runtime.partitioning()
    assert found["partitions"] == 1 and found["outside"] == {}
    assert set(found["ops"]) <= OPERATORS
    assert windowed(preset, lowering) == found["ops"].get("STRIDED_SLICE", 0)
    assert windowed(preset, lowering) == found["ops"].get("PAD", 0)
    versions = {o.version for o in operators(content) if o.name == "TRANSPOSE_CONV"}
    if lowering.deconv == "late_bias":  # Core ML supports no other
        upsamples = any(isinstance(row, rows.Up) for row in preset.decoder)
        assert versions == ({1} if upsamples else set())


@pytest.mark.parametrize("lowering", LOWERINGS, ids=lambda low: low.name)
def test_same_function_in_int8(lowering):
    """Equal except for rounding: no lowering loses more than int8 must."""
    model, preset, size, _ = trained("tiny")
    rng = np.random.default_rng(1)
    noise = rng.uniform(-1, 1, (16, *size, 3)).astype(np.float32)
    noise[0, 0, 0], noise[0, 0, 1] = -1, 1
    graph = deploy(model, preset, size, 3, lowering)
    equalise.equalise(
        graph, equalise.ranges(deploy(model, preset, size, 3, lowering, batch=None), noise)
    )
    content = to_tflite(graph, BY_NAME["int8"], noise)
    wanted = np.asarray(model(to_bytes(noise[:1]) / np.float32(127.5) - 1, training=False))
    error = Runtime(content)(noise[:1]) - wanted
    assert np.sqrt((error**2).mean() / (wanted**2).mean()) < 0.1
    assert run_faults(content, Runtime(content).partitioning()) == []


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=slower(each not in FAST)) for each in presets.PRESETS]
)
def test_equalised_graph_is_the_same_function(name):
    model, preset, size, image = trained(name)
    graph = deploy(model, preset, size, 3)
    wanted = np.asarray(graph(image))
    before = {layer.name: layer.get_weights() for layer in graph.layers if layer.weights}
    found = equalise.ranges(deploy(model, preset, size, 3, batch=None), np.repeat(image, 2, 0))
    equalise.equalise(graph, found)
    assert np.abs(np.asarray(graph(image)) - wanted).max() < 1e-5 * np.abs(wanted).max()
    moved = [
        n
        for n, w in before.items()
        if not np.array_equal(w[0], graph.get_layer(n).get_weights()[0])
    ]
    assert len(moved) > len(before) // 2


def test_equalised_channels_have_one_range():
    """Two channels with ranges 1 and 4 between two convolutions both get 4; computed by hand."""
    import keras

    x = keras.Input((2, 2, 3), batch_size=1)
    y = keras.layers.Conv2D(2, 1, activation="relu", name="first")(x)
    graph = keras.Model(x, keras.layers.Conv2D(1, 1, name="last")(y))
    graph.get_layer("first").set_weights([np.float32([[[[1, 4], [0, 0], [0, 0]]]]), np.zeros(2)])
    graph.get_layer("last").set_weights([np.float32([[[[2], [3]]]]), np.zeros(1)])
    equalise.equalise(graph, {"first": np.array([1.0, 4.0]), "last": np.array([14.0])})
    assert graph.get_layer("first").get_weights()[0][0, 0, 0].tolist() == [4, 4]
    assert graph.get_layer("last").get_weights()[0][0, 0, :, 0].tolist() == [0.5, 3]


def test_late_bias_refuses_a_skip_that_may_be_negative():
    """relu(concat(a, b)) is not concat(relu(a), b) where b is negative."""
    model, _, _, _ = trained("tiny")
    ops = DeployOps(model, Lowering(deconv="late_bias"))
    import keras

    x = keras.Input((2, 2, 128))
    late = ops.deconv(keras, x, "deconv1", 48, 2)
    skip = keras.Input((4, 4, 96))
    with pytest.raises(Refusal, match="an input of deconv1_join may be negative"):
        ops.concat(keras, [late, skip], "deconv1_join")
    with pytest.raises(Refusal, match="no concatenation comes between deconv1_refine_dw"):
        ops.depthwise(keras, late, "deconv1_refine_dw")
