"""Computes a .tflite as GPUs do: in half precision, without rounding to integers in between.

Weights are what the file stores, unpacked and rounded to half; so is what each operator writes. A
convolution adds blocks of channels in half, as the GPU accelerator's shaders do. No GPU is needed,
and the result is the same on every machine.
"""

import numpy as np

from cli import Refusal
from export.proof.claims import stored_tensors
from export.proof.outputs import softmax
from export.proof.stored import scales_of
from export.tflite.inspect import UNPACKING, Operator, Tensor, operators

BLOCK = 4  # input channels whose products are added exactly; shaders hold four in a register


class Emulation:
    """A network in the arithmetic of `dtype`, float16 or float32.

    Raises Refusal for a file with an operator that it does not know.
    """

    def __init__(self, content: bytes, dtype=np.float16):
        self.steps, self.dtype = operators(content), np.dtype(dtype)
        self.stored = stored_tensors(self.steps)
        for step in self.steps:
            if step.name not in (*OPERATORS, *UNPACKING, "QUANTIZE"):
                raise Refusal(f"{step.name} is not known in half precision")

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Input tensor to output tensor, in the file's own types.

        Class ids are float32, NaN where a logit is no finite number.
        """
        found = {}
        for step in self.steps:
            output = step.outputs[0]
            if output.role == "constant":
                continue
            values = [self.value(step, each, found, tensor) for each in step.inputs]
            if step.name in ("QUANTIZE", "DEQUANTIZE"):
                found[output.name] = values[0]
            else:
                made = activated(step, OPERATORS[step.name](step, *values))
                found[output.name] = np.asarray(made, self.dtype)
        return written(found[output.name], output)

    def value(self, step: Operator, tensor: Tensor | None, found: dict, given: np.ndarray):
        """The values of a step's input: floats in `dtype`, shapes and axes as they are stored."""
        if tensor is None or tensor.name in found:
            return tensor and found[tensor.name]
        if tensor.role == "input":
            return np.asarray(real(given, tensor), self.dtype)
        tensor = self.stored.get(tensor.name, tensor)
        if tensor.dtype in ("int32", "int64") and not tensor.scales:
            return tensor.data
        zero = np.float32(tensor.zero_points[0] if len(tensor.zero_points) == 1 else 0)
        floats = (tensor.data.astype(np.float32) - zero) * scales_of(tensor, step, tensor.data.ndim)
        return np.asarray(floats, self.dtype)


def real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    if not tensor.scales:
        return values
    return (values.astype(np.float32) - tensor.zero_points[0]) * tensor.scales[0]


def written(values: np.ndarray, output: Tensor) -> np.ndarray:
    """The output of a network in its own type."""
    if not output.scales or output.dtype == "float32":
        return values.astype(np.float32)
    limits = np.iinfo(output.dtype)
    steps = np.round(values.astype(np.float32) / output.scales[0]) + output.zero_points[0]
    return np.clip(np.nan_to_num(steps), limits.min, limits.max).astype(output.dtype)


def activated(step: Operator, values):
    low, high = {"RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}.get(
        step.activation, (None, None)
    )
    return values if low is None else np.clip(np.asarray(values), low, high)


def padding(step: Operator) -> str:
    return ("SAME", "VALID")[step.options["padding"]]


def strides(step: Operator) -> list[int]:
    return [1, step.options["strideH"], step.options["strideW"], 1]


def dilations(step: Operator) -> list[int]:
    return [step.options["dilationHFactor"], step.options["dilationWFactor"]]


def summed(image, kernel, axis: int, part):
    """Adds part(channels of the image, their kernel), in half over blocks of BLOCK channels."""
    if image.dtype != np.float16:
        return np.asarray(part(image, kernel))
    total = 0
    for at in range(0, image.shape[-1], BLOCK):
        block = np.take(kernel, range(at, min(at + BLOCK, kernel.shape[axis])), axis)
        total = total + np.asarray(part(image[..., at : at + BLOCK], block))
    return total


