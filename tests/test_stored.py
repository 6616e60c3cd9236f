"""Stored weights against those of the float graph: files whose weights are changed by k steps."""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from tiny_files import STEP, WIDE, changed, file_of, net, put, values

from export.graph.convert import to_tflite
from export.proof.stored import difference, weight_error, weights_of
from export.recipes import BY_NAME, RECIPES
from export.tflite.inspect import Operator, Tensor, operators, parse
from export.tflite.pack import pack

UNTRAINED = [recipe.name for recipe in RECIPES if not recipe.training]
INT8, FLOAT32, DYNAMIC8 = BY_NAME["int8"], BY_NAME["float32"], BY_NAME["dynamic8"]
LAYERS = ("first", "depth", "wide", "last")


def tensor(data, dtype="float32", scales=()):
    data = None if data is None else np.array(data, dtype)
    return Tensor("t", np.shape(data), dtype, scales, (0,) * len(scales), "constant", data)


def step(name):
    return Operator(name, 1, 0, False, (), (), "NONE", {}, "conv")


CONV, DEPTHWISE = step("CONV_2D"), step("DEPTHWISE_CONV_2D")


@pytest.mark.parametrize("name", UNTRAINED)
def test_rounding_is_half_a_step_at_most(name):
    error, _ = weight_error(file_of(name), net(), BY_NAME[name])
    assert error <= 0.5 * 1.001


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("steps", [1, 3, -2])
def test_int8_weights_that_are_off_by_steps(layer, steps):
    """A weight is a whole number of steps of 1/128 in `net`, which int8 stores exactly."""
    data = operators_data("int8", layer)
    at = int(np.argmin(np.abs(data)))  # room for the change
    content = changed(file_of("int8"), layer, values(put(at, steps), np.int8), 1)
    error, worst = weight_error(content, net(), INT8)
    assert error == pytest.approx(abs(steps), rel=1e-3) and worst == layer


def operators_data(recipe, layer):
    (found,) = [o for o in operators(file_of(recipe)) if o.layer == layer]
    return found.inputs[1].data.ravel()


@pytest.mark.parametrize(("layer", "at"), [("first", 2), ("depth", 2), ("wide", 2), ("last", 3)])
def test_int8_biases_that_are_off_by_steps(layer, at):
    content = changed(file_of("int8"), layer, values(put(0, 10), np.int32), at)
    error, worst = weight_error(content, net(), INT8)
    assert 9.4 < error < 10.6 and worst == layer  # the bias itself is rounded


@pytest.mark.parametrize(
    ("recipe", "dtype", "step"),
    [("float32", np.float32, 2.0**-22), ("float16", np.float16, 2**-10)],
)
def test_float_weights_that_are_off(recipe, dtype, step):
    """In steps of the largest weight, 127/128; the weight at 0 is the largest itself."""
    content = file_of(recipe)
    if recipe == "float16":
        content = unpacked_changed(content)
    else:
        content = changed(content, "wide", values(put(0, -0.25), dtype), 1)
    error, worst = weight_error(content, net(), BY_NAME[recipe])
    largest = 127 / 128
    assert worst == "wide"
    assert error == pytest.approx(0.25 / (largest * step + largest * 2.0**-22), rel=1e-3)


def unpacked_changed(content):
    """Of the float16 weights that are unpacked for the layer wide."""
    tree = parse(content)
    (graph,) = tree.subgraphs
    (node,) = [
        node
        for node, each in zip(graph.operators, operators(content), strict=True)
        if (each.layer, each.name, len(each.inputs[0].shape)) == ("wide", "DEQUANTIZE", 4)
    ]
    tensor = graph.tensors[node.inputs[0]]
    values(put(0, np.float16(-0.25)), np.float16)(tensor, tree.buffers[tensor.buffer])
    return pack(tree)


def test_two_layers_that_are_off():
    """The worse one is named, wherever it stands."""
    for first, last in ((3, 5), (5, 3)):
        content = file_of("int8")
        for layer, add in (("first", first), ("last", last)):
            at = int(np.argmin(np.abs(operators_data("int8", layer))))
            content = changed(content, layer, values(put(at, add), np.int8), 1)
        error, worst = weight_error(content, net(), INT8)
        assert error == pytest.approx(5, rel=1e-3) and worst == ("last" if last == 5 else "first")


