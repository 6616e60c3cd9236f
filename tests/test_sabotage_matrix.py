"""Every fault in every recipe that it applies to is refused by the check that should see it.

A fault of the graph is there before the float graph is compared with Keras; a fault of the
conversion comes after that, so that only the file has it.
"""

import itertools
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from test_sabotage import append, change_file

from cli import Verdict
from export import make, trained
from export.graph import convert
from export.make import Choices, Exporter
from export.proof import measure
from export.recipes import BY_NAME
from files import read_json

FLOATS = ("float32", "float16", "dynamic8")
INT8 = ("int8", "int8-full")
UNTUNED = FLOATS + INT8
DEPTHWISE = 4  # in the schema's BuiltinOperator; a convolution is 3
LOOSE = Choices(max_drop=0.05, epochs=1)  # judged on six small images


@pytest.fixture(scope="module")
def loaded(finished, tmp_path_factory):
    folder = shutil.copytree(finished / "run", tmp_path_factory.mktemp("matrix") / "run")
    return trained.load(folder)


@pytest.fixture
def refused(loaded, monkeypatch):
    """A function that exports, expects a refusal and returns the figures that were refused."""
    monkeypatch.setattr(measure, "speed", lambda *_: {"latency_ms": 1.0})

    def export(recipe, choices=LOOSE):
        with pytest.raises(Verdict) as end:
            Exporter(loaded, choices).export(BY_NAME[recipe])
        found = read_json(loaded.folder / f"export/{recipe}.refused.json")
        assert not (loaded.folder / "export" / recipe).exists()
        assert "Traceback" not in str(end.value)
        return {line.split(" is ")[0] for line in found["reasons"]}

    return export


def kernel(name, change):
    """A fault that changes the kernel of one layer."""

    def apply(graph):
        first, *rest = graph.get_layer(name).get_weights()
        graph.get_layer(name).set_weights([change(first.copy()), *rest])
        return graph

    return apply


def bias(name, change):
    def apply(graph):
        *first, last = graph.get_layer(name).get_weights()
        graph.get_layer(name).set_weights([*first, change(last.copy())])
        return graph

    return apply


def swapped(values):
    values[:, :, [0, 5]] = values[:, :, [5, 0]]
    return values


def phases(values):
    shape = values.shape
    return values.reshape(*shape[:3], 2, 2, -1).swapaxes(3, 4).reshape(shape)


def lowered(values):
    values.reshape(4, -1)[:, 3] -= 4.0  # the class of each of the four phases
    return values


def tensorflow(name):
    def call(x):
        import tensorflow as tf

        return {
            "softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "scale": lambda x: 2.0 * x,
            "roll": lambda x: tf.roll(x, 1, 2),
            "transpose": lambda x: tf.transpose(x, (0, 2, 1, 3)),
            "classes": lambda x: tf.concat([x[..., 1:], x[..., :1]], -1),
            "offset": lambda x: x - tf.constant([0.0, 0.0, 0.0, 4.0]),
        }[name](x)  # fmt: skip

    return call


WIRING = {
    "skip channels swapped": kernel("deconv3_refine_dw", swapped),
    "kernel flipped": kernel("conv4_dw", lambda k: k[::-1]),
    "kernel transposed": kernel("conv3_dw", lambda k: k.swapaxes(0, 1)),
    "phases swapped": kernel("deconv4", phases),
    "2 % smaller": kernel("conv2_pw", lambda k: k * 0.98),
    "a channel quartered": kernel("conv4_pw", lambda k: k * np.where(np.arange(48) == 7, 0.25, 1)),
    "rare class lowered": bias("deconv5", lowered),
    "bias": bias("conv3_dw", lambda b: b + 0.1),
    "BGR": kernel("conv1", lambda k: k[:, :, ::-1]),
    "a pixel off": append(tensorflow("roll")),
    "softmax": append(tensorflow("softmax")),
    "sigmoid": append(tensorflow("sigmoid")),
    "twice as large": append(tensorflow("scale")),
    "transposition": append(tensorflow("transpose")),
    "classes shifted": append(tensorflow("classes")),
    "offset of a class": append(tensorflow("offset")),
}  # fmt: skip
EARLY = {"softmax": "claim_faults"}  # what is read from the file, before it is compared


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        *itertools.product(("float32", "int8"), WIRING),
        *itertools.product(("qat8",), ("skip channels swapped", "phases swapped", "bias")),
    ],
)
@pytest.mark.slow
def test_a_fault_of_the_graph(fault, recipe, refused, monkeypatch):
    """The float graph differs from Keras, whatever the recipe rounds."""
    right = trained.deploy
    monkeypatch.setattr(trained, "deploy", lambda *args: WIRING[fault](right(*args)))
    # Equalisation does not know the layer that these faults add.
    monkeypatch.setattr(make.equalise, "equalise", lambda *_: None)
    assert EARLY.get(fault, "graph_error") in refused(recipe)


