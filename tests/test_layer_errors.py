"""What each layer of a file adds to the error: files that are changed by a known amount."""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from tiny_files import changed, file_of, images, net, put, values

from export.graph.convert import to_tflite
from export.proof import layer_errors as module
from export.proof.layer_errors import (
    dequantised,
    file_input,
    fits,
    layer_errors,
    rms,
    row,
    snr,
    tensors_by_layer,
)
from export.recipes import BY_NAME
from export.tflite.inspect import Tensor, operators

LAYERS = {"first", "depth", "wide", "last", "output"}


def rows(content, recipe, inputs=None):
    found = layer_errors(content, net(), BY_NAME[recipe], images() if inputs is None else inputs)
    assert {each["layer"] for each in found} == LAYERS and len(found) == 5
    return {each["layer"]: each for each in found}


def outputs(count=8):
    """Layer to its float outputs."""
    x, found = images(count), {}
    for layer in net().layers[1:]:
        x = found[layer.name] = np.asarray(layer(x), np.float64)
    return found


def decibels(ratio):
    return 20 * math.log10(ratio)


def root(values):
    """Of each channel."""
    return np.sqrt((np.float64(values) ** 2).mean((0, 1, 2)))


def test_a_sound_float_file_adds_nothing():
    found = rows(file_of("float32"), "float32")
    assert all(each["added"] < 1e-6 and each["snr"] > 130 for each in found.values())
    assert all(each["clipped"] == 0 for each in found.values())


@pytest.mark.parametrize(("layer", "at"), [("wide", 2), ("last", 3)])
def test_a_bias_that_is_off(layer, at):
    """One channel is 0.5 higher: what follows is judged by what it was given, noise as before."""
    true = outputs()[layer]
    channel = int(np.argmax(true.min((0, 1, 2))))
    assert layer == "last" or true[..., channel].min() > 0  # so that ReLU changes nothing
    content = changed(file_of("float32"), layer, values(put(channel, 0.5), np.float32), at)
    found = rows(content, "float32")
    sizes = root(true)
    assert found[layer]["added"] == pytest.approx(0.5 / np.linalg.norm(sizes), rel=1e-4)
    assert found[layer]["snr"] > 130
    others = [each for name, each in found.items() if name != layer]
    assert len(others) == 4 and all(each["added"] < 1e-6 for each in others)


def test_the_worst_layer_comes_first():
    content = file_of("float32")
    for layer, add in (("wide", 0.5), ("first", 50.0)):
        content = changed(content, layer, values(put(0, add), np.float32), 2)
    found = layer_errors(content, net(), BY_NAME["float32"], images())
    assert [each["layer"] for each in found[:2]] == ["first", "wide"]
    added = [each["added"] for each in found]
    assert added == sorted(added, reverse=True)


@pytest.mark.parametrize("recipe", ["float32", "int8", "int8-full"])
def test_an_output_that_is_off(recipe):
    """A layer that the file lacks and that adds 2 is computed; the file's output lacks the 2."""
    import keras

    two = keras.layers.Rescaling(1.0, 2.0, name="two")
    graph = keras.Model(net().input, two(net().output))
    found = layer_errors(file_of(recipe), graph, BY_NAME[recipe], images())
    by_name = {each["layer"]: each for each in found}
    assert set(by_name) == LAYERS
    wanted = 2 * math.sqrt(3) / np.linalg.norm(root(outputs()["last"] + 2))
    near = 1e-4 if recipe == "float32" else 0.05
    assert by_name["output"]["added"] == pytest.approx(wanted, rel=near)


@pytest.mark.parametrize("recipe", ["int8", "int8-full"])
def test_a_sound_int8_file_adds_its_rounding(recipe):
    """Half a level at most, of about 1/sqrt(12) on average, besides that of weights and bias."""
    found = rows(file_of(recipe), recipe)
    steps = {o.layer: o.outputs[0].scales for o in operators(file_of(recipe))}
    for name, true in outputs().items():
        # ReLU leaves zeros, whose rounding is exact.
        most = steps[name][0] * math.sqrt(true.shape[-1])
        assert 0 < found[name]["added"] < 0.6 * most / np.linalg.norm(root(true)), name
        assert found[name]["snr"] > 20 and found[name]["clipped"] < 0.01
    assert found["output"]["added"] < 1e-6  # the last layer's values, dequantised


def test_an_int8_bias_that_is_off():
    """By 5000 of its steps: the difference is that times the scale of the bias."""
    (step,) = [o for o in operators(file_of("int8")) if o.layer == "last"]
    shift = 5000 * step.inputs[3].scales[0]
    content = changed(file_of("int8"), "last", values(put(0, 5000), np.int32), 3)
    found = rows(content, "int8")
    true = root(outputs()["last"])
    assert shift > 4 * step.outputs[0].scales[0]  # far more than rounding
    assert found["last"]["added"] == pytest.approx(shift / np.linalg.norm(true), rel=0.05)
    assert all(found[name]["added"] < 0.02 for name in ("first", "depth", "wide", "output"))


