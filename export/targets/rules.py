"""What a target asks of an operator beyond version and types: functions from operator to words.

Names of options are the schema's.
"""

from collections.abc import Callable

from export.tflite.inspect import Operator, place

Rule = Callable[[Operator], str | None]  # what it breaks, in words; None where it is kept


def fused(*allowed: str) -> Rule:
    def rule(operator):
        if operator.activation not in ("NONE", *allowed):
            return f"{operator.activation} fused into it, only {', '.join(('NONE', *allowed))}"

    return rule


def constant(*indices: int) -> Rule:
    """Inputs that must be known when the file is loaded; one left out may stay so."""

    def rule(operator):
        for index in indices:
            given = operator.inputs[index] if index < len(operator.inputs) else None
            if given is not None and given.role != "constant":
                return f"{given.name} is computed at run time, only constant"

    return rule


def bias(operator):
    if len(operator.inputs) < 3 or operator.inputs[2] is None:
        return "no bias, it is mandatory"


def filter_as_input(operator):
    ours, theirs = operator.inputs[0].dtype, operator.inputs[1].dtype
    if ours != theirs:
        return f"a filter of {theirs} for an input of {ours}, only of the same type"


def float_filter(operator):
    if operator.inputs[1].dtype not in ("float32", "float16"):
        return f"a filter of {operator.inputs[1].dtype}, only float"


def inputs(least: int, most: int | None = None) -> Rule:
    def rule(operator):
        count = len(operator.inputs)
        if count < least or (most is not None and count > most):
            return f"{count} inputs, {least} to {most or 'any'}"

    return rule


def outputs(least: int, most: int) -> Rule:
    def rule(operator):
        if not least <= len(operator.outputs) <= most:
            return f"{len(operator.outputs)} outputs, {least} to {most}"

    return rule


def rank(most: int) -> Rule:
    def rule(operator):
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and len(tensor.shape) > most:
                return f"{tensor.name} has {len(tensor.shape)} dimensions, at most {most}"

    return rule


def scales(least: float, below: float) -> Rule:
    """The ratio of each input's scale to the output's, where both are int8."""

    def rule(operator):
        for tensor in int8(operator):
            if why := ratio(tensor.scales[0] / operator.outputs[0].scales[0], least, below):
                return why

    return rule


def products(least: float, below: float) -> Rule:
    """The ratio of the product of both inputs' scales to the output's, where all are int8."""

    def rule(operator):
        if len(ours := int8(operator)) == 2:
            product = ours[0].scales[0] * ours[1].scales[0]
            return ratio(product / operator.outputs[0].scales[0], least, below)

    return rule


def rescaling(operator):
    """XNNPACK creates no operator whose integer sums shrink to the output's levels by more.

    Its create functions say so (XNNPACK's src/operators), not the delegate: the whole file fails.
    """
    if len(ours := int8(operator)) == 2:
        found = max(ours[0].scales) * max(ours[1].scales) / operator.outputs[0].scales[0]
        if found >= 256:
            return (
                f"its sums are rescaled by {found:.3g}, only by less than 256: on the calibration "
                "images it gave next to nothing"
            )


def int8(operator):
    """The int8 inputs of an operator whose output is int8 as well."""
    ours = operator.inputs if operator.outputs[0].dtype == "int8" else ()
    return [tensor for tensor in ours if tensor.dtype == "int8" and tensor.scales]


def ratio(found: float, least: float, below: float) -> str | None:
    if not least <= found < below:
        return f"scales in the ratio {found:.3g}, at least {least:.3g} and below {below:g}"


def same_scale(operator):
    ours, theirs = operator.inputs[0], operator.outputs[0]
    if (ours.scales, ours.zero_points) != (theirs.scales, theirs.zero_points):
        return "another quantisation behind it than before it"


def same_sign(operator):
    """Between bytes of one signedness; what converts the network's own bytes stands outside."""
    kinds = operator.inputs[0].dtype, operator.outputs[0].dtype
    if kinds in (("uint8", "int8"), ("int8", "uint8")) and place(operator) == "inside":
        return "uint8 and int8 inside the network"


def of_weights(operator):
    if operator.inputs[0].role != "constant" or operator.inputs[0].dtype != "float16":
        return "only where it unpacks float16 weights"


def pooling(operator):
    get = operator.options.get
    window, stride = (get("filterHeight"), get("filterWidth")), (get("strideH"), get("strideW"))
    if stride[0] > window[0] or stride[1] > window[1]:
        return f"stride {stride} over a window of {window}, at most the window"


def channels_axis(operator):
    last = len(operator.inputs[0].shape) - 1
    if operator.options["axis"] not in (-1, last):
        return f"along axis {operator.options['axis']}, only channels"


def height_and_width(operator):
    axes = sorted(int(axis) % 4 for axis in operator.inputs[1].data.reshape(-1))
    if not set(axes) <= {1, 2}:
        return f"over axes {axes}, only height and width"


def kept_sides(operator):
    if not operator.options["keepDims"]:
        return "it drops the reduced sides, only keepdims"


def image_padding(operator):
    pads = operator.inputs[1].data
    if pads.shape != (4, 2) or pads[[0, 3]].any():
        return "padding of batch or channels, only of height and width"


def pads_3_or_4(operator):
    if operator.inputs[1].shape not in ((3, 2), (4, 2)):
        return f"padding of {operator.inputs[1].shape[0]} dimensions, only 3 or 4"


def no_cropping(operator):
    if (operator.inputs[1].data < 0).any():
        return "negative padding"


def beta_one(operator):
    if operator.options["beta"] != 1:
        return f"beta {operator.options['beta']:g}, only 1"


def plain_slice(operator):
    for mask in ("ellipsisMask", "newAxisMask", "shrinkAxisMask"):
        if operator.options[mask]:
            return f"{mask} is set"


def unit_steps(operator):
    if (operator.inputs[3].data != 1).any():
        return f"steps {operator.inputs[3].data.tolist()}, only 1"


def channel_or_image(operator):
    """Core ML's broadcast: [B, C, H, W] with [B, C, 1, 1], [B, 1, H, W] or [B, 1, 1, 1]."""
    first, second = ((1,) * (4 - len(t.shape)) + t.shape for t in operator.inputs)
    images_differ = first[1:3] != second[1:3] and (1, 1) not in (first[1:3], second[1:3])
    channels_differ = first[3] != second[3] and 1 not in (first[3], second[3])
    if len(first) > 4 or len(second) > 4 or images_differ or channels_differ:
        return f"shapes {first} and {second} do not broadcast there"
