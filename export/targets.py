"""Which operators each target takes, with version, types and rules, and the audit against that.

Read in google-ai-edge/LiteRT at commit f674577 of 2026-08-21, the code of the runtimes
themselves: a target names the files, a row the function, class or entry in them. Only the
operators that our graphs are made of, and their neighbours, have a row: whatever has none is
refused, which errs on the safe side.
"""

from collections.abc import Callable
from typing import NamedTuple

from cli import one_of
from export.anatomy import Operator, operators, place

Rule = Callable[[Operator], str | None]  # what it breaks, in words; None where it is kept


class Row(NamedTuple):
    """version: the highest that is taken; None where the target does not look at it.

    types: of what flows at run time; weights have rules of their own.
    """

    operator: str
    version: int | None
    types: str
    source: str
    rules: tuple[Rule, ...] = ()


class Target(NamedTuple):
    means: str
    source: str  # paths in the repository
    limits: str  # what the table cannot say
    rows: tuple[Row, ...]
    rules: tuple[Rule, ...] = ()  # of every operator


def audit(content: bytes, target: str) -> list[str]:
    """A line for each operator of a .tflite that the target does not take. Raises Refusal."""
    table = TARGETS[one_of(target, TARGETS, "target")]
    found = ((operator, refused(operator, table)) for operator in operators(content))
    return [f"{operator.name} ({operator.layer}): {why}" for operator, why in found if why]


def refused(operator: Operator, target: Target) -> str | None:
    """Why a target does not take an operator, in words; None where it does."""
    row = {row.operator: row for row in target.rows}.get(operator.name)
    if row is None:
        return "a custom operator" if operator.custom else "not taken"
    if row.version is not None and operator.version > row.version:
        return f"version {operator.version}, at most {row.version}"
    strange = sorted({t.dtype for t in operator.activations} - set(row.types.split()))
    if strange:
        return f"{' and '.join(strange)}, only {' or '.join(row.types.split())}"
    broken = (rule(operator) for rule in target.rules + row.rules)
    return next((why for why in broken if why), None)


# Rules. Names of options are the schema's.


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
                "pictures it gave next to nothing"
            )


def dead_layers(content: bytes) -> list[str]:
    """Layers whose output's scale is so small that XNNPACK fails on the file. Raises Refusal."""
    weighted = {row.operator for row in XNNPACK if rescaling in row.rules}
    return [o.layer for o in operators(content) if o.name in weighted and rescaling(o)]


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


RELUS = fused("RELU", "RELU_N1_TO_1", "RELU6")
SMOOTH = fused("RELU", "RELU_N1_TO_1", "RELU6", "TANH")
WEIGHTS = constant(1, 2)
F, Q = "float32", "float32 int8"
ANY = "float32 float16 int8 uint8"

