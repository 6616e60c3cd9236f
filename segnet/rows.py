"""The networks as data: named tuples, called rows, in channels and pixels.

A preset is a tuple of encoder rows and a tuple of decoder rows. Rows have the names of the
published layers; a decoder row names the encoder row whose output is its skip connection.
`CLASSES` is a placeholder for the number of classes of the dataset.
"""

from typing import NamedTuple

CLASSES = 0
FEW = 16


class Conv(NamedTuple):
    """Convolution, batch norm, ReLU."""

    name: str
    out: int
    kernel: int
    stride: int
    dilation: int = 1


class Sep(NamedTuple):
    """Depthwise 3x3, batch norm, ReLU; pointwise 1x1, batch norm, ReLU.

    out: channels of the row's output; with crelu the pointwise convolution computes half of them.
    mid: channels between the two convolutions; if fewer than the input has, the first one is a
    grouped convolution with `mid` groups.
    norm: whether the batch norm of the pointwise is "before" CReLU's concat or "after" it.
    asymmetric: a depthwise 1x3 and a 3x1 are added to the depthwise 3x3 and merged into it for
    deployment (ACNet, Ding et al. 2019); not for a grouped convolution.
    """

    name: str
    out: int
    stride: int
    dilation: int = 1
    crelu: bool = False
    norm: str = "before"
    mid: int | None = None
    asymmetric: bool = False


class Inverted(NamedTuple):
    """Inverted residual: 1x1 expansion, depthwise, linear 1x1; added to the input if shapes match.

    mid: channels after the expansion; if the input has as many, there is no expansion.
    """

    name: str
    mid: int
    out: int
    stride: int


class Step(NamedTuple):
    """Convolution, batch norm, ReLU in a branch. kernel: side, or (height, width)."""

    out: int
    kernel: int | tuple[int, int]
    dilation: int = 1


class MaxPool(NamedTuple):
    """Max pooling over kernel x kernel pixels in a branch, stride 1."""

    kernel: int


class Context(NamedTuple):
    """Parallel branches on one input, joined; stride 1.

    out: channels of the row's output. branches: each a tuple of `Step` and `MaxPool` in series; an
    empty one passes the input on. At most five: XNNPACK does not take a CONCATENATION of six.
    join: "concat", or "sum", where the last step of each branch is linear and ReLU follows the sum,
    as in ResNet.
    """

    name: str
    out: int
    branches: tuple
    join: str = "concat"

    @property
    def stride(self) -> int:
        return 1


class Up(NamedTuple):
    """Deconvolution with stride 2, joined with a skip, then refined by a separable convolution.

    skip: name of the encoder row of the same stride, NAME_expand for the expansion of the inverted
    residual NAME (before its stride), or None.
    project: channels of a 1x1 convolution on the skip, 0 for none.
    refine: channels of the separable refinement, 0 for none.
    norm: "bn" (batch norm, ReLU), "bias" (bias, linear), "linear" (neither; the published form).
    join: "concat" or "sum".
    many: kernel for more than FEW classes, None for the same kernel. The cost of a deconvolution
    from logits to logits grows with the square of the number of classes.
    """

    name: str
    out: int
    kernel: int
    skip: str | None
    project: int
    refine: int
    crelu: bool
    norm: str
    join: str = "concat"
    many: int | None = None


class Head(NamedTuple):
    """Convolution with bias to the logits: the decoder of an encoder without down-sampling."""

    name: str
    out: int
    kernel: int


def fitted(row: Up | Head, classes: int) -> Up | Head:
    """The decoder row for this number of classes."""
    if row.out != CLASSES:
        return row
    many = isinstance(row, Up) and classes > FEW and row.many
    return row._replace(out=classes, **({"kernel": row.many} if many else {}))


class Preset(NamedTuple):
    encoder: tuple
    decoder: tuple
    source: str
    # Network of keras.applications (name, width) that --weights imagenet loads, or None.
    pretrained: tuple[str, float] | None = ("MobileNet", 1.0)

    @property
    def stride(self) -> int:
        """Pixels of the input per pixel of the encoder's output, along a side."""
        stride = 1
        for row in self.encoder:
            stride *= row.stride
        return stride


# MobileNet v1 (Howard et al. 2017, table 1); the names are those of the published Caffe nets.
# fmt: off
TRUNK = (                      # out  stride
    Conv("conv1",                 32, 3, 2),
    Sep("conv2_1",                64, 1),
    Sep("conv2_2",               128, 2),
    Sep("conv3_1",               128, 1),
    Sep("conv3_2",               256, 2),
    Sep("conv4_1",               256, 1),
    Sep("conv4_2",               512, 2),
)
MIDDLE = tuple(Sep(f"conv5_{i}", 512, 1) for i in range(1, 6))
END = (
    Sep("conv5_6",              1024, 2),
    Sep("conv6",                1024, 1),
)
LIP80 = tuple(Sep(f"conv5_{i}",  256, 1, mid=256) for i in range(1, 5))