def convolution(step, image, kernel, bias=None):
    """kernel: (out, h, w, in / groups)"""
    import tensorflow as tf

    kernel = kernel.transpose(1, 2, 3, 0)
    groups = image.shape[-1] // kernel.shape[2]
    how = {"strides": strides(step), "padding": padding(step), "dilations": dilations(step)}
    pairs = zip(np.split(image, groups, -1), np.split(kernel, groups, -1), strict=True)
    parts = [summed(x, w, 2, lambda x, w: tf.nn.conv2d(x, w, **how)) for x, w in pairs]
    return biased(np.concatenate(parts, -1), bias)


def depthwise(step, image, kernel, bias=None):
    """kernel: (1, h, w, out)"""
    import tensorflow as tf

    kernel = kernel.reshape(*kernel.shape[1:3], image.shape[-1], -1)
    found = tf.nn.depthwise_conv2d(
        image, kernel, strides(step), padding(step), dilations=dilations(step)
    )
    return biased(np.asarray(found), bias)


def deconvolution(step, shape, kernel, image, bias=None):
    """kernel: (out, h, w, in)"""
    import tensorflow as tf

    kernel = kernel.transpose(1, 2, 0, 3)
    how = {"output_shape": shape, "strides": strides(step), "padding": padding(step)}
    return biased(summed(image, kernel, 3, lambda x, w: tf.nn.conv2d_transpose(x, w, **how)), bias)


def biased(values, bias):
    return values if bias is None else values + bias


def pooling(kind: str):
    def pool(step, image):
        import tensorflow as tf

        window = [1, step.options["filterHeight"], step.options["filterWidth"], 1]
        return getattr(tf.nn, kind)(image, window, strides(step), padding(step))

    return pool


def cut(step, image, begin, end, by):
    import tensorflow as tf

    masks = {"begin_mask": "beginMask", "end_mask": "endMask", "shrink_axis_mask": "shrinkAxisMask"}
    masks = {name: step.options[key] for name, key in masks.items()}
    return tf.strided_slice(image, begin, end, by, **masks)


def to_space(step, image):
    import tensorflow as tf

    return tf.nn.depth_to_space(image, step.options["blockSize"])


def probabilities(step, logits):
    return softmax(logits.astype(np.float32))


def classes(step, logits, axis):
    """Of equal logits the first."""
    return np.where(np.isfinite(logits).all(axis), logits.argmax(axis), np.nan)


def enlarged(step, image, size):
    import tensorflow as tf

    how = {"align_corners": "alignCorners", "half_pixel_centers": "halfPixelCenters"}
    how = {name: bool(step.options[key]) for name, key in how.items()}
    return tf.raw_ops.ResizeBilinear(images=image, size=size, **how)


OPERATORS = {
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "TRANSPOSE_CONV": deconvolution,
    "ADD": lambda step, one, other: one + other,
    "SUB": lambda step, one, other: one - other,
    "MUL": lambda step, one, other: one * other,
    "NEG": lambda step, image: -image,
    "RELU": lambda step, image: np.maximum(image, 0),
    "CONCATENATION": lambda step, *parts: np.concatenate(parts, step.options["axis"]),
    "DEPTH_TO_SPACE": to_space,
    "MAX_POOL_2D": pooling("max_pool2d"),
    "AVERAGE_POOL_2D": pooling("avg_pool2d"),
    "MEAN": lambda step, image, axes: image.mean(tuple(axes), keepdims=step.options["keepDims"]),
    "RESHAPE": lambda step, image, shape: image.reshape(shape),
    "RESIZE_BILINEAR": enlarged,
    "PAD": lambda step, image, borders: np.pad(image, borders),
    "STRIDED_SLICE": cut,
    "SOFTMAX": probabilities,
    "ARG_MAX": classes,
    "CAST": lambda step, ids: ids,
}
