"""The operators of XNNPACK, the CPU delegate that LiteRT's interpreter applies by default."""

from collections import Counter
from pathlib import Path

from cli import Refusal
from export.targets.rules import (
    beta_one,
    bias,
    constant,
    filter_as_input,
    fused,
    inputs,
    no_cropping,
    outputs,
    plain_slice,
    pooling,
    products,
    rescaling,
    same_scale,
    same_sign,
    scales,
    unit_steps,
)
from export.targets.target import Row, Target, faults
from export.tflite.head import head_of
from export.tflite.inspect import conversions, operators
from export.tflite.runtime import Runtime, read_model

RELUS = fused("RELU", "RELU_N1_TO_1", "RELU6")
WEIGHTS = constant(1, 2)
F, Q = "float32", "float32 int8"

# fmt: off
# int8 weights with a float input (dynamic range) are supported where filter_as_input is no rule.
# uint8 depends on a build flag; so it is listed only for the conversion of the network's input.
ROWS = (
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
    # README.md says 4 inputs; the code accepts 5.
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
    # README.md requires height and width, or width; the code accepts any axes.
    Row("MEAN",              None, Q, "VisitReduceNode",           (constant(1),)),
    Row("RESIZE_BILINEAR",   None, Q, "VisitResizeBilinearNode",   (constant(1),)),
    Row("SOFTMAX",           None, F, "VisitSoftmaxNode",          (beta_one,)),
    Row("PAD",               None, Q, "VisitPadNode",              (constant(1), no_cropping)),
    Row("RESHAPE",           None, Q, "VisitReshapeNode",          (constant(1), same_scale)),
    Row("STRIDED_SLICE",     None, Q, "VisitStridedSliceNode",
                                                   (constant(1, 2, 3), plain_slice, unit_steps)),
)
# fmt: on

TARGET = Target(
    "CPUs: the XNNPACK delegate of LiteRT's interpreter, in float and int8",
    "tflite/delegates/xnnpack/xnnpack_delegate.cc and README.md",
    "it ignores operator versions; operators with open shapes are not delegated; an argmax or an "
    "integer softmax that ends a file runs after it, in the runtime's own kernels",
    ROWS,
    leaves_head=True,
)


def dead_layers(content: bytes) -> list[str]:
    """Layers with an output scale so small that XNNPACK cannot load the file. Raises Refusal."""
    weighted = {row.operator for row in ROWS if rescaling in row.rules}
    return [o.layer for o in operators(content) if o.name in weighted and rescaling(o)]


def run_faults(content: bytes, partitioning: dict) -> list[str]:
    """What XNNPACK did not run, except conversions at the input and output of a uint8 file, and
    the softmax or argmax that ends a file.

    partitioning: as `Runtime.partitioning` returns it.
    """
    border = sum(
        count for kind, count in conversions(content).items()
        if kind in ("uint8->int8 input", "int8->uint8 output", "int8->float32 output")
    )  # fmt: skip
    outside = Counter(partitioning["outside"])
    outside -= Counter(step.name for step in head_of(operators(content)))
    for name in ("QUANTIZE", "DEQUANTIZE"):
        taken = min(border, outside.get(name, 0))
        outside[name], border = outside.get(name, 0) - taken, border - taken
    lines = [f"{count} {name} outside the delegate" for name, count in outside.items() if count]
    if partitioning["partitions"] != 1:
        lines.append(f"{partitioning['partitions']} delegate partitions instead of one")
    return lines


def load(model: Path | bytes) -> Runtime:
    """A runtime of a .tflite. A refusal names the layers at fault, which LiteRT does not do."""
    try:
        return Runtime(model)
    except Refusal as refusal:
        content = model if isinstance(model, bytes) else read_model(model)
        try:
            lines = faults(content, TARGET)
        except Refusal:  # not a .tflite
            lines = []
        raise Refusal("; ".join((str(refusal), *lines[:3]))) from refusal