# fmt: off
# int8 weights on a float input (dynamic range) are taken where filter_as_input is not asked.
# uint8 hangs on a flag of the build, so that it is left out but for the conversion at the border.
XNNPACK = (
    #   operator         version types source                       rules
    Row("CONV_2D",           None, Q, "VisitConv2DNode",
                                                   (bias, WEIGHTS, RELUS, rescaling)),
    Row("DEPTHWISE_CONV_2D", None, Q, "VisitDepthwiseConv2DNode",
                                               (bias, WEIGHTS, filter_as_input, RELUS, rescaling)),
    Row("TRANSPOSE_CONV",    None, Q, "VisitTransposeConvNode",
                                                   (constant(0, 1, 3), RELUS, rescaling)),
    Row("FULLY_CONNECTED",   None, Q, "VisitFullyConnectedNode",   (WEIGHTS, RELUS, rescaling)),
    Row("DEPTH_TO_SPACE",    None, Q, "VisitDepthToSpaceNode"),
    Row("SPACE_TO_DEPTH",    None, Q, "VisitSpaceToDepthNode"),
    # README.md says 4; the code takes 5.
    Row("CONCATENATION",     None, Q, "VisitConcatenationNode",    (inputs(2, 5),)),
    Row("SPLIT",             None, Q, "VisitSplitNode",            (constant(0), outputs(2, 4))),
    Row("ADD",               None, Q, "VisitBinaryNode",           (RELUS, scales(2**-10, 256))),
    Row("SUB",               None, Q, "VisitBinaryNode",           (RELUS, scales(2**-10, 256))),
    Row("MUL",               None, Q, "VisitBinaryNode",           (RELUS, products(2**-16, 256))),
    Row("PRELU",             None, F, "VisitBinaryNode",           (constant(1),)),
    Row("RELU",              None, F, "VisitUnaryNode"),
    Row("RELU6",             None, F, "VisitUnaryNode"),
    Row("NEG",               None, F, "VisitUnaryNode"),
    Row("HARD_SWISH",        None, F, "VisitUnaryNode"),
    Row("LOGISTIC",          None, Q, "VisitUnaryNode"),
    Row("TANH",              None, Q, "VisitUnaryNode"),
    Row("QUANTIZE",          None, Q + " uint8", "VisitUnaryNode", (same_sign, scales(2**-8, 128))),
    Row("DEQUANTIZE",        None, Q, "VisitUnaryNode"),
    Row("DENSIFY",           None, F, "Delegate::PrepareOpsToDelegate"),
    Row("MAX_POOL_2D",       None, Q, "VisitMaxPool2DNode",        (pooling, RELUS)),
    Row("AVERAGE_POOL_2D",   None, F, "VisitAveragePool2DNode",    (pooling, RELUS)),
    # README.md wants height and width or width; the code takes any axes.
    Row("MEAN",              None, Q, "VisitReduceNode",           (constant(1),)),
    Row("RESIZE_BILINEAR",   None, Q, "VisitResizeBilinearNode",   (constant(1),)),
    Row("SOFTMAX",           None, F, "VisitSoftmaxNode",          (beta_one,)),
    Row("PAD",               None, Q, "VisitPadNode",              (constant(1), no_cropping)),
    Row("RESHAPE",           None, Q, "VisitReshapeNode",          (constant(1), same_scale)),
    Row("STRIDED_SLICE",     None, Q, "VisitStridedSliceNode",
                                                   (constant(1, 2, 3), plain_slice, unit_steps)),
)

# source: the class of this name and "OperationParser". Groups are taken, in CONV_2D's version 6.
# DENSIFY has no parser any more: weights that are stored sparse are refused.
GPU = (
    #   operator         version types source                       rules
    Row("CONV_2D",           6,    ANY, "Conv2D",                  (SMOOTH,)),
    Row("DEPTHWISE_CONV_2D", 6,    ANY, "DepthwiseConvolution",    (SMOOTH,)),
    Row("TRANSPOSE_CONV",    3,    ANY, "TransposeConvBuiltin"),
    Row("FULLY_CONNECTED",   14,   ANY, "FullyConnected",          (SMOOTH,)),
    Row("DEPTH_TO_SPACE",    None, ANY, "DepthToSpace"),
    Row("SPACE_TO_DEPTH",    2,    ANY, "SpaceToDepth"),
    Row("CONCATENATION",     6,    ANY, "Concatenation",           (SMOOTH,)),
    Row("SPLIT",             None, ANY, "Split"),
    Row("ADD",               6,    ANY, "Elementwise",             (SMOOTH,)),
    Row("SUB",               2,    ANY, "Elementwise",             (SMOOTH,)),
    Row("MUL",               8,    ANY, "Elementwise",             (SMOOTH,)),
    Row("PRELU",             1,    ANY, "PReLU",                   (constant(1),)),
    Row("RELU",              2,    ANY, "ReLU"),
    Row("RELU6",             2,    ANY, "ReLU"),
    Row("NEG",               2,    ANY, "Elementwise"),
    Row("HARD_SWISH",        None, ANY, "HardSwish"),
    Row("LOGISTIC",          2,    ANY, "Elementwise"),
    Row("TANH",              2,    ANY, "Elementwise"),
    Row("QUANTIZE",          2,    ANY, "Quantize"),
    Row("DEQUANTIZE",        3,    ANY, "Dequantize"),
    Row("MAX_POOL_2D",       2,    ANY, "Pooling2D",               (SMOOTH,)),
    Row("AVERAGE_POOL_2D",   2,    ANY, "Pooling2D",               (SMOOTH,)),
    Row("MEAN",              None, ANY, "Reduce",                  (constant(1),)),
    Row("RESIZE_BILINEAR",   3,    ANY, "Resize2D"),
    Row("SOFTMAX",           4,    ANY, "Softmax",                 (beta_one,)),
    Row("PAD",               5,    ANY, "Pad",                     (constant(1), pads_3_or_4)),
    Row("RESHAPE",           1,    ANY, "Reshape"),
    Row("STRIDED_SLICE",     2,    ANY, "StridedSlice",       (constant(1, 2, 3), plain_slice)),
)