def test_a_range_that_is_too_narrow():
    """The output of a layer has a quarter of its range: a known part of its values is outside."""

    def narrow(tensor, _):
        tensor.quantization.scale = tensor.quantization.scale / np.float32(4)

    content = changed(file_of("int8"), "wide", narrow)
    (step,) = [o for o in operators(content) if o.layer == "wide"]
    scale, zero = step.outputs[0].scales[0], step.outputs[0].zero_points[0]
    assert zero == -128  # after ReLU
    found = rows(content, "int8")
    true = outputs()["wide"]
    outside = (true > 255.5 * scale).mean()
    assert 0.02 < outside < 0.9
    assert found["wide"]["clipped"] == pytest.approx(outside, abs=0.01)
    # What is clipped is no noise for the ratio, but it is an error.
    clipped = np.minimum(true, 255 * scale)
    wanted = np.linalg.norm(root(true - clipped)) / np.linalg.norm(root(true))
    assert found["wide"]["added"] == pytest.approx(wanted, rel=0.05)
    assert found["wide"]["snr"] > 20
    assert all(found[name]["clipped"] < 0.01 for name in LAYERS - {"wide"})


def test_each_image_counts():
    """The error shows in one image of two only: the mean of squares is halved."""
    inputs = np.zeros((2, 4, 4, 3), np.float32)
    inputs[1] = 1

    def off(data):  # the weight of input 0 to channel 0
        data[0] += 0.5

    found = rows(
        changed(file_of("float32"), "first", values(off, np.float32), 1), "float32", inputs
    )
    layer = net().get_layer("first")
    true = np.asarray(layer(inputs), np.float64)
    kernel, bias = layer.get_weights()
    before = kernel[0, 0, :, 0].sum() + bias[0]
    after = max(before + 0.5, 0) - max(before, 0)
    assert after > 0.1
    wanted = after / math.sqrt(2) / np.linalg.norm(root(true))
    assert found["first"]["added"] == pytest.approx(wanted, rel=1e-4)


def test_layers_of_several_inputs():
    """A concatenation is computed from both branches, of which one is off by 0.25."""
    import keras

    image = keras.Input((4, 4, 3), batch_size=1)
    a, b, end = (keras.layers.Conv2D(2, 1, name=name) for name in ("a", "b", "end"))
    joined = keras.layers.Concatenate(name="join")([a(image), b(image)])
    graph = keras.Model(image, end(joined))
    for number, layer in enumerate((a, b, end)):  # equal biases would be stored once
        layer.set_weights([layer.get_weights()[0], np.float32([number, 0.5])])
    content = to_tflite(graph)
    sound = layer_errors(content, graph, BY_NAME["float32"], images())
    assert {each["layer"] for each in sound} == {"a", "b", "join", "end", "output"}
    assert all(each["added"] < 1e-6 for each in sound)
    off = changed(content, "b", values(put(0, 0.25), np.float32), 2)
    found = layer_errors(off, graph, BY_NAME["float32"], images())
    size = np.linalg.norm(root(np.asarray(graph.get_layer("b")(images()))))
    assert found[0] == {**found[0], "layer": "b", "added": pytest.approx(0.25 / size, rel=1e-4)}
    assert all(each["added"] < 1e-6 for each in found[1:])


def test_a_layer_of_two_operators():
    """A sigmoid is an operator of its own: the layer's output is the last one's."""
    import keras

    image = keras.Input((4, 4, 3), batch_size=1)
    x = keras.layers.Conv2D(2, 1, activation="sigmoid", name="a")(image)
    graph = keras.Model(image, keras.layers.Conv2D(2, 1, name="end")(x))
    found = layer_errors(to_tflite(graph), graph, BY_NAME["float32"], images())
    assert {each["layer"] for each in found} == {"a", "end", "output"}
    assert all(each["added"] < 1e-6 for each in found)


def test_the_values_that_a_file_sees():
    inputs = np.float32([-1, -0.001, 0, 0.0001, 1])
    assert np.array_equal(file_input(BY_NAME["float32"], inputs), inputs)
    # Bytes 0, 127, 128 (127.5 is rounded to even), 128 and 255, less 127.
    found = file_input(BY_NAME["int8"], inputs) * 127.5
    assert found == pytest.approx([-127, 0, 1, 1, 128])
    assert file_input(BY_NAME["qat8"], inputs) * 127.5 == pytest.approx([-128, -1, 0, 0, 127])


def test_layers_of_tensors():
    found = tensors_by_layer(file_of("float16"))  # weights are unpacked: no values of a layer
    assert {name: len(tensors) for name, tensors in found.items()} == {
        "first": 1, "depth": 1, "wide": 1, "last": 1
    }  # fmt: skip
    assert found["last"][0].role == "output"
    both = tensors_by_layer(file_of("int8"))["output"]
    assert [tensor.dtype for tensor in both] == ["float32"]


