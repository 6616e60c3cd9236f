"""The operators of TensorFlow Lite's Core ML delegate."""

from export.targets.rules import (
    beta_one,
    channel_or_image,
    channels_axis,
    constant,
    float_filter,
    fused,
    height_and_width,
    image_padding,
    inputs,
    kept_dimensions,
    of_weights,
)
from export.targets.target import Row, Target

WEIGHTS = constant(1, 2)
F = "float32"

# fmt: off
# Higher versions come from: groups (CONV_2D 6), a bias (TRANSPOSE_CONV 3), a fused ReLU
# (TRANSPOSE_CONV 4), half-pixel centres (RESIZE_BILINEAR 3), quantised weights (2 or more).
ROWS = (
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
    # Not in README.md.
    Row("MEAN",              1,    F, "IsMeanOpSupported",
                                               (constant(1), kept_dimensions, height_and_width)),
    Row("RESIZE_BILINEAR",   1,    F, "IsResizeBilinearOpSupported",           (constant(1),)),
    Row("SOFTMAX",           1,    F, "IsNodeSupportedByDelegate",             (beta_one,)),
    Row("PAD",               1,    F, "IsPadOpSupported",         (constant(1), image_padding)),
    # RESHAPE is supported by Core ML 2 (iOS 12) only.
)
# fmt: on

TARGET = Target(
    "Apple's Neural Engine: TensorFlow Lite's Core ML delegate, iOS 13 or later",
    "tflite/delegates/coreml/coreml_delegate.mm, builders/, README.md; tflite/delegates/utils.cc",
    "float only; checked against the operator list, never run here",
    ROWS,
)
