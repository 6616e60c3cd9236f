"""Files broken on purpose: each is refused by the check that should notice it."""

import json
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import flatbuffers
import pytest

from export import make, refuse, trained
from export.graph import convert, deploy
from export.make import Choices, export_run
from export.proof import measure
from export.tflite import inspect

LOOSE = Choices(max_drop=0.05)  # judged on six small images
DEPTHWISE = 4  # in the schema's BuiltinOperator


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A run, without measurements of speed and without the report page."""
    monkeypatch.setattr(measure, "speed", lambda *_: {"latency_ms": 1.0})
    monkeypatch.setattr(make, "write_report", lambda _: None)
    return shutil.copytree(finished / "run", tmp_path / "run")


def refused(run, figure, recipe="float32", choices=None):
    """Exports, expects a refusal because of `figure`, and returns RECIPE.refused.json."""
    reports, refusals = export_run(run, recipe, choices or LOOSE)
    assert reports == {} and len(refusals) == 1
    numbers = json.loads((run / "export" / f"{recipe}.refused.json").read_text())
    assert numbers["verdict"] == "no"
    assert [line for line in numbers["reasons"] if line.startswith(f"{figure} is ")], refusals
    assert not (run / "export" / recipe).exists()
    return numbers


def change_graph(monkeypatch, change):
    """Applies `change` to every deploy graph before it is converted."""
    right = trained.deploy

    def wrong(*args):
        graph = right(*args)
        return change(graph) or graph

    monkeypatch.setattr(trained, "deploy", wrong)


def change_file(monkeypatch, change):
    """Applies `change` to the schema objects of every file, in place."""
    right = make.to_tflite

    def wrong(*args):
        tree = inspect.parse(right(*args))
        change(tree)
        builder = flatbuffers.Builder(1024)
        builder.Finish(tree.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    monkeypatch.setattr(make, "to_tflite", wrong)


def change_contract(monkeypatch, change):
    right = make.make_contract
    monkeypatch.setattr(make, "make_contract", lambda *args: {**right(*args), **change})


def weights(graph, name, change):
    layer = graph.get_layer(name)
    kernel, bias = layer.get_weights()
    layer.set_weights(change(kernel, bias))


@pytest.mark.slow
def test_flipped_sign_of_a_crelu(run, monkeypatch):
    import keras
    import tensorflow as tf

    class Unsigned(keras.layers.Layer):
        def call(self, x):
            return tf.nn.relu(x)

    right = deploy.tiny_layers(keras)

    def one_wrong(name):
        return Unsigned(name=name) if name.startswith("conv3") else right["Signs"](name=name)

    monkeypatch.setattr(deploy, "tiny_layers", lambda _: {**right, "Signs": one_wrong})
    assert refused(run, "max_abs_error")["max_abs_error"] > 1e-4


@pytest.mark.slow
def test_wrong_epsilon(run, monkeypatch):
    """Batch norm is folded with 1e-2 instead of 1e-3."""
    right = trained.deploy

    def wrong(model, *args):
        for layer in model.layers:
            if layer.name.endswith("_bn"):
                layer.epsilon = 1e-2
        graph = right(model, *args)
        for layer in model.layers:
            if layer.name.endswith("_bn"):
                layer.epsilon = 1e-3
        return graph

    monkeypatch.setattr(trained, "deploy", wrong)
    assert refused(run, "max_abs_error")["max_abs_error"] > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"colour_order": "BGR"}, id="channel order", marks=pytest.mark.slow),
        pytest.param({"mean": 0.0, "std": 255.0}, id="range", marks=pytest.mark.slow),
        pytest.param({"labels": ["disc", "box", "star", "background"]}, id="label order"),
    ],
)
def test_a_wrong_contract(run, monkeypatch, change):
    change_contract(monkeypatch, change)
    numbers = refused(run, "contract_agreement")
    assert numbers["metadata_faults"]  # they differ from the contract


@pytest.mark.slow
def test_a_contract_with_a_wrong_resize_rule(run, monkeypatch):
    change_contract(monkeypatch, {"resize": "bilinear"})
    refused(run, "contract_agreement")


@pytest.mark.slow
def test_damaged_metadata(run, monkeypatch):
    right = make.add_metadata

    def wrong(content, labels):
        return right(content, labels).replace(b"M001", b"M002")

    monkeypatch.setattr(make, "add_metadata", wrong)
    numbers = refused(run, "metadata_faults")
    assert "the identifier M001 is missing" in numbers["metadata_faults"][0]


@pytest.mark.slow
def test_labels_shifted_in_the_file(run, monkeypatch):
    right = make.add_metadata
    shift = lambda content, labels: right(content, labels[1:] + labels[:1])  # noqa: E731
    monkeypatch.setattr(make, "add_metadata", shift)
    refused(run, "metadata_faults")


@pytest.mark.slow
def test_calibration_on_black_images(run, monkeypatch):
    right = trained.calibration.inputs

    def black(pairs, size):
        found = right(pairs, size)
        found[:, 1:] = -1.0
        return found

    monkeypatch.setattr(trained.calibration, "inputs", black)
    refused(run, "calibration_distance", "int8")


def test_saturated_layer(run, monkeypatch):
    """The range of one tensor is an eighth of that of its layer's output."""

    def narrow(tree):
        (graph,) = tree.subgraphs
        codes = [tree.operatorCodes[o.opcodeIndex].builtinCode for o in graph.operators]
        third = [o for o, code in zip(graph.operators, codes, strict=True) if code == DEPTHWISE][2]
        tensor = graph.tensors[third.outputs[0]]
        if tensor.quantization.scale is not None:  # not in the float32 file
            tensor.quantization.scale = [scale / 8 for scale in tensor.quantization.scale]

    change_file(monkeypatch, narrow)
    (line,) = refused(run, "claim_faults", "int8")["claim_faults"]
    assert line == "the bias of conv4_pw is int32 of another scale than its products"