def tensor(scale, zero):
    return Tensor("t", (1,), "int8", (scale,), (zero,), "inside", None)


def test_tensors_that_fit():
    found, one = {"t": np.zeros((2, 3))}, tensor(1, 0)
    assert fits(found, one, np.zeros((2, 3)))
    for other in ((3, 2), (1, 9), (2, 3, 1), (2, 2)):
        assert not fits(found, one, np.zeros(other))
    assert not fits({}, one, np.zeros((2, 3)))


def test_tensors_of_another_shape_are_passed_over(monkeypatch):
    """As of a layer that is written as several operators."""
    found = tensors_by_layer(file_of("float32"))
    found["wide"] = [*found["last"], *found["wide"]]
    monkeypatch.setattr(module, "tensors_by_layer", lambda content: found)
    assert all(each["added"] < 1e-6 for each in rows(file_of("float32"), "float32").values())


def test_dequantised():
    assert dequantised(np.int8([-128, 3]), (0.5,), (-1,)).tolist() == [-63.5, 2.0]
    assert dequantised(np.float16([1.5]), (), ()).tolist() == [1.5]
    assert dequantised(np.uint8([0]), (1.0,), (255,)).tolist() == [-255]  # no byte overflows


def test_root_mean_square_of_channels():
    values = np.float32([[[[3, 1], [4, -1]]], [[[0, 1], [0, 1]]]])
    assert rms(values) == pytest.approx([2.5, 1])
    assert rms(np.full((1, 1, 1, 1), 1e30, np.float32)) == pytest.approx([1e30])


def test_signal_to_noise_by_hand():
    """Channels of 3 and 1 with noises of 0.5 and 0.25, and levels of 0.1: 4 / 0.5 and 2 / 0.25."""
    true = np.zeros((1, 2, 2, 2)) + [3.0, 1.0]
    assert snr(true + [0.5, -0.25], true, 0.1) == pytest.approx(decibels(8))
    assert snr(true + [0.5, -0.125], true, 0.1) == pytest.approx(decibels(8))
    assert snr(true + [0.25, -0.25], true, 0.1) == pytest.approx(decibels(8))
    assert snr(true, true, 0.1) == 200
    assert snr(0 * true, 0 * true, 0.0) == 200
    assert math.isnan(snr(true * math.nan, true, 0.1))


def test_a_row_of_a_float_tensor():
    true = np.zeros((1, 1, 1, 2)) + [3.0, -4.0]
    found = row("conv", true + [0.5, 0.0], true, true, None)
    level = 4 / 255
    assert found == {
        "layer": "conv",
        "added": pytest.approx(0.5 / 5),
        "snr": pytest.approx(decibels((3 + 10 * level) / 0.5)),
        "clipped": 0.0,
    }
    unscaled = Tensor("t", (1,), "float32", (), (), "inside", None)
    assert row("conv", true + [0.5, 0.0], true, true, unscaled) == found
    stored = true + [0.25, 0.0]  # what the float layer gives with the file's weights
    other = row("conv", true + [0.5, 0.0], true, stored, None)
    assert other == found | {"snr": pytest.approx(decibels((3.25 + 10 * level) / 0.25))}


def test_a_row_of_an_int8_tensor():
    """Levels of 0.5 from -128 + 28 to 127 + 28 of them: from -50 to 77.5, and half a level more."""
    true = np.float64([-60, -50.3, -50.25, -50, 0, 77.5, 77.75, 77.8, 100]).reshape(1, 1, 9, 1)
    found = row("conv", np.clip(true, -50, 77.5), true, true, tensor(0.5, -28))
    assert found["clipped"] == 4 / 9
    # Clipping is an error but no noise.
    errors = np.float64([10, 0.3, 0.25, 0, 0, 0, 0.25, 0.3, 22.5])
    assert found["added"] == pytest.approx(np.linalg.norm(errors) / np.linalg.norm(true))
    assert found["snr"] == 200
    off = row("conv", np.clip(true, -50, 77.5) + 0.25, true, true, tensor(0.5, -28))
    size = root(np.clip(true, -50, 77.5))[0]
    assert off["snr"] == pytest.approx(decibels((size + 5) / 0.25))


def test_a_row_of_zeros():
    zeros = np.zeros((1, 1, 1, 2))
    same = row("conv", zeros, zeros, zeros, tensor(0.5, 0))
    assert (same["added"], same["snr"]) == (0, 200)
    assert row("conv", zeros + 0.1, zeros, zeros, tensor(0.5, 0))["added"] == 1.0
    assert row("conv", zeros + 1, zeros, zeros, tensor(0.5, 0))["snr"] == pytest.approx(decibels(5))