# MobileNet v2 (Sandler et al. 2018, table 2); the names are those of keras.applications.
#         t    c   n  s: expansion, channels, repetitions, stride of the first
BOTTLENECKS = (
        ( 1,  16,  1, 1),
        ( 6,  24,  2, 2),
        ( 6,  32,  3, 2),
        ( 6,  64,  4, 2),
        ( 6,  96,  3, 1),
        ( 6, 160,  3, 2),
        ( 6, 320,  1, 1),
)
# fmt: on


def divisible(channels: float) -> int:
    """The nearest multiple of 8 that is at least 8 and at least 0.9 `channels`, as published."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def mobilenet_v1(width: float, crelu=()) -> tuple:
    """Encoder rows at a width multiplier. crelu: names of the rows with CReLU."""
    rows = (row._replace(out=divisible(row.out * width)) for row in TRUNK + MIDDLE + END)
    return tuple(row._replace(crelu=True) if row.name in crelu else row for row in rows)


def mobilenet_v2(width: float) -> tuple:
    """Encoder rows at a width multiplier, without the last convolution."""
    rows = [Conv("Conv1", divisible(32 * width), 3, 2)]
    for expansion, channels, count, stride in BOTTLENECKS:
        for number in range(count):
            name = f"block_{len(rows) - 1}" if len(rows) > 1 else "expanded_conv"
            mid, out = expansion * rows[-1].out, divisible(channels * width)
            rows.append(Inverted(name, mid, out, 1 if number else stride))
    return tuple(rows)


# fmt: off
#                name                    out kernel   skip   project refine crelu   norm
MOBILESEG160 = Preset(TRUNK + MIDDLE + END, (
    Up("deconv1",                    512, 4, None,          0,     0, False, "linear"),
    Up("deconv2",                    256, 4, None,          0,     0, False, "linear"),
    Up("deconv3",                    128, 4, None,          0,     0, False, "linear"),
    Up("deconv4",                     32, 4, None,          0,     0, False, "linear"),
    Up("deconv5",                CLASSES, 4, None,          0,     0, False, "linear"),
), "MobileSegNet160 of yousan.ai's Caffe course")

MOBILESEG80_CRELU = Preset(TRUNK + (
    Sep("conv5_1", 512, 1, crelu=True, norm="after", mid=256),
    Sep("conv5_2", 1024, 1, crelu=True, norm="after", mid=256),
    Sep("conv5_3", 512, 1, crelu=True, norm="after", mid=256),
    Sep("conv5_4", 512, 1, crelu=True, norm="after", mid=256),
), (
    Up("deconv1",                     32, 4, None,          0,     0, False, "linear"),
    Up("deconv2",                     16, 4, None,          0,     0, False, "linear"),
    Up("deconv3",                      8, 4, None,          0,     0, False, "linear"),
    Up("deconv4",                CLASSES, 4, None,          0,     0, False, "linear"),
), "v2.1.4 of the same course: 80x80, CReLU")

MOBILESEG80_SUM = Preset(TRUNK + LIP80, (
    Up("deconv1",                     32, 4, "conv3_2",    32,     0, False, "linear", "sum"),
    Up("deconv2",                     16, 4, "conv2_2",    16,     0, False, "linear", "sum"),
    Up("deconv3",                      8, 4, "conv2_1",     8,     0, False, "linear", "sum"),
    Up("deconv4",                CLASSES, 4, None,          0,     0, False, "linear"),
), "v2.1.5 of the same course: 80x80, skips added")

MOBILESEG80_CONCAT = Preset(TRUNK + LIP80, (
    Up("deconv1",                     32, 4, "conv3_2",    32,     0, False, "linear"),
    Up("deconv2",                     16, 4, "conv2_2",    16,     0, False, "linear"),
    Up("deconv3",                      8, 4, "conv2_1",     8,     0, False, "linear"),
    Up("deconv4",                CLASSES, 4, None,          0,     0, False, "linear"),
), "v2.1.6 of the same course: 80x80, skips concatenated")

COURSE160 = Preset(TRUNK + tuple(
    row._replace(crelu=True, norm="after") for row in MIDDLE
) + END, (
    Up("deconv1",                     64, 4, "conv5_5",    64,     0, False, "linear"),
    Up("deconv2",                     32, 4, "conv3_2",    32,     0, False, "linear"),
    Up("deconv3",                     16, 4, "conv2_2",    16,     0, False, "linear"),
    Up("deconv4",                      8, 4, "conv1",       8,     0, False, "linear"),
    Up("deconv5",                CLASSES, 4, None,          0,     0, False, "linear"),
), "after the article of yousan.ai's course: five deconvolutions, CReLU")

# Ours. Features have many channels at low resolution; from 1/4 of the input's resolution on, the
# decoder upsamples logits, which costs little and does not lose rare classes (docs/results.md).
# `large` can afford features up to 1/2, which improve small objects. `base` has CReLU in its last
# rows only: in earlier ones it would discard pretrained filters. The last deconvolution has kernel
# 4: with kernel 2 its four phases are independent and edges look jagged. The deconvolutions of
# `large` are linear, as published; the other presets would lose more in int8 than they gain by it.
LOGITS = (
    Up("deconv4",                CLASSES, 2, None,          0,     0, False, "bias"),
    Up("deconv5",                CLASSES, 4, None,          0,     0, False, "bias", many=2),
)
NANO = Preset(mobilenet_v1(0.25), (
    Up("deconv1",                     64, 2, "conv5_5",     0,    64, False, "bn"),
    Up("deconv2",                     48, 2, "conv4_1",     0,    48, False, "bn"),
    Up("deconv3",                     32, 2, "conv3_1",     0,    32, False, "bn"),
    *LOGITS,
), "ours, MobileNet v1 0.25: the smallest and fastest", ("MobileNet", 0.25))

SMALL = Preset(mobilenet_v2(0.35), (
    Up("deconv1",                    128, 2, "block_13_expand", 32, 0, False, "bn"),
    Up("deconv2",                     96, 2, "block_6_expand", 24,  0, False, "bn"),
    Up("deconv3",                     64, 2, "block_3_expand", 16,  0, False, "bn"),
    *LOGITS,
), "ours, MobileNet v2 0.35", ("MobileNetV2", 0.35))

BASE = Preset(mobilenet_v1(0.5, ("conv5_5", "conv5_6"))[:-1], (
    Up("deconv1",                     64, 2, "conv5_5",    64,     0, False, "bn"),
    Up("deconv2",                     48, 2, "conv4_1",    32,     0, False, "bn"),
    Up("deconv3",                     32, 2, "conv3_1",     0,     0, False, "bn"),
    *LOGITS,
), "ours, MobileNet v1 0.5: the default", ("MobileNet", 0.5))

LARGE = Preset(mobilenet_v2(1.0), (
    Up("deconv1",                    160, 2, "block_13_expand", 64, 160, False, "bias"),
    Up("deconv2",                    128, 2, "block_6_expand", 48, 128, False, "bias"),
    Up("deconv3",                     64, 2, "block_3_expand", 32,  64, False, "bias"),
    Up("deconv4",                     32, 2, "block_1_expand", 16,  32, False, "bias"),
    LOGITS[-1],
), "ours, MobileNet v2 1.0: the most accurate", ("MobileNetV2", 1.0))

TINY = Preset((
    Conv("conv1",                 16, 3, 2),
    Sep("conv2",                  24, 2),
    Sep("conv3",                  48, 2, crelu=True),
    Sep("conv4",                  96, 2, crelu=True),
    Sep("conv5",                 128, 2, crelu=True),
), (
    Up("deconv1",                     48, 2, "conv4",       0,    48, False, "bn"),
    Up("deconv2",                     32, 2, "conv3",       0,    32, False, "bn"),
    Up("deconv3",                     16, 2, "conv2",       0,    16, True,  "bn"),
    Up("deconv4",                     16, 2, "conv1",       0,    16, False, "bn"),
    Up("deconv5",                CLASSES, 2, None,          0,     0, False, "bias"),
), "for tests and make demo", pretrained=None)

# No down-sampling; doubling dilations (Yu and Koltun 2016) give a receptive field of 127 pixels a
# side: 1 + 2 * (1 + 2 + 4 + 8 + 16 + 32).
DENSE_DILATED = Preset((   # out kernel stride dilation
    Conv("conv1",            16, 3, 1,  1),
    Conv("conv2",            16, 3, 1,  2),
    Conv("conv3",            16, 3, 1,  4),
    Conv("conv4",            16, 3, 1,  8),
    Conv("conv5",            16, 3, 1, 16),
    Conv("conv6",            16, 3, 1, 32),
), (
    Head("logits",      CLASSES, 1),
), "no down-sampling, dilations that double (Yu and Koltun 2016)", pretrained=None)
# fmt: on
