"""The deploy graph: the same function as the trained model, in what phone runtimes run whole.

Batch norm is folded into the convolution before it, CReLU and deconvolutions are lowered, the batch
is fixed to 1. The rows are spelt once more in another vocabulary (`Words`), and every weight is
computed from the trained layer of the same name.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from segnet.build import build

# How a deconvolution is written. Both are the same function; which is faster differs by its width.
LOWERINGS = ("depth_to_space", "transpose_conv")


@cache
def tiny_layers(k):
    """The two layers of the deploy graph that Keras lacks, as classes of `k`."""
    import tensorflow as tf

    class Signs(k.layers.Layer):
        """y = relu(x * [1, ..., 1, -1, ..., -1]): the sign flip and ReLU of CReLU in one MUL."""

        def call(self, x):
            half = x.shape[-1] // 2
            return tf.nn.relu(x * tf.constant([1.0] * half + [-1.0] * half, x.dtype))

    class DepthToSpace(k.layers.Layer):
        def call(self, x):
            return tf.nn.depth_to_space(x, 2)

        def compute_output_shape(self, shape):
            batch, height, width, channels = shape
            return (batch, height * 2, width * 2, channels // 4)

    return Signs, DepthToSpace


def deploy(model, preset, size, classes, lowering="depth_to_space"):
    """The deploy graph of a trained Keras 3 model: (1, H, W, 3) to logits (1, H, W, classes)."""
    import keras

    words = Words(model, lowering)
    graph = build(keras, preset, size, classes, words, batch=1)
    for name, weights in words.weights.items():
        graph.get_layer(name).set_weights(weights)
    return graph


@dataclass
class Words:
    """The vocabulary of `segnet.blocks`, spelt for deployment; collects the folded weights."""

    model: object
    lowering: str
    weights: dict = field(default_factory=dict)

    def norm(self, name, channels):
        """Scale and offset of the batch norm behind layer `name`; 1 and its bias without one."""
        names = {layer.name for layer in self.model.layers}
        if f"{name}_bn" in names:
            layer = self.model.get_layer(f"{name}_bn")
            gamma, beta, mean, variance = (np.float64(w) for w in layer.get_weights())
            scale = gamma / np.sqrt(variance + layer.epsilon)
            return scale, beta - mean * scale
        weights = self.model.get_layer(name).get_weights() if name in names else []
        return np.ones(channels), weights[1] if len(weights) > 1 else np.zeros(channels)

    def kernel(self, name):
        return np.float64(self.model.get_layer(name).get_weights()[0])

    def store(self, name, kernel, bias):
        self.weights[name] = [np.float32(kernel), np.float32(bias)]

    def conv(self, k, x, name, out, kernel=1, stride=1, groups=1, bias=False, norm=True, relu=True):
        scale, offset = self.norm(name, out)
        weights = self.kernel(name) * scale
        self.store(name, weights, offset)
        act = "relu" if relu else None
        return k.layers.Conv2D(
            out, kernel, stride, "same", groups=groups, activation=act, name=name
        )(x)

    def depthwise(self, k, x, name, stride=1, dilation=1):
        scale, offset = self.norm(name, x.shape[-1])
        self.store(name, self.kernel(name) * scale[:, None], offset)
        return k.layers.DepthwiseConv2D(
            3, stride, "same", dilation_rate=dilation, activation="relu", name=name
        )(x)

    def crelu_conv(self, k, x, name, out, norm):
        if norm == "before":  # relu(concat(x, x) * signs): one MUL with a fused ReLU
            half = self.conv(k, x, name, out // 2, relu=False)
            pair = k.layers.Concatenate(name=f"{name}_crelu")([half, half])
            return tiny_layers(k)[0](name=f"{name}_crelu_relu")(pair)
        # Each half has a norm of its own: fold both into a doubled, mirrored convolution.
        scale, offset = self.norm(f"{name}_crelu", out)
        kernel = self.kernel(name)
        self.store(name, np.concatenate([-kernel, kernel], -1) * scale, offset)
        return k.layers.Conv2D(out, 1, activation="relu", name=name)(x)

    def deconv(self, k, x, name, out, kernel, bias=False, norm=True, relu=True):
        scale, offset = self.norm(name, out)
        weights = self.kernel(name) * scale[:, None]  # (kernel, kernel, out, in)
        if self.lowering == "transpose_conv":
            self.store(name, weights, offset)
            return k.layers.Conv2DTranspose(
                out, kernel, 2, "same", activation="relu" if relu else None, name=name
            )(x)
        self.store(name, subpixel(weights), np.tile(offset, 4))
        side = 1 if kernel == 2 else 3
        # ReLU commutes with depth to space and fuses into the convolution.
        act = "relu" if relu else None
        x = k.layers.Conv2D(4 * out, side, padding="same", activation=act, name=name)(x)
        return tiny_layers(k)[1](name=f"{name}_space")(x)

    def concat(self, k, tensors, name):
        return k.layers.Concatenate(name=name)(tensors)

    def add(self, k, tensors, name):
        return k.layers.Add(name=name)(tensors)


def subpixel(weights):
    """A stride-2 deconvolution's weights as those of a convolution before depth to space.

    (2, 2, out, in) gives (1, 1, in, 4 * out); (4, 4, out, in), padded by 1 on every side, gives
    (3, 3, in, 4 * out). Output pixel 2y + dy of a kernel-4 deconvolution sums the input rows i with
    tap 2y + dy + 1 - 2i in 0..3, which are rows y + dy - 1 and y + dy.
    """
    side, _, out, cin = weights.shape
    if side == 2:
        return weights.transpose(3, 0, 1, 2).reshape(1, 1, cin, 4 * out)
    if side != 4:
        raise ValueError(f"deconvolution kernel {side}: only 2 and 4 can be lowered")
    kernel = np.zeros((3, 3, cin, 2, 2, out))
    taps = [(dy, dy + near, dy + 3 - 2 * (dy + near)) for dy in (0, 1) for near in (0, 1)]
    for dy, row, ty in taps:
        for dx, col, tx in taps:
            kernel[row, col, :, dy, dx] = weights[ty, tx].T
    return kernel.reshape(3, 3, cin, 4 * out)
