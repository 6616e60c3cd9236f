"""A deploy graph to a flatbuffer of builtin operators, as a recipe says."""

import contextlib
import io
import warnings

import numpy as np

from cli import quiet
from export.recipes import BY_NAME, Recipe


def to_tflite(graph, recipe: Recipe = BY_NAME["float32"], calibration=None, keep_float=()) -> bytes:
    """A Keras or tf_keras model with static shapes to the bytes of a .tflite.

    calibration: inputs (N, H, W, 3) for a recipe that is calibrated. keep_float: names of layers
    that an int8 recipe leaves in float.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(graph)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    optimise(tf, converter, recipe, calibration)
    # It lists every variable, and its C++ the types.
    with contextlib.redirect_stdout(io.StringIO()), quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of statistics that need none
        content = converter.convert()
    return float_depthwise(content) if recipe.kernels == "dynamic" else content


def optimise(tf, converter, recipe, calibration) -> None:
    """Sets what the converter must know of a recipe."""
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
        converter.representative_dataset = lambda: ([picture[None]] for picture in calibration)


def float_depthwise(content: bytes) -> bytes:
    """Depthwise weights back in float: XNNPACK does not take int8 ones with float activations.

    They are a hundredth of a network's weights; as int8 each of them would cut the graph in two.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(content)
    (graph,) = tree.subgraphs
    for operator in graph.operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        tensor = graph.tensors[operator.inputs[1]] if len(operator.inputs) > 1 else None
        if code.builtinCode != schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            continue
        if tensor.type == schema.TensorType.INT8:
            values = np.frombuffer(bytes(tree.buffers[tensor.buffer].data), np.int8)
            values = values.reshape(tensor.shape) * np.float32(tensor.quantization.scale)
            tree.buffers[tensor.buffer].data = list(values.astype("<f4").tobytes())
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    builder = flatbuffers.Builder(len(content))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
