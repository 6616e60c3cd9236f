"""What inspect reads from files that Keras makes and from files packed here; expected by hand."""

import contextlib
import io
import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal
from export.tflite import inspect
from files import quiet


def packed(tensors, operators, inputs=(0,), outputs=(-1,)):
    """The bytes of a .tflite, packed with the schema only.

    tensors: (name, dtype, shape, values or None); operators: (name, version, inputs, outputs).
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers, graph.tensors, graph.operators = [schema.BufferT()], [], []
    for name, dtype, shape, values in tensors:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, shape, getattr(schema.TensorType, dtype)
        if min(shape, default=1) < 0:
            tensor.shape, tensor.shapeSignature = np.abs(shape), shape
        if values is not None:
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
    for name, version, ins, outs in operators:
        code, node = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
        if code.builtinCode == schema.BuiltinOperator.CUSTOM:
            code.customCode = name
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), version
        model.operatorCodes.append(code)
        node.opcodeIndex, node.inputs, node.outputs = len(graph.operators), ins, outs
        graph.operators.append(node)
    graph.inputs, graph.outputs = inputs, [i % len(tensors) for i in outputs]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def converted(model, kind="float32"):
    """The .tflite of a Keras model. kind: float32, float16, dynamic8, int8, sparse or flex."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    ops, optimize = tf.lite.OpsSet, tf.lite.Optimize
    converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS]
    if kind in ("int8", "dynamic8", "float16"):
        converter.optimizations = [optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "sparse":
        converter.optimizations = [optimize.EXPERIMENTAL_SPARSITY]
    if kind == "flex":
        converter.target_spec.supported_ops.append(ops.SELECT_TF_OPS)
    if kind == "int8":
        shape = model.inputs[0].shape
        converter.representative_dataset = lambda: (
            [rng.uniform(-1, 1, shape).astype(np.float32)] for _ in range(4)
        )
        converter.target_spec.supported_ops = [ops.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    with contextlib.redirect_stdout(io.StringIO()), quiet():
        return converter.convert()


@cache
def conv_pool_deconv(kind, sides=(8, 8), batch=1):
    """Convolution enc_1, pooling, deconvolution logits, with biases of 1 and weights below 1."""
    import keras

    keras.utils.set_random_seed(0)
    x = keras.Input((*sides, 3), batch_size=batch, name="image")
    layer = keras.layers
    h = layer.Conv2D(4, 3, padding="same", activation="relu", name="enc_1")(x)
    h = layer.MaxPooling2D(name="pool")(h)
    h = layer.Conv2DTranspose(2, 2, 2, bias_initializer="ones", name="logits")(h)
    return converted(keras.Model(x, h), kind)


def test_operators_of_a_float_file():
    conv, pool, deconv = inspect.operators(conv_pool_deconv("float32"))
    assert [o.name for o in (conv, pool, deconv)] == ["CONV_2D", "MAX_POOL_2D", "TRANSPOSE_CONV"]
    assert [o.version for o in (conv, pool, deconv)] == [1, 1, 3]  # 3: it has a bias
    assert [o.layer for o in (conv, pool, deconv)] == ["enc_1", "pool", "logits"]
    assert [o.activation for o in (conv, pool, deconv)] == ["RELU", "NONE", "NONE"]
    assert (conv.code, pool.code, deconv.code) == (3, 17, 67)  # schema.fbs
    assert (pool.options["filterHeight"], pool.options["strideW"]) == (2, 2)
    assert [t.shape for t in conv.inputs] == [(1, 8, 8, 3), (4, 3, 3, 3), (4,)]
    assert [t.role for t in conv.inputs] == ["input", "constant", "constant"]
    assert conv.outputs[0].role == "inside" and deconv.outputs[0].role == "output"
    assert deconv.inputs[0].data.tolist() == [1, 8, 8, 2]  # the shape of its output
    assert [t.shape for t in deconv.activations] == [(1, 4, 4, 4), (1, 8, 8, 2)]


def test_operators_of_an_int8_file():
    content = conv_pool_deconv("int8")
    names = ["QUANTIZE", "CONV_2D", "MAX_POOL_2D", "TRANSPOSE_CONV", "DEQUANTIZE"]
    found = inspect.operators(content)
    assert [o.name for o in found] == names
    image, kernel, offset = found[1].inputs
    assert (image.dtype, kernel.dtype, offset.dtype) == ("int8", "int8", "int32")
    assert (len(image.scales), len(kernel.scales)) == (1, 4)  # weights: one scale per channel
    assert set(kernel.zero_points) == {0} and len(image.zero_points) == 1
    assert inspect.conversions(content) == {"uint8->int8 input": 1, "int8->float32 output": 1}
    assert inspect.float_operators(content) == []


def test_float16_weights_are_constants_wherever_they_are_unpacked():
    content = conv_pool_deconv("float16")
    conv = next(o for o in inspect.operators(content) if o.name == "CONV_2D")
    assert [t.role for t in conv.inputs] == ["input", "constant", "constant"]
    assert set(inspect.conversions(content)) == {"float16->float32 weights"}
    assert inspect.largest_weight(content) == 1.0  # the biases


# A file with a uint8 input that rescales once and has one float operator, RELU, inside:
# uint8 -> int8 | int8 -> int8 | int8 -> float32, RELU, float32 -> int8 | int8 -> float32
SHAPE = (1, 2, 2, 3)
ISLAND = packed(
    [
        (name, dtype, SHAPE, None)
        for name, dtype in (
            ("image", "UINT8"), ("a", "INT8"), ("b", "INT8"), ("c", "FLOAT32"),
            ("net/sharp/Relu", "FLOAT32"), ("d", "INT8"), ("logits", "FLOAT32"),
        )
    ],
    [
        ("QUANTIZE", 1, [0], [1]), ("QUANTIZE", 1, [1], [2]), ("DEQUANTIZE", 2, [2], [3]),
        ("RELU", 1, [3], [4]), ("QUANTIZE", 1, [4], [5]), ("DEQUANTIZE", 2, [5], [6]),
    ],
)  # fmt: skip


def test_conversions_by_place():
    assert inspect.conversions(ISLAND) == {
        "uint8->int8 input": 1,
        "int8->int8 inside": 1,
        "int8->float32 inside": 1,
        "float32->int8 inside": 1,
        "int8->float32 output": 1,
    }


def test_conversions_of_input_and_output_are_no_float_operators():
    names = [(o.name, o.layer) for o in inspect.float_operators(ISLAND)]
    # Neither tensor c nor any before it has a Keras name; the output of RELU has one.
    assert names == [("DEQUANTIZE", "c"), ("RELU", "sharp"), ("QUANTIZE", "after sharp")]


def test_conversions_of_input_and_output_are_named_after_them():
    found = inspect.operators(ISLAND)
    assert (found[0].layer, found[-1].layer) == ("input", "output")


def test_open_shapes():
    assert inspect.open_shapes(ISLAND) == []
    assert inspect.open_shapes(conv_pool_deconv("float32")) == []
    loose = packed([("x", "FLOAT32", (1, -1, 2, 3), None), ("y", "FLOAT32", SHAPE, None)],
                   [("RELU", 1, [0], [1])])  # fmt: skip
    assert inspect.open_shapes(loose) == ["x"]


@pytest.mark.slow
def test_a_keras_model_without_fixed_sides_has_open_shapes():
    assert "serving_default_image:0" in inspect.open_shapes(
        conv_pool_deconv("float32", (None, None), None)
    )


def test_custom_operators():
    tensors = [("x", "FLOAT32", SHAPE, None), ("y", "FLOAT32", SHAPE, None)]
    assert inspect.custom_operators(packed(tensors, [("FlexLgamma", 1, [0], [1])])) == [
        "FlexLgamma"
    ]
    assert inspect.custom_operators(packed(tensors, [("RELU", 1, [0], [1])])) == []


def test_an_optional_input_that_is_left_out():
    tensors = [("x", "FLOAT32", SHAPE, None), ("w", "FLOAT32", (3, 1, 1, 3), np.ones(9, "f4"))]
    content = packed(
        [*tensors, ("y", "FLOAT32", SHAPE, None)], [("CONV_2D", 1, [0, 1, -1], [2])]
    )  # fmt: skip
    assert [t and t.name for t in inspect.operators(content)[0].inputs] == ["x", "w", None]


def test_largest_weight():
    weights = np.float32([1, -70000, 2, 0, 0, 0, 0, 0, 0])
    tensors = [("x", "FLOAT32", SHAPE, None), ("w", "FLOAT32", (3, 1, 1, 3), weights)]
    content = packed([*tensors, ("y", "FLOAT32", SHAPE, None)], [("CONV_2D", 1, [0, 1], [2])])
    assert inspect.largest_weight(content) == 70000
    assert inspect.largest_weight(ISLAND) == 0  # it has no weights


@pytest.mark.parametrize(
    ("root", "layer", "name"),
    [
        ("functional_1", "enc_1", "enc"),  # Keras 3: the second trace of layer enc
        ("lip_1", "enc_1_1", "enc_1"),
        ("model", "enc_1", "enc_1"),  # tf_keras: one trace
        ("model", "quant_enc", "enc"),  # tfmot's wrapper
    ],
)
def test_keras_name(root, layer, name):
    assert inspect.keras_name(root, layer) == name


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all", ISLAND[:100], b"\0" * 64])
def test_damaged_file(content):
    with pytest.raises(Refusal, match="damaged"):
        inspect.operators(content)
