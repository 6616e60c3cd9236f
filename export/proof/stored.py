"""Compares the weights and biases that a file stores with those of its float graph, one by one."""

from contextlib import contextmanager

import numpy as np

from export.proof.claims import CHANNELS_AT, WEIGHTS_AT, stored_tensors
from export.recipes import Recipe
from export.tflite.inspect import Operator, Tensor, operators

BIAS_AT = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3}  # index of the input
SMALLEST = 2.0**-24  # step of float16 near 0
FLOAT_STEP = {"float16": 2.0**-10, "float32": 2.0**-22}  # relative to the largest of a tensor


def weight_error(content: bytes, graph, recipe: Recipe) -> tuple[float, str]:
    """(the largest difference of a stored weight or bias to the float graph's, in steps; layer).

    A step is the scale of an int8 or int32 value, and for floats that of the tensor's largest one,
    so that rounding alone is at most one half. Infinite if a layer with weights is not in the file.
    """
    stored = Stored(content)
    worst = (0.0, "")
    for layer in graph.layers:
        kernel, bias = weights_of(layer)
        if kernel is None:
            continue
        step = stored.files.get(layer.name)
        if step is None:
            return float("inf"), layer.name
        for at, wanted in ((WEIGHTS_AT[step.name], kernel), (BIAS_AT[step.name], bias)):
            tensor = stored.tensor(step, at)
            if tensor or wanted is not None:
                worst = max(worst, (difference(tensor, wanted, step, recipe), layer.name))
    return worst


AXES = {"Conv2D": (3, 0, 1, 2), "Conv2DTranspose": (2, 0, 1, 3)}  # from Keras' layout to the file's


def weights_of(layer) -> tuple:
    """(kernel in the file's layout, bias or None) of a convolution, else (None, None)."""
    kernel, bias = variables_of(layer)
    if kernel is None:
        return None, None
    if inner(layer) is not layer:
        ((kernel, quantizer, limits),) = layer._weight_vars
        kernel = quantizer(kernel, False, weights=limits)
    found, kind = np.asarray(kernel), type(inner(layer)).__name__
    if kind == "DepthwiseConv2D":
        found = found.reshape(1, *found.shape[:2], -1)
    else:
        found = found.transpose(AXES[kind])
    return found, None if bias is None else np.asarray(bias)


def inner(layer):
    """The layer itself, or the one that tfmot has wrapped."""
    return getattr(layer, "layer", layer)


def variables_of(layer) -> tuple:
    """(kernel, bias or None) of a convolution, else (None, None).

    When a layer of tfmot's is called, it puts a quantised tensor in the place of the kernel of the
    layer that it wraps, and keeps the variable.
    """
    found = inner(layer)
    if type(found).__name__ not in ("DepthwiseConv2D", *AXES):
        return None, None
    kernel = layer.weights[0] if found is layer else layer._weight_vars[0][0]
    return kernel, found.bias if found.use_bias else None


class Stored:
    """The weights and biases that a file stores, by Keras layer."""

    def __init__(self, content: bytes):
        steps = operators(content)
        self.unpacked = stored_tensors(steps)
        self.files = {step.layer: step for step in steps if step.name in WEIGHTS_AT}

    def tensor(self, step: Operator, at: int) -> Tensor | None:
        """An input of an operator as it is stored; None if it is left out."""
        used = step.inputs[at] if len(step.inputs) > at else None
        return used and self.unpacked.get(used.name, used)

    @contextmanager
    def inside(self, layer):
        """The layer computes with the file's weights; yields whether it has any of its own."""
        step, variables = self.files.get(layer.name), variables_of(layer)
        if step is None or variables[0] is None:
            yield False
            return
        kept = [(variable, np.array(variable)) for variable in variables if variable is not None]
        for variable, at in zip(variables, (WEIGHTS_AT, BIAS_AT), strict=True):
            tensor = self.tensor(step, at[step.name])
            if variable is not None and tensor:
                variable.assign(values_of(tensor, step, layer, np.shape(variable)))
        try:
            yield True
        finally:
            for variable, value in kept:
                variable.assign(value)


def values_of(tensor: Tensor, step: Operator, layer, shape) -> np.ndarray:
    """In float, and in Keras' layout and shape."""
    found = np.float32(tensor.data * scales_of(tensor, step, tensor.data.ndim))
    kind = type(inner(layer)).__name__
    if kind in AXES and len(shape) == 4:
        found = found.transpose(np.argsort(AXES[kind]))
    return found.reshape(shape)


def scales_of(tensor: Tensor, step: Operator, dimensions: int) -> np.ndarray:
    """The scale or scales, to be multiplied with values in the file's layout; 1 in float."""
    scales = np.array(tensor.scales or 1.0)
    return np.expand_dims(scales, others(step, dimensions)) if scales.size > 1 else scales


def others(step: Operator, dimensions: int) -> tuple[int, ...]:
    """The axes in the file's layout but that of the output channels."""
    axis = CHANNELS_AT[step.name] if dimensions == 4 else 0
    return tuple(at for at in range(dimensions) if at != axis)


def difference(tensor: Tensor | None, wanted: np.ndarray | None, step, recipe: Recipe) -> float:
    """In steps of the tensor; infinite if there is one side only."""
    if wanted is None:  # the converter adds a bias of zeros where there is none
        return float(np.abs(tensor.data).max())
    if tensor is None or tensor.data is None or tensor.data.size != wanted.size:
        return float("inf")
    scales, found = scales_of(tensor, step, wanted.ndim), tensor.data.reshape(wanted.shape)
    if tensor.scales:
        steps = scales
    elif recipe.kernels == "dynamic" and wanted.ndim == 4:  # may have been int8 in between
        steps = np.abs(wanted).max(others(step, 4), keepdims=True) / 127
    else:
        steps = FLOAT_STEP[tensor.dtype] * np.abs(wanted).max()
    error = np.abs(found.astype(np.float64) * scales - wanted)
    # A large int32 value is rounded as a float32 on its way.
    found = (error / np.maximum(steps + 2.0**-22 * np.abs(wanted), SMALLEST)).max()
    return float("inf") if np.isnan(found) else float(found)