# What makes a version too high here: groups 6 in CONV_2D, a bias 3 and a fused ReLU 4 in
# TRANSPOSE_CONV, half-pixel centres 3 in RESIZE_BILINEAR, quantised weights 2 and more.
CORE_ML = (
    #   operator         version types source                                   rules
    Row("CONV_2D",           1,    F, "IsConvolutionOpSupported",              (WEIGHTS,)),
    Row("DEPTHWISE_CONV_2D", 2,    F, "IsDepthwiseConvolutionOpSupported",     (WEIGHTS,)),
    Row("TRANSPOSE_CONV",    1,    F, "IsTransposeConvolutionOpSupported",     (constant(0, 1),)),
    Row("FULLY_CONNECTED",   6,    F, "IsFullyConnectedOpSupported",  (WEIGHTS, float_filter)),
    Row("CONCATENATION",     1,    F, "IsConcatenationOpSupported",
                                                          (fused(), inputs(2), channels_axis)),
    Row("ADD",               1,    F, "IsBinaryOpSupported",                   (channel_or_image,)),
    Row("MUL",               1,    F, "IsBinaryOpSupported",                   (channel_or_image,)),
    Row("RELU",              1,    F, "IsNodeSupportedByDelegate"),
    Row("RELU6",             1,    F, "IsNodeSupportedByDelegate"),
    Row("HARD_SWISH",        1,    F, "IsNodeSupportedByDelegate"),
    Row("LOGISTIC",          1,    F, "IsNodeSupportedByDelegate"),
    Row("TANH",              1,    F, "IsNodeSupportedByDelegate"),
    Row("DEQUANTIZE",        None, F, "FP16GraphPartitionHelper::IsNodeSupported", (of_weights,)),
    Row("MAX_POOL_2D",       1,    F, "IsNodeSupportedByDelegate",             (fused(),)),
    Row("AVERAGE_POOL_2D",   1,    F, "IsNodeSupportedByDelegate",             (fused(),)),
    # README.md has no MEAN.
    Row("MEAN",              1,    F, "IsMeanOpSupported",
                                               (constant(1), kept_sides, height_and_width)),
    Row("RESIZE_BILINEAR",   1,    F, "IsResizeBilinearOpSupported",           (constant(1),)),
    Row("SOFTMAX",           1,    F, "IsNodeSupportedByDelegate",             (beta_one,)),
    Row("PAD",               1,    F, "IsPadOpSupported",         (constant(1), image_padding)),
    # RESHAPE is taken by Core ML 2 alone, iOS 12.
)

