"""The operators of LiteRT's GPU accelerator, ML Drift (Android, WebGPU, Vulkan)."""

from export.targets.rules import (
    beta_one,
    constant,
    full_channels,
    fused,
    pads_3_or_4,
    plain_slice,
    rank,
)
from export.targets.target import Row, Target

SMOOTH = fused("RELU", "RELU_N1_TO_1", "RELU6", "TANH")
ANY = "float32 float16 int8 uint8"
INDEX = "float32 float16 int32"

# fmt: off
# source: the class of this name followed by "OperationParser". Grouped convolutions are supported,
# as CONV_2D version 6. There is no parser for DENSIFY: weights that are stored sparse are refused.
ROWS = (
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
    Row("ARG_MAX",           None, INDEX, "ArgMax",                (constant(1), full_channels)),
    Row("CAST",              None, "int32 uint8", "Cast"),
    Row("PAD",               5,    ANY, "Pad",                     (constant(1), pads_3_or_4)),
    Row("RESHAPE",           1,    ANY, "Reshape"),
    Row("STRIDED_SLICE",     2,    ANY, "StridedSlice",       (constant(1, 2, 3), plain_slice)),
)
# fmt: on

TARGET = Target(
    "GPUs: LiteRT's GPU accelerator, which an app uses through CompiledModel on Android and "
    "through LiteRT.js (WebGPU) in a browser. The older GPU delegate of the TensorFlow Lite "
    "interpreter may leave a part to the CPU, because its published list of operators has no "
    "DEPTH_TO_SPACE",
    "ml_drift_delegate/tflite/model_builder.cc, tflite/tools/versioning/gpu_compatibility.cc",
    "a GPU driver may still refuse an operator; int8 is computed in float",
    ROWS,
    (rank(4),),
)
