"""The operators of Snapdragon NPUs, by Qualcomm's list."""

from export.targets.rules import fused
from export.targets.target import Row, Target

SMOOTH = fused("RELU", "RELU_N1_TO_1", "RELU6", "TANH")
ANY = "float32 float16 int8 uint8"

# fmt: off
# source: the operator of Qualcomm's SDK in the list. QNN_OP_CONV_2D takes grouped convolutions.
ROWS = (
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
    Row("ARG_MAX",           None, ANY + " int32", "QNN_OP_ARGMAX"),
    Row("CAST",              None, ANY + " int32", "QNN_OP_CAST"),
    Row("PAD",               None, ANY, "QNN_OP_PAD"),
    Row("RESHAPE",           None, ANY, "QNN_OP_RESHAPE"),
    Row("STRIDED_SLICE",     None, ANY, "QNN_OP_STRIDED_SLICE"),
)
# fmt: on

TARGET = Target(
    "Snapdragon NPUs: Qualcomm AI Engine Direct through LiteRT's compiler plugin",
    "litert/vendors/qualcomm/compiler/Qualcomm_QNN_Compiler.md and qnn_compose_graph.cc",
    "the list names neither versions nor combinations of types, and the SDK may still refuse an "
    "operator; checked against the operator list, never run here",
    ROWS,
)