# source: the operator of Qualcomm's SDK that the list gives. Groups go to QNN_OP_CONV_2D as such.
NPU = (
    #   operator         version types source                       rules
    Row("CONV_2D",           None, ANY, "QNN_OP_CONV_2D",              (SMOOTH,)),
    Row("DEPTHWISE_CONV_2D", None, ANY, "QNN_OP_DEPTH_WISE_CONV_2D",   (SMOOTH,)),
    Row("TRANSPOSE_CONV",    None, ANY, "QNN_OP_TRANSPOSE_CONV_2D",    (SMOOTH,)),
    Row("FULLY_CONNECTED",   None, ANY, "QNN_OP_FULLY_CONNECTED",      (SMOOTH,)),
    Row("DEPTH_TO_SPACE",    None, ANY, "QNN_OP_DEPTH_TO_SPACE"),
    Row("SPACE_TO_DEPTH",    None, ANY, "QNN_OP_SPACE_TO_DEPTH"),
    Row("CONCATENATION",     None, ANY, "QNN_OP_CONCAT",               (SMOOTH,)),
    Row("SPLIT",             None, ANY, "QNN_OP_SPLIT"),
    Row("ADD",               None, ANY, "QNN_OP_ELEMENT_WISE_BINARY",  (SMOOTH,)),
    Row("SUB",               None, ANY, "QNN_OP_ELEMENT_WISE_BINARY",  (SMOOTH,)),
    Row("MUL",               None, ANY, "QNN_OP_ELEMENT_WISE_MULTIPLY", (SMOOTH,)),
    Row("PRELU",             None, ANY, "QNN_OP_PRELU"),
    Row("RELU",              None, ANY, "QNN_OP_ELEMENT_WISE_NEURON"),
    Row("RELU6",             None, ANY, "QNN_OP_ELEMENT_WISE_NEURON"),
    Row("NEG",               None, ANY, "QNN_OP_ELEMENT_WISE_UNARY"),
    Row("HARD_SWISH",        None, ANY, "QNN_OP_ELEMENT_WISE_NEURON"),
    Row("LOGISTIC",          None, ANY, "QNN_OP_ELEMENT_WISE_NEURON"),
    Row("TANH",              None, ANY, "QNN_OP_ELEMENT_WISE_NEURON"),
    Row("QUANTIZE",          None, ANY, "QNN_OP_QUANTIZE, QNN_OP_CONVERT or QNN_OP_CAST"),
    Row("DEQUANTIZE",        None, ANY, "QNN_OP_DEQUANTIZE or QNN_OP_CAST"),
    Row("MAX_POOL_2D",       None, ANY, "QNN_OP_POOL_MAX_2D",          (SMOOTH,)),
    Row("AVERAGE_POOL_2D",   None, ANY, "QNN_OP_POOL_AVG_2D",          (SMOOTH,)),
    Row("MEAN",              None, ANY, "QNN_OP_REDUCE_MEAN"),
    Row("RESIZE_BILINEAR",   None, ANY, "QNN_OP_RESIZE_BILINEAR"),
    Row("SOFTMAX",           None, ANY, "QNN_OP_SOFTMAX"),
    Row("PAD",               None, ANY, "QNN_OP_PAD"),
    Row("RESHAPE",           None, ANY, "QNN_OP_RESHAPE"),
    Row("STRIDED_SLICE",     None, ANY, "QNN_OP_STRIDED_SLICE"),
)
# fmt: on

TARGETS = {
    "xnnpack": Target(
        "CPUs: XNNPACK as LiteRT's interpreter applies it, int8 included",
        "tflite/delegates/xnnpack/xnnpack_delegate.cc and README.md",
        "it looks at no versions; open shapes stay outside",
        XNNPACK,
    ),
    "gpu": Target(
        "GPUs: LiteRT's own accelerator (ML Drift: Android, WebGPU, Vulkan), not the older "
        "delegate, whose published list has no DEPTH_TO_SPACE",
        "ml_drift_delegate/tflite/model_builder.cc, tflite/tools/versioning/gpu_compatibility.cc",
        "a driver may still refuse; int8 is computed in float",
        GPU,
        (rank(4),),
    ),
    "coreml": Target(
        "Apple's Neural Engine: TensorFlow Lite's Core ML delegate, from iOS 13 on",
        "tflite/delegates/coreml/coreml_delegate.mm, builders/, README.md; tflite/delegates/"
        "utils.cc",
        "float only; an audit, never run here",
        CORE_ML,
    ),
    "npu": Target(
        "Snapdragon's NPU: Qualcomm AI Engine Direct through LiteRT's compiler plugin",
        "litert/vendors/qualcomm/compiler/Qualcomm_QNN_Compiler.md and qnn_compose_graph.cc",
        "no versions and no mixing of types in the list; the SDK asks each operator once more; an "
        "audit, never run here",
        NPU,
    ),
}
