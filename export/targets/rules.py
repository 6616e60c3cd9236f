"""What a target requires of an operator besides its version and types.

Each rule is a function from an operator to a message. Options are named as in the schema.
"""

from collections.abc import Callable

from export.tflite.inspect import Operator, place

Rule = Callable[[Operator], str | None]  # why the rule is broken; None if it is kept


def fused(*allowed: str) -> Rule:
    def rule(operator):
        if operator.activation not in ("NONE", *allowed):
            known = ", ".join(("NONE", *allowed))
            return f"fused activation {operator.activation}; supported: {known}"

    return rule


def constant(*indices: int) -> Rule:
    """These inputs must be constants; an optional one may be left out."""

    def rule(operator):
        for index in indices:
            given = operator.inputs[index] if index < len(operator.inputs) else None
            if given is not None and given.role != "constant":
                return f"{given.name} is computed at run time, but must be constant"

    return rule


def bias(operator):
    if len(operator.inputs) < 3 or operator.inputs[2] is None:
        return "it has no bias, but one is required"


def filter_as_input(operator):
    image, weights = operator.inputs[0].dtype, operator.inputs[1].dtype
    if image != weights:
        return f"the filter is {weights} and the input {image}, but both must have the same type"


def float_filter(operator):
    if operator.inputs[1].dtype not in ("float32", "float16"):
        return f"the filter is {operator.inputs[1].dtype}, but must be float"


def inputs(least: int, most: int | None = None) -> Rule:
    def rule(operator):
        count = len(operator.inputs)
        if count < least or (most is not None and count > most):
            known = f"{least} to {most}" if most else f"{least} or more"
            return f"{count} inputs; supported: {known}"

    return rule


def outputs(least: int, most: int) -> Rule:
    def rule(operator):
        if not least <= len(operator.outputs) <= most:
            return f"{len(operator.outputs)} outputs; supported: {least} to {most}"

    return rule


def rank(most: int) -> Rule:
    def rule(operator):
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and len(tensor.shape) > most:
                return (
                    f"{tensor.name} has {len(tensor.shape)} dimensions; supported: at most {most}"
                )

    return rule


def scales(least: float, below: float) -> Rule:
    """Limits of the ratio of each input's scale to the output's, if both are int8."""

    def rule(operator):
        for tensor in int8(operator):
            if why := ratio(tensor.scales[0] / operator.outputs[0].scales[0], least, below):
                return why

    return rule


def products(least: float, below: float) -> Rule:
    """Limits of the ratio of the product of the inputs' scales to the output's, if all are int8."""

    def rule(operator):
        if len(ours := int8(operator)) == 2:
            product = ours[0].scales[0] * ours[1].scales[0]
            return ratio(product / operator.outputs[0].scales[0], least, below)

    return rule


def rescaling(operator):
    """The factor that scales an operator's integer sums to its output must be below 256.

    This is checked by XNNPACK's create functions (src/operators), not by the delegate: if it is
    broken, the whole file cannot be loaded.
    """
    if len(ours := int8(operator)) == 2:
        found = max(ours[0].scales) * max(ours[1].scales) / operator.outputs[0].scales[0]
        if found >= 256:
            return (
                f"its sums would be scaled by {found:.3g}, but must be by less than 256: its "
                "output was almost zero on the calibration images"
            )


def int8(operator):
    """The int8 inputs of an operator whose output is int8, too."""
    ours = operator.inputs if operator.outputs[0].dtype == "int8" else ()
    return [tensor for tensor in ours if tensor.dtype == "int8" and tensor.scales]


def ratio(found: float, least: float, below: float) -> str | None:
    if not least <= found < below:
        return (
            f"the ratio of scales is {found:.3g}, but must be at least {least:.3g} and below "
            f"{below:g}"
        )


def same_scale(operator):
    source, result = operator.inputs[0], operator.outputs[0]
    if (source.scales, source.zero_points) != (result.scales, result.zero_points):
        return "its input and output must be quantised alike"


def same_sign(operator):
    """uint8 may become int8, or int8 uint8, at the input and output of the network only."""
    kinds = operator.inputs[0].dtype, operator.outputs[0].dtype
    if kinds in (("uint8", "int8"), ("int8", "uint8")) and place(operator) == "inside":
        return "it converts between uint8 and int8 inside the network"


def of_weights(operator):
    if operator.inputs[0].role != "constant" or operator.inputs[0].dtype != "float16":
        return "it is supported only where it unpacks float16 weights"


def pooling(operator):
    get = operator.options.get
    window, stride = (get("filterHeight"), get("filterWidth")), (get("strideH"), get("strideW"))
    if stride[0] > window[0] or stride[1] > window[1]:
        return f"the stride {stride} is larger than the window {window}"


def channels_axis(operator):
    last = len(operator.inputs[0].shape) - 1
    if operator.options["axis"] not in (-1, last):
        return f"the axis is {operator.options['axis']}, but must be the channel axis"


def height_and_width(operator):
    axes = sorted(int(axis) % 4 for axis in operator.inputs[1].data.reshape(-1))
    if not set(axes) <= {1, 2}:
        return f"it reduces axes {axes}; supported: height and width"


def kept_dimensions(operator):
    if not operator.options["keepDims"]:
        return "it drops the reduced dimensions; keepdims is required"


def image_padding(operator):
    pads = operator.inputs[1].data
    if pads.shape != (4, 2) or pads[[0, 3]].any():
        return "it pads batch or channels; supported: height and width"


def pads_3_or_4(operator):
    if operator.inputs[1].shape not in ((3, 2), (4, 2)):
        return f"it pads {operator.inputs[1].shape[0]} dimensions; supported: 3 or 4"


def no_cropping(operator):
    if (operator.inputs[1].data < 0).any():
        return "negative padding is not supported"


def beta_one(operator):
    if operator.options["beta"] != 1:
        return f"beta is {operator.options['beta']:g}, but must be 1"


def full_channels(operator):
    """GPUs compute channels by four; what fills up the last ones is 0 and would count."""
    channels = operator.inputs[0].shape[-1]
    if channels % 4:
        return f"it compares {channels} channels, but a multiple of 4 is needed"


def plain_slice(operator):
    for mask in ("ellipsisMask", "newAxisMask", "shrinkAxisMask"):
        if operator.options[mask]:
            return f"{mask} is set, which is not supported"


def unit_steps(operator):
    if (operator.inputs[3].data != 1).any():
        return f"the strides are {operator.inputs[3].data.tolist()}, but must all be 1"


def channel_or_image(operator):
    """Core ML broadcasts [B, C, H, W] with [B, C, 1, 1], [B, 1, H, W] or [B, 1, 1, 1]."""
    first, second = ((1,) * (4 - len(t.shape)) + t.shape for t in operator.inputs)
    images_differ = first[1:3] != second[1:3] and (1, 1) not in (first[1:3], second[1:3])
    channels_differ = first[3] != second[3] and 1 not in (first[3], second[3])
    if len(first) > 4 or len(second) > 4 or images_differ or channels_differ:
        return f"it cannot broadcast the shapes {first} and {second}"
