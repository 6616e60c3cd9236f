"""Converts a deploy graph to a .tflite of builtin operators, with the types of a recipe."""

import contextlib
import io
import warnings

import numpy as np

from cli import Refusal, one_of
from export.recipes import BY_NAME, Recipe
from export.tflite.inspect import operators, parse
from export.tflite.pack import pack
from files import quiet


def to_tflite(graph, recipe: Recipe = BY_NAME["float32"], calibration=None, keep_float=()) -> bytes:
    """The .tflite of a Keras or tf_keras model with static shapes, as bytes.

    calibration: inputs (N, H, W, 3), for a recipe that is calibrated. keep_float: names of layers
    that an int8 recipe keeps in float.
    """
    import tensorflow as tf

    converter = converter_of(tf, graph)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    optimise(tf, converter, recipe, calibration)
    nodes = nodes_of(graph, keep_float)
    with silence():
        content = partly_float(tf, converter, nodes) if nodes else converter.convert()
    tree = parse(content)
    if recipe.kernels == "dynamic":
        float_depthwise(tree)
    return pack(tree)


def converter_of(tf, graph):
    """A converter of the graph with its variables frozen to constants.

    from_keras_model gives the same file, but takes three times as long, because it keeps the
    variables in the SavedModel that every converter writes first. The freezing function has no
    public name in TensorFlow 2.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    (image,) = graph.inputs
    spec = tf.TensorSpec(image.shape, image.dtype, image.name)
    function = tf.function(lambda x: graph(x, training=False), [spec])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())


@contextlib.contextmanager
def silence():
    """Suppresses the converter's lists of variables and types, and warnings that do not apply."""
    with contextlib.redirect_stdout(io.StringIO()), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def nodes_of(graph, layers) -> list[str]:
    """The converter's names of the outputs of Keras layers. Raises Refusal for an unknown layer."""
    if not layers:
        return []
    for name in layers:
        one_of(name, [layer.name for layer in graph.layers[1:]], "layer")
    # In the file, operators after the last layer with weights lose their own names.
    wanted = {label for name in layers for label in (name, f"after {name}")}
    steps = operators(to_tflite(graph))
    return [step.outputs[0].name for step in steps if step.layer in wanted]


def partly_float(tf, converter, nodes: list[str]) -> bytes:
    """An int8 file in which `nodes` stay in float, between DEQUANTIZE and QUANTIZE."""
    from tensorflow.lite.python import util

    types = converter.inference_input_type, converter.inference_output_type
    converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=nodes),
    )
    content = util.modify_model_io_type(debugger.get_nondebug_quantized_model(), *types)
    if input_type(content) != "uint8":
        raise Refusal(
            "the first layer cannot stay in float, because its input is the image's bytes. "
            "Name another layer"
        )
    return content


def input_type(content: bytes) -> str:
    return next(t.dtype for o in operators(content) for t in o.activations if t.role == "input")


def optimise(tf, converter, recipe, calibration) -> None:
    """Sets the converter's options for a recipe."""
    kinds = set()
    if recipe.weights == "float16":
        kinds.add(tf.lite.Optimize.DEFAULT)
        converter.target_spec.supported_types = [tf.float16]
    if recipe.weights == "int8":
        kinds.add(tf.lite.Optimize.DEFAULT)
    if recipe.training == "sparse":
        kinds.add(tf.lite.Optimize.EXPERIMENTAL_SPARSITY)
    converter.optimizations = list(kinds)
    if recipe.activations == "int8":
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.as_dtype(recipe.output)
    if calibration is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)


def float_depthwise(tree) -> None:
    """Converts int8 depthwise weights back to float, in place.

    XNNPACK does not support them with float activations: each would split the delegate partition
    in two. They are about a hundredth of a network's weights.
    """
    from ai_edge_litert import schema_py_generated as schema

    (graph,) = tree.subgraphs
    for operator in graph.operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        tensor = graph.tensors[operator.inputs[1]] if len(operator.inputs) > 1 else None
        if code.builtinCode != schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            continue
        if tensor.type == schema.TensorType.INT8:
            values = np.frombuffer(bytes(tree.buffers[tensor.buffer].data), np.int8)
            values = values.reshape(tensor.shape) * np.float32(tensor.quantization.scale)
            packed = np.frombuffer(values.astype("<f4").tobytes(), np.uint8)
            tree.buffers[tensor.buffer].data = packed
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
