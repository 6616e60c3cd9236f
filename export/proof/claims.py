"""What a recipe claims of a file, read from the file: types, scales, zeros, distinct weights."""

import math

import numpy as np

from data.batches import STD
from export.recipes import Recipe
from export.tflite.inspect import UNPACKING, Operator, Tensor, operators

WEIGHTS_AT = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "TRANSPOSE_CONV": 1}  # index of the input
CHANNELS_AT = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}  # axis of the weights
FEW = 1024  # weights; the converter leaves smaller tensors in float in dynamic-range files
NEAR = 1e-3  # relative difference of two scales that are the same but for rounding


def claim_faults(content: bytes, recipe: Recipe, kept=(), fine=None) -> list[str]:
    """A line for each claim that the file does not keep.

    kept: layers that stay in float. fine: the `FinePlan` of a fine-tuned file, for the fraction of
    zeros and the number of distinct weights that it claims.
    """
    steps = operators(content)
    stored = stored_tensors(steps)
    layers = [step for step in steps if step.name in WEIGHTS_AT and step.layer not in kept]
    lines = border_faults(steps, recipe)
    for place, step in enumerate(layers):
        tensor = step.inputs[WEIGHTS_AT[step.name]]
        tensor = stored.get(tensor.name, tensor)
        lines += type_faults(step, tensor, recipe)
        # The first layer and the depthwise ones are neither pruned nor clustered.
        if fine and place and step.name != "DEPTHWISE_CONV_2D":
            lines += tuning_faults(step, tensor, recipe.training, fine)
    return lines


def stored_tensors(steps: list[Operator]) -> dict[str, Tensor]:
    """Name of a tensor that the file unpacks when it is loaded to the tensor that is stored."""
    found = {}
    for step in steps:
        if step.name in UNPACKING and step.inputs[0].role == "constant":
            found[step.outputs[0].name] = found.get(step.inputs[0].name, step.inputs[0])
    return found


def border_faults(steps: list[Operator], recipe: Recipe) -> list[str]:
    """Types of input and output, and the levels that the bytes of a uint8 input stand for."""
    lines = []
    ends = {t.role: t for step in steps for t in step.activations if t.role in ("input", "output")}
    for role, wanted in (("input", recipe.input), ("output", recipe.output)):
        if role not in ends or ends[role].dtype != wanted:
            lines.append(f"the {role} is {ends[role].dtype if role in ends else 'missing'}, "
                         f"but {recipe.name} has {wanted}")  # fmt: skip
    source = ends.get("input")
    if source and recipe.input == source.dtype == "uint8":
        zero = recipe.input_zero
        scale = source.scales[0] if source.scales else math.nan
        if not near(scale, 1 / STD) or source.zero_points != (zero,):
            lines.append(f"a byte b of the input stands for (b - {source.zero_points[:1]}) * "
                         f"{scale:g}, but it must for (b - {zero}) / {STD:g}")  # fmt: skip
    return lines


def type_faults(step: Operator, weights: Tensor, recipe: Recipe) -> list[str]:
    wanted = recipe.weights
    small = math.prod(weights.shape) < FEW
    if recipe.kernels == "dynamic" and (step.name == "DEPTHWISE_CONV_2D" or small):
        wanted = "float32"
    if weights.dtype != wanted:
        return [f"the weights of {step.layer} are {weights.dtype}, but {wanted} in {recipe.name}"]
    if wanted != "int8":
        return []
    channels = weights.shape[CHANNELS_AT[step.name]]
    if len(weights.scales) != channels or any(weights.zero_points):
        return [f"the weights of {step.layer} have {len(weights.scales)} scales and zero points "
                f"{sorted(set(weights.zero_points))[:3]}, but {channels} scales are needed, one a "
                "channel, and zero points 0"]  # fmt: skip
    return bias_faults(step, weights) if recipe.kernels == "int8" else []


def bias_faults(step: Operator, weights: Tensor) -> list[str]:
    """The scale of a bias is that of the products it is added to."""
    source = step.inputs[2] if step.name == "TRANSPOSE_CONV" else step.inputs[0]
    at = 3 if step.name == "TRANSPOSE_CONV" else 2
    bias = step.inputs[at] if len(step.inputs) > at else None
    if bias is None:
        return []
    if not source.scales:
        return [f"the input of {step.layer} is {source.dtype}, but int8 in an int8 file"]
    wanted = np.multiply(weights.scales, source.scales[0])
    scales = np.resize(bias.scales, len(wanted)) if bias.scales else np.full(len(wanted), np.nan)
    if bias.dtype == "int32" and not any(bias.zero_points) and near(scales, wanted):
        return []
    return [f"the bias of {step.layer} is {bias.dtype} of another scale than its products"]


def tuning_faults(step: Operator, weights: Tensor, kind: str, fine) -> list[str]:
    values = weights.data
    if kind == "sparse":
        zeros = 1 - np.count_nonzero(values) / math.prod(weights.shape)
        if not zeros >= fine.sparsity - 0.01:
            return [f"{zeros:.1%} of the weights of {step.layer} are zero, "
                    f"but {fine.sparsity:.0%} are claimed"]  # fmt: skip
    if kind == "cluster" and len(np.unique(values)) > fine.clusters:
        return [f"the weights of {step.layer} have {len(np.unique(values))} values, "
                f"but {fine.clusters} are claimed"]  # fmt: skip
    return []


def near(found, wanted) -> bool:
    return bool(np.allclose(found, wanted, rtol=NEAR, atol=0))