@pytest.mark.parametrize("recipe", UNTUNED)
@pytest.mark.parametrize("fault", WIRING)
@pytest.mark.slow
def test_a_fault_of_the_conversion(fault, recipe, refused, monkeypatch):
    """The file differs from its float graph."""
    import keras

    right = make.to_tflite

    def wrong(graph, *args):
        copy = keras.models.clone_model(graph, clone_function=same)
        copy.set_weights(graph.get_weights())
        return right(WIRING[fault](copy), *args)

    monkeypatch.setattr(make, "to_tflite", wrong)
    found = refused(recipe)
    assert found & {"weight_error", "layer_snr", "target_faults", EARLY.get(fault)}, found


def same(layer):
    return type(layer).from_config(layer.get_config())


def values(tree, tensor, kind):
    return np.frombuffer(bytes(tree.buffers[tensor.buffer].data), kind).copy()


def store(tree, tensor, found):
    tree.buffers[tensor.buffer].data = np.frombuffer(found.tobytes(), np.uint8)


def convolution(tree, place, code=3):
    """The tensors of the convolution at this place in the file: output, weights, bias."""
    (graph,) = tree.subgraphs
    codes = [tree.operatorCodes[o.opcodeIndex].builtinCode for o in graph.operators]
    steps = [o for o, kind in zip(graph.operators, codes, strict=True) if kind == code]
    return [graph.tensors[at] for at in (steps[place].outputs[0], *steps[place].inputs[1:3])]


def input_zero(tree):
    (graph,) = tree.subgraphs
    graph.tensors[graph.inputs[0]].quantization.zeroPoint = [135]


def input_scale(tree):
    (graph,) = tree.subgraphs
    graph.tensors[graph.inputs[0]].quantization.scale = [1.1 / 127.5]


def inner_scale(tree):
    """Of what a depthwise convolution passes to a pointwise one."""
    output, *_ = convolution(tree, 2, DEPTHWISE)
    output.quantization.scale = [2 * float(output.quantization.scale[0])]


def inner_zero(tree):
    output, *_ = convolution(tree, 2, DEPTHWISE)
    # Half of the range is lost. Of a quarter, 2.8 points here, only --max-drop tells.
    output.quantization.zeroPoint = [int(output.quantization.zeroPoint[0]) + 127]


def biases(tree):
    _, _, tensor = convolution(tree, 2)
    store(tree, tensor, values(tree, tensor, "<i4") + 50)


def quartered(tree):
    _, tensor, _ = convolution(tree, 2)
    found = values(tree, tensor, np.int8).reshape(tensor.shape)
    found[3] //= 4
    store(tree, tensor, found)


def saturated(tree):
    _, _, tensor = convolution(tree, 2)
    found = values(tree, tensor, "<i4")
    found[3] += 1 << 24
    store(tree, tensor, found)


QUANTISATION = {
    input_zero: "claim_faults", input_scale: "claim_faults", inner_scale: "claim_faults",
    inner_zero: "clipped", biases: "weight_error", quartered: "weight_error",
    saturated: "weight_error",
}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "recipe"),
    [
        pytest.param(fault, recipe, id=f"{fault.__name__}-{recipe}")
        for fault, recipe in itertools.product(QUANTISATION, (*INT8, "qat8"))
        # The ranges of fine-tuning are wide: half of one is enough, nothing is lost.
        if (fault, recipe) != (inner_zero, "qat8")
    ],
)
@pytest.mark.slow
def test_a_fault_of_quantisation(fault, recipe, refused, monkeypatch):
    change_file(monkeypatch, fault)
    monkeypatch.setattr(Exporter, "float32", b"")
    assert QUANTISATION[fault] in refused(recipe)


def forgotten(tf, converter, recipe, calibration):
    """The converter's options of float32, whatever the recipe."""


def per_tensor(tf, converter, recipe, calibration):
    RIGHT(tf, converter, recipe, calibration)
    converter._experimental_disable_per_channel = True


def float_output(tf, converter, recipe, calibration):
    RIGHT(tf, converter, recipe, calibration)
    converter.inference_output_type = tf.float32


RIGHT = convert.optimise
CLAIMS = [
    *((forgotten, recipe) for recipe in ("float16", "dynamic8")),
    (per_tensor, "int8"), (per_tensor, "int8-full"), (float_output, "int8-full"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "recipe"), CLAIMS)
def test_a_broken_claim(fault, recipe, refused, monkeypatch):
    monkeypatch.setattr(convert, "optimise", fault)
    assert refused(recipe) == {"claim_faults"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", (*UNTUNED, "qat8"))
def test_sound_files_pass(recipe, loaded):
    report = Exporter(loaded, LOOSE).export(BY_NAME[recipe])
    assert report["verdict"] == "yes"
    shutil.rmtree(loaded.folder / "export" / recipe)
