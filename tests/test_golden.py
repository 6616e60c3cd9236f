"""The golden files allow for what other kernels change, and for no fault."""

import hashlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from kits import PHOTO, contract, model, scene

from export.proof import golden
from export.proof.contract import tensor
from export.proof.half import Emulation
from export.proof.outputs import RESIZE_TEXTS
from export.tflite.runtime import Runtime

RECIPES = ("float32", "float16", "dynamic8", "int8", "int8-full")


@pytest.fixture(scope="module", params=RECIPES)
def made(request, tmp_path_factory):
    """(folder of golden files, contract, content) of a network with random weights."""
    content = model(request.param)
    runtime = Runtime(content)
    found = contract("float32", hashlib.sha256(content).hexdigest()) | {
        "recipe": request.param, "input": tensor(runtime.input),
        "output": {**tensor(runtime.output), "values": "logits"},
        "resize": RESIZE_TEXTS["logits"],
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("golden") / "golden"
    found["golden"] = golden.write(folder, found, content, scene(PHOTO, 21))
    return folder, found, content


def output(content, folder, kernels):
    """The output for input.bin by LiteRT itself."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    values = np.fromfile(folder / "input.bin", source["dtype"]).reshape(source["shape"])
    interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(target["index"])


def faults(folder, contract, runtime):
    lines = golden.golden_faults(folder, contract, runtime)
    return lines + golden.resize_faults(folder, contract, runtime)


def test_tolerance_by_hand(made):
    folder, contract, content = made
    own, stored = (
        output(content, folder, kernels).astype(np.float64)
        for kernels in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO)
    )
    changed = np.abs(own - stored).max()
    steps = np.unique(stored)
    step = np.diff(steps).min() if "int8" in contract["recipe"] else 1e-4 * np.abs(steps).max()
    found = contract["golden"]["reference"]["tolerance"]
    assert found == pytest.approx(max(2 * changed, step), rel=1e-3)
    assert found >= changed and (found > 0.0)
    for kind in contract["golden"].values():
        assert kind["tolerance"] >= step * 0.999 and 0.9 <= kind["pixel_agreement"] <= 0.995
    if "int8" in contract["recipe"]:  # XNNPACK computes integers to the bit
        assert contract["golden"]["xnnpack"]["tolerance"] == pytest.approx(step, rel=1e-3)


def test_kernels_of_phones_without_xnnpack_pass(made):
    folder, contract, content = made
    assert faults(folder, contract, Runtime(content)) == []
    limits = contract["golden"]
    made = contract | {"golden": limits | {"xnnpack": limits["reference"]}}
    assert golden.golden_faults(folder, made, Runtime(content, xnnpack=False)) == []


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_gpus_pass(made, kind):
    """As they are emulated, in float and in half precision."""
    folder, contract, content = made
    limits = contract["golden"]
    made = contract | {"golden": limits | {"xnnpack": limits["half"]}}
    runtime = Runtime(content)
    runtime.run = Emulation(content, kind).run
    assert faults(folder, made, runtime) == []


def test_other_weights_do_not_pass(made):
    folder, contract, _ = made
    other = model(contract["recipe"], seed=4)
    assert "the output differs" in golden.golden_faults(folder, contract, Runtime(other))[0]


class Changed(Runtime):
    """A program with a fault in how it feeds the network or reads its output."""

    def __init__(self, content, before=lambda x: x, after=lambda y: y):
        super().__init__(content)
        self.before, self.after = before, after

    def run(self, tensor):
        return self.after(super().run(np.ascontiguousarray(self.before(tensor))))


@pytest.mark.parametrize(
    "fault",
    [
        {"before": lambda x: x[..., ::-1]},
        {"before": lambda x: x // 2 if x.dtype == np.uint8 else (x + 1) / 2},
        {"before": lambda x: np.roll(x, 1, 2)},
        {"after": lambda y: np.roll(y, 1, -1)},
        {"after": lambda y: np.roll(y, 1, 1)},
        {"after": lambda y: y[:, ::-1]},
    ],
    ids=["channel order", "range", "a column off", "classes", "shifted", "upside down"],
)
def test_faults_do_not_pass(made, fault):
    folder, contract, content = made
    lines = golden.golden_faults(folder, contract, Changed(content, **fault))
    assert "the output differs" in lines[0]
