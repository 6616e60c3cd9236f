"""Which operators each target takes, with version, types and rules, and the audit against that.

Read in google-ai-edge/LiteRT at commit f674577 of 2026-08-21, the code of the runtimes
themselves: a target names the files, a row the function, class or entry in them. Only the
operators that our graphs are made of, and their neighbours, have a row: whatever has none is
refused, which errs on the safe side.
"""

from typing import NamedTuple

from cli import one_of
from export.anatomy import Operator, operators
from export.rules import (
    Rule,
    beta_one,
    bias,
    channel_or_image,
    channels_axis,
    constant,
    filter_as_input,
    float_filter,
    fused,
    height_and_width,
    image_padding,
    inputs,
    kept_sides,
    no_cropping,
    of_weights,
    outputs,
    pads_3_or_4,
    plain_slice,
    pooling,
    products,
    rank,
    rescaling,
    same_scale,
    same_sign,
    scales,
    unit_steps,
)


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


def dead_layers(content: bytes) -> list[str]:
    """Layers whose output's scale is so small that XNNPACK fails on the file. Raises Refusal."""
    weighted = {row.operator for row in XNNPACK if rescaling in row.rules}
    return [o.layer for o in operators(content) if o.name in weighted and rescaling(o)]


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