@pytest.mark.slow
def test_ranges_of_dim_images(run, monkeypatch):
    """Black and white in a corner of the first keep the input's range."""
    right = trained.calibration.inputs

    def dim(*args):
        found = right(*args)
        kept = found[0, 0, :2].copy()
        found /= 8
        found[0, 0, :2] = kept
        return found

    monkeypatch.setattr(trained.calibration, "inputs", dim)
    refused(run, "clipped", "int8")


def append(change):
    """A change of the graph that applies `change` to its logits."""

    def changed(graph):
        import keras

        class Change(keras.layers.Layer):
            def call(self, x):
                return change(x)

        return keras.Model(graph.input, Change()(graph.output))

    return changed


def test_dead_layer(run, monkeypatch):
    """A bias far below zero makes the output of the ReLU zero on every image."""
    change_graph(monkeypatch, lambda g: weights(g, "conv4_dw", lambda k, b: [k, b - 1e6]))
    numbers = refused(run, "dead_layers", "int8")
    assert numbers["dead_layers"] == ["conv4_dw"]
    assert refuse.advice(numbers).startswith("Dead layers: conv4_dw. Try --recipe float16")


@pytest.mark.slow
def test_operator_outside_the_delegate(run, monkeypatch):
    import tensorflow as tf

    # XNNPACK has no CUMSUM; its tiny factor leaves all other figures as they are.
    change_graph(monkeypatch, append(lambda x: x + 1e-9 * tf.cumsum(x, -1)))
    numbers = refused(run, "target_faults")
    assert numbers["partitions"] == 2 and numbers["outside"] == {"CUMSUM": 1}


@pytest.mark.slow
def test_flex_operator(run, monkeypatch):
    import tensorflow as tf

    def with_flex(tf, converter, *_):
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.SELECT_TF_OPS)

    monkeypatch.setattr(convert, "optimise", with_flex)
    contrast = tf.raw_ops.AdjustContrastv2  # not a TFLite builtin
    change_graph(monkeypatch, append(lambda x: contrast(images=x, contrast_factor=1.0)))
    assert refused(run, "custom_operators")["custom_operators"] == ["FlexAdjustContrastv2"]


@pytest.mark.slow
def test_open_shape(run, monkeypatch):
    def open_batch(tree):
        (graph,) = tree.subgraphs
        graph.tensors[graph.inputs[0]].shapeSignature = [-1, 64, 64, 3]

    change_file(monkeypatch, open_batch)
    refused(run, "open_shapes")


@pytest.mark.slow
def test_transpose_conv_4_on_a_gpu(run):
    """A fused ReLU makes TRANSPOSE_CONV version 4; LiteRT's GPU accelerator supports up to 3."""
    choices = Choices(max_drop=0.05, targets=("xnnpack", "gpu"), lower="signs+transpose_conv")
    numbers = refused(run, "target_faults", choices=choices)
    assert "version 4; supported: at most 3" in numbers["target_faults"][0]
    late = Choices(targets=("xnnpack", "gpu", "coreml"), lower="signs+late_bias")
    _, refusals = export_run(run, choices=late)
    assert refusals == []


@pytest.mark.slow
def test_a_refusal_keeps_only_a_kit_of_the_same_weights(run, monkeypatch):
    out = run / "export" / "float32"
    export_run(run, choices=LOOSE)
    with monkeypatch.context() as patch:
        change_contract(patch, {"resize": "bilinear"})
        export_run(run, choices=LOOSE)
        assert (out / "model.tflite").exists()
        contract = json.loads((out / "contract.json").read_text())
        (out / "contract.json").write_text(json.dumps({**contract, "weights": "older"}))
        export_run(run, choices=LOOSE)
        assert not out.exists()
    export_run(run, choices=LOOSE)
    assert out.exists() and not (run / "export" / "float32.refused.json").exists()
    shutil.rmtree(out)


@pytest.mark.slow
def test_advice_names_classes_and_layers(run):
    _, (refusal,) = export_run(run, "int8", Choices(max_drop=-1.0))
    assert "miou_drop is" in refusal and "at most -1" in refusal
    assert "classes with the largest drop in IoU: " in refusal and "Try --recipe qat8" in refusal
    assert "Layers that add the most quantisation error: " in refusal