def test_a_layer_that_the_file_does_not_have():
    image = keras.Input((4, 4, 3), batch_size=1)
    graph = keras.Model(image, keras.layers.Conv2D(3, 1, name="other")(image))
    assert weight_error(file_of("float32"), graph, FLOAT32) == (math.inf, "other")


def test_layers_without_a_bias():
    """The converter adds zeros to a convolution, and nothing to a deconvolution."""
    image = keras.Input((4, 4, 3), batch_size=1)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="a")(image)
    x = keras.layers.Conv2DTranspose(2, 2, 2, use_bias=False, name="b")(x)
    graph = keras.Model(image, x)
    content = to_tflite(graph)
    conv, deconv = operators(content)
    assert len(conv.inputs) == 3 and len(deconv.inputs) == 3  # the first is the output's shape
    assert weight_error(content, graph, FLOAT32)[0] == 0.0
    added = changed(content, "a", values(put(1, -3), np.float32), 2)
    assert weight_error(added, graph, FLOAT32) == (3.0, "a")


def test_a_layer_of_two_operators():
    """A sigmoid is an operator of its own, with the name of its layer."""
    image = keras.Input((4, 4, 3), batch_size=1)
    x = keras.layers.Conv2D(2, 1, activation="sigmoid", name="a")(image)
    graph = keras.Model(image, keras.layers.Conv2D(2, 1, name="b")(x))
    content = to_tflite(graph)
    names = [(each.name, each.layer) for each in operators(content)]
    assert names == [("CONV_2D", "a"), ("LOGISTIC", "a"), ("CONV_2D", "b")]
    assert weight_error(content, graph, FLOAT32)[0] == 0.0


def test_a_graph_without_weights():
    image = keras.Input((4, 4, 3), batch_size=1)
    graph = keras.Model(image, keras.layers.ReLU()(image))
    assert weight_error(file_of("float32"), graph, FLOAT32) == (0.0, "")


def test_kernels_in_the_layout_of_the_file():
    """Output channel first; depthwise last."""
    image = keras.Input((4, 4, 3), batch_size=1)
    cases = {
        keras.layers.Conv2D(2, (1, 4)): lambda k, o, y, x, i: k[y, x, i, o],
        keras.layers.Conv2DTranspose(2, (1, 4)): lambda k, o, y, x, i: k[y, x, o, i],
    }
    for layer, entry in cases.items():
        layer(image)
        kernel, bias = weights_of(layer)
        assert kernel.shape == (2, 1, 4, 3)
        for at in np.ndindex(kernel.shape):
            assert kernel[at] == entry(np.asarray(layer.kernel), *at)
        assert np.array_equal(bias, layer.bias)
    depthwise = keras.layers.DepthwiseConv2D((1, 2), depth_multiplier=2, use_bias=False)
    depthwise(image)
    kernel, bias = weights_of(depthwise)
    stored = np.asarray(depthwise.weights[0])
    assert kernel.shape == (1, 1, 2, 6) and bias is None
    for y, x, i, m in np.ndindex(stored.shape):
        assert kernel[0, y, x, 2 * i + m] == stored[y, x, i, m]
    assert weights_of(keras.layers.ReLU()) == (None, None)


def test_differences_of_int8_by_hand():
    """Scales 0.5 and 2: errors of 0.25 and 1 are half a step of each."""
    wanted = np.float32([1.25, 3.0]).reshape(2, 1, 1, 1)
    stored = tensor([[[[2]]], [[[2]]]], "int8", (0.5, 2.0))  # 1 and 4
    assert difference(stored, wanted, CONV, INT8) == pytest.approx(0.5, rel=1e-5)
    wanted[1] = 1.0  # 3 off, one and a half steps of 2
    assert difference(stored, wanted, CONV, INT8) == pytest.approx(1.5, rel=1e-5)
    depthwise = tensor([[[[2, 2]]]], "int8", (0.5, 2.0))
    assert difference(depthwise, wanted.reshape(1, 1, 1, 2), DEPTHWISE, INT8) == (
        pytest.approx(1.5, rel=1e-5)
    )
    one = tensor([[[[2]]], [[[2]]]], "int8", (0.5,))
    assert difference(one, np.float32([1, 2]).reshape(2, 1, 1, 1), CONV, INT8) == (
        pytest.approx(2.0, rel=1e-5)
    )


