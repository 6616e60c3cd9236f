"""The emulation of GPUs: by hand, and against LiteRT's kernels in float and in half precision."""

import sys

import numpy as np
import pytest
from kits import ROOT, SIZE, model, scene

from cli import Refusal
from export.proof import half
from export.proof.half import Emulation
from export.tflite.inspect import Operator, Tensor
from export.tflite.runtime import Runtime

RECIPES = ("float32", "float16", "dynamic8", "int8", "int8-full")


@pytest.fixture(scope="module", params=RECIPES)
def file(request):
    """(recipe, content, input tensor) of a network with random weights."""
    content = model(request.param)
    image = scene(SIZE, 20)[None].astype(np.float32) / np.float32(127.5) - 1
    return request.param, content, Runtime(content).encode(image)


def apart(found, wanted):
    """The largest difference as a fraction of the largest value."""
    return np.abs(np.float64(found) - wanted).max() / np.abs(np.float64(wanted)).max()


def test_in_float_it_computes_as_litert_does(file):
    """To the last digits in float, else as far as integers round in between."""
    recipe, content, inputs = file
    wanted, found = (
        each.run(inputs) for each in (Runtime(content), Emulation(content, np.float32))
    )
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    most = {"float32": 1e-5, "float16": 1e-5, "dynamic8": 0.05}.get(recipe, 0.3)
    assert apart(found, wanted) <= most


@pytest.mark.parametrize("file", ["float32", "float16"], indirect=True)
def test_half_precision_changes_as_much_as_in_xnnpack(file, tmp_path):
    """XNNPACK has kernels for half precision, which round as often but not in the same places."""
    sys.path.insert(0, str(ROOT / "tests" / "clients"))
    from self_test_client import Half

    _, content, inputs = file
    (tmp_path / "model.tflite").write_bytes(content)
    wanted = Runtime(content).run(inputs)
    shape = {"output": {"shape": wanted.shape, "dtype": "float32"}}
    other = apart(Half(str(tmp_path / "model.tflite")).logits(inputs, shape), wanted[0])
    if other < 1e-5:
        pytest.skip("XNNPACK has no half precision on this machine")
    found = apart(Emulation(content).run(inputs), wanted)
    assert other / 4 < found < 4 * other  # golden.HALF_FACTOR


def constant(name, values, scales=(), zeros=()):
    return Tensor(name, values.shape, values.dtype.name, scales, zeros, "constant", values)


def activation(name, role="inside", scales=(), zeros=(), dtype="float32"):
    return Tensor(name, (), dtype, scales, zeros, role, None)


def network(monkeypatch, *steps):
    monkeypatch.setattr(half, "operators", lambda content: list(steps))
    return Emulation(b"")


def step(name, inputs, output, fused="NONE", **options):
    return Operator(name, 1, 0, False, inputs, (output,), fused, options, name)


CONVOLUTION = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}


def test_sums_are_rounded_to_half_after_four_channels(monkeypatch):
    """2048 and four times 0.5 are 2050, but in half 2048 + 0.5 is 2048: by hand."""
    source, target = activation("x", "input"), activation("y", "output")
    image = np.float32([2048, 0, 0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5, 0, 0]).reshape(1, 1, 1, 12)
    kernel = constant("w", np.ones((1, 1, 1, 12), np.float32))
    found = network(monkeypatch, step("CONV_2D", (source, kernel), target, **CONVOLUTION))
    # Each later block is 1, half of the step of 2 there: it is rounded to the even 2048.
    assert found.run(image).ravel().tolist() == [2048]


def test_weights_and_bytes_by_hand(monkeypatch):
    source = activation("x", "input", (0.5,), (2,), "uint8")
    inside = activation("q", scales=(0.5,), zeros=(-126,), dtype="int8")
    target = activation("y", "output", (0.25,), (10,), "uint8")
    kernel = constant("w", np.int8([4, -6]).reshape(2, 1, 1, 1), (0.5, 2.0), (0, 0))
    bias = constant("b", np.int32([4, 2]), (0.25, 1.0), (0, 0))
    found = network(
        monkeypatch,
        step("QUANTIZE", (source,), inside),
        step("CONV_2D", (inside, kernel, bias), target, "RELU", **CONVOLUTION),
    ).run(np.uint8([6, 0]).reshape(1, 1, 2, 1))
    # 6 and 0 are 2 and -1; times 2 and -12, plus 1 and 2: 5, -22; -1, 14. Not below 0, in quarters.
    assert found.dtype == np.uint8 and found.ravel().tolist() == [30, 10, 10, 66]


def test_an_unknown_operator(monkeypatch):
    with pytest.raises(Refusal, match="LOGISTIC is not known in half precision"):
        network(monkeypatch, step("LOGISTIC", (activation("x", "input"),), activation("y")))
