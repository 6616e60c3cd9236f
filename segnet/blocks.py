"""The operations that rows are built with: short functions from tensor to tensor.

`k` is keras or tf_keras: the same calls build a model in either. Tensors are (N, H, W, C).
"""

from functools import cache

import numpy as np

NORM_EPSILON = 1e-3  # as in keras.applications' MobileNet, whose weights are used
NORM_MOMENTUM = 0.95  # 0.99 lags for hundreds of steps on small datasets
# The kernels that an asymmetric block adds to its 3x3, by the suffix of their layers' names.
ASYMMETRIC = {"_1x3": (1, 3), "_3x1": (3, 1)}


@cache
def negate_layer(k) -> type:
    """The layer y = -x, as a class of `k`."""

    class Negate(k.layers.Layer):
        def call(self, x):
            return -x

    return Negate


@cache
def norm_layer(k) -> type:
    """Batch norm as a class of `k`; with TensorFlow it calls the fused kernel.

    Keras 3 composes it of a dozen operators, which take four times as long on a CPU (LOG.md).
    """
    keras_norm = k.layers.BatchNormalization
    if not hasattr(k, "ops") or k.backend.backend() != "tensorflow":
        return keras_norm
    from tensorflow.raw_ops import FusedBatchNormV3 as fused

    class BatchNormalization(keras_norm):
        """For (N, H, W, C); computes the same function and statistics as Keras' layer."""

        def call(self, x, training=None, mask=None):
            training = bool(training and self.trainable)
            given = ([], []) if training else (self.moving_mean, self.moving_variance)
            y, mean, variance, *_ = fused(
                x=x, scale=self.gamma, offset=self.beta, mean=given[0], variance=given[1],
                epsilon=self.epsilon, is_training=training,
            )  # fmt: skip
            if training:
                count = k.ops.cast(k.ops.size(x) / x.shape[-1], "float32")
                biased = variance * (count - 1) / count  # the kernel returns the unbiased variance
                for moving, now in ((self.moving_mean, mean), (self.moving_variance, biased)):
                    moving.assign(moving * self.momentum + now * (1 - self.momentum))
            return y

    return BatchNormalization


def conv(k, x, name, out, kernel=1, stride=1, dilation=1, norm="bn", relu=True):
    """Convolution, norm, ReLU.

    kernel: side, or (h, w). norm: "bn" (batch norm), "bias" or "linear" (neither).
    """
    x = k.layers.Conv2D(
        out, kernel, stride, "same", dilation_rate=dilation, use_bias=norm == "bias", name=name,
        kernel_initializer="he_normal",
    )(x)  # fmt: skip
    return finish(k, x, name, norm, relu)


def grouped(k, x, name, out, stride=1):
    """Grouped 3x3 convolution with `out` groups, batch norm, ReLU."""
    x = k.layers.Conv2D(
        out, 3, stride, "same", groups=out, use_bias=False, name=name,
        kernel_initializer="he_normal",
    )(x)  # fmt: skip
    return finish(k, x, name, "bn", True)


def depthwise(k, x, name, stride=1, dilation=1, kernel=3, relu=True, gamma="ones"):
    """Depthwise convolution, batch norm, ReLU."""
    x = k.layers.DepthwiseConv2D(
        kernel, stride, "same", dilation_rate=dilation, use_bias=False, name=name,
        depthwise_initializer="he_normal",
    )(x)  # fmt: skip
    return finish(k, x, name, "bn", relu, gamma)


def asymmetric(k, x, name, stride=1, dilation=1):
    """Sum of depthwise 3x3, 1x3 and 3x1 convolutions, each with batch norm, then ReLU.

    The last two start at zero, so that pretrained 3x3 filters compute what they did.
    """
    parts = [depthwise(k, x, name, stride, dilation, relu=False)]
    for end, kernel in ASYMMETRIC.items():
        parts.append(depthwise(k, x, name + end, stride, dilation, kernel, False, "zeros"))
    return add(k, parts, f"{name}_sum", relu=True)


def deconv(k, x, name, out, kernel, norm="bn", relu=True):
    """Deconvolution with stride 2, norm, ReLU; norm: as in `conv`."""
    x = k.layers.Conv2DTranspose(
        out,
        kernel,
        2,
        "same",
        use_bias=norm == "bias",
        name=name,
        kernel_initializer=smooth_taps(k),
    )(x)
    return finish(k, x, name, norm, relu)


def smooth_taps(k):
    """Initialises a deconvolution of stride 2 as a 1x1 convolution followed by 2x upsampling.

    Kernel 2 upsamples by nearest neighbour, kernel 4 bilinearly, so that there is no checkerboard
    before training (Aitken et al. 2017, arXiv:1707.02937).
    """

    def initialise(shape, dtype=None, **_):
        side, _, out, cin = shape
        taps = np.float32({2: [1, 1], 4: [0.25, 0.75, 0.75, 0.25]}[side])
        weights = np.asarray(k.initializers.HeNormal()((1, 1, cin, out), dtype))[0, 0].T
        return np.multiply.outer(taps, taps)[..., None, None] * weights

    return initialise


def finish(k, x, name, norm, relu, gamma="ones"):
    if norm == "bn":
        x = norm_layer(k)(
            epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM, gamma_initializer=gamma,
            name=f"{name}_bn",
        )(x)  # fmt: skip
    return k.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def crelu_conv(k, x, name, out, norm):
    """1x1 convolution to out / 2 channels, then relu(concat(x, -x)).

    norm "before": batch norm between the convolution and the concat. "after": batch norm on the
    doubled tensor, whose negated half comes first, as published.
    """
    half = conv(k, x, name, out // 2, norm="bn" if norm == "before" else "linear", relu=False)
    negated = negate_layer(k)(name=f"{name}_negate")(half)
    pair = [half, negated] if norm == "before" else [negated, half]
    x = concat(k, pair, f"{name}_crelu")
    return finish(k, x, f"{name}_crelu", "bn" if norm == "after" else "linear", True)


def concat(k, tensors, name):
    return k.layers.Concatenate(name=name)(tensors)


def add(k, tensors, name, relu=False):
    return finish(k, k.layers.Add(name=name)(tensors), name, "linear", relu)


def max_pool(k, x, name, kernel):
    """Max pooling over kernel x kernel pixels, stride 1."""
    return k.layers.MaxPooling2D(kernel, 1, "same", name=name)(x)