def test_differences_of_a_bias_by_hand():
    """Of any operator, the scales are along its one axis."""
    stored = tensor([4, 4], "int32", (0.5, 2.0))
    for kind in (CONV, DEPTHWISE, step("TRANSPOSE_CONV")):
        found = difference(stored, np.float32([2, 5]), kind, INT8)
        assert found == pytest.approx(1.5, rel=1e-5)  # 3 off, in steps of 2


def test_large_biases_may_be_rounded_as_floats():
    """2^24 + 1 is no float32: an error of one step is allowed there, as 2^-22 of the value."""
    stored = tensor([2**24 + 4], "int32", (1.0,))
    found = difference(stored, np.float32([2**24]), CONV, INT8)
    assert found == pytest.approx(4 / (1 + 4))
    stored = tensor([-(2**24) - 4], "int32", (1.0,))
    found = difference(stored, np.float32([-(2**24)]), CONV, INT8)
    assert found == pytest.approx(4 / (1 + 4))


def test_differences_of_floats_by_hand():
    """A step is that of the tensor's largest value, 8: 2^-22 and 2^-10 of it."""
    wanted = np.float32([8, 0]).reshape(2, 1, 1, 1)
    stored = tensor([[[[8]]], [[[2.0**-18]]]])
    assert difference(stored, wanted, CONV, FLOAT32) == pytest.approx(2.0**-18 / 2.0**-19)
    half = tensor([[[[8]]], [[[2.0**-6]]]], "float16")
    assert difference(half, wanted, CONV, FLOAT32) == pytest.approx(2.0**-6 / 2.0**-7)


def test_differences_of_small_values_are_no_steps():
    """Of float16, steps near 0 are 2^-24 of 1."""
    wanted = np.float32([2.0**-20, 0]).reshape(2, 1, 1, 1)
    stored = tensor([[[[2.0**-20]]], [[[2.0**-24]]]], "float16")
    assert difference(stored, wanted, CONV, FLOAT32) == pytest.approx(1.0)


def test_floats_of_a_dynamic_file_were_int8():
    """A step is 1/127 of the largest weight of a channel; of a bias it is that of a float."""
    wanted = np.float32([[1.27, 0.5], [12.7, 0.5]]).reshape(2, 1, 1, 2)
    stored = wanted.copy()
    stored[0, 0, 0, 1] += 0.02  # two steps of the first channel, 0.2 of the second
    assert difference(tensor(stored), wanted, CONV, DYNAMIC8) == pytest.approx(2, rel=1e-4)
    assert difference(tensor(-stored), -wanted, CONV, DYNAMIC8) == pytest.approx(2, rel=1e-4)
    wide = wanted.transpose(1, 2, 3, 0)
    depthwise = stored.transpose(1, 2, 3, 0)
    assert difference(tensor(depthwise), wide, DEPTHWISE, DYNAMIC8) == pytest.approx(2, rel=1e-4)
    bias = difference(tensor([1 + 2.0**-20]), np.float32([1]), CONV, DYNAMIC8)
    assert bias == pytest.approx(2.0**-20 / 2.0**-21)


def test_biases_that_are_added_or_missing():
    assert difference(tensor([0, 0]), None, CONV, FLOAT32) == 0
    assert difference(tensor([0, -3]), None, CONV, FLOAT32) == 3
    one = np.float32([1])
    assert difference(None, one, CONV, FLOAT32) == math.inf
    assert difference(tensor(None), one, CONV, FLOAT32) == math.inf
    assert difference(tensor([1, 1]), one, CONV, FLOAT32) == math.inf
    assert difference(tensor([1]), np.float32([1, 1]), CONV, FLOAT32) == math.inf
    assert difference(tensor([math.nan]), one, CONV, FLOAT32) != 0


def test_the_step_of_the_weights_is_that_of_the_net():
    """What the cases above assume of the files."""
    found = {each.layer: each.inputs[1].scales for each in operators(file_of("int8"))
             if each.layer in LAYERS}  # fmt: skip
    assert {layer: len(scales) for layer, scales in found.items()} == dict(
        zip(LAYERS, (WIDE, WIDE, WIDE, 3), strict=True)
    )
    assert {scale for scales in found.values() for scale in scales} == {STEP}
