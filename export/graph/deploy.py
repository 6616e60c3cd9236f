"""The deploy graph: the same function as the trained model, in operators that phones support.

Batch norm is folded into the convolution before it, CReLU and deconvolutions are lowered, and the
batch size is fixed to 1. The graph is built from the rows of the preset with another set of layer
functions (`DeployOps`), and its weights are computed from the trained layers of the same names.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cli import Refusal, one_of
from export.graph.layers import tiny_layers
from segnet import blocks
from segnet.build import build
from segnet.rows import Preset, Sep, Up

# Equivalent forms. Those of the deconvolution are the fastest first, in every arithmetic; those of
# CReLU differ by less than two runs do (docs/results.md).
CRELU = ("signs", "mirrored", "depthwise")
DECONV = ("depth_to_space", "transpose_conv", "late_bias")


class Lowering(NamedTuple):
    """How CReLU and the deconvolutions are written in TFLite operators.

    crelu: "signs", relu(concat(x, x) * signs); "mirrored", one convolution with the filters and
    their negatives; "depthwise", the signs as a depthwise 1x1 convolution.
    deconv: "depth_to_space", a convolution to 4C channels and DEPTH_TO_SPACE, with padding that is
    cropped afterwards if the kernel is 4; "transpose_conv", TRANSPOSE_CONV; "late_bias", the same
    with bias and ReLU in one ADD after the next concatenation. TRANSPOSE_CONV with a fused ReLU is
    version 4, which GPU accelerators do not support; with a bias 3, which Core ML does not.
    """

    crelu: str = CRELU[0]
    deconv: str = DECONV[0]

    @property
    def name(self) -> str:
        return f"{self.crelu}+{self.deconv}"


def lowering(name: str) -> Lowering:
    """The lowering of this name, as "signs+depth_to_space". Raises Refusal."""
    known = {Lowering(c, d).name: Lowering(c, d) for c in CRELU for d in DECONV}
    return known[one_of(name, known, "lowering")]


DEFAULT = Lowering()


def has_crelu(preset: Preset) -> bool:
    """Whether the forms of CReLU differ: a norm after the concatenation requires "mirrored"."""
    encoder = [row for row in preset.encoder if isinstance(row, Sep)]
    decoder = [row for row in preset.decoder if isinstance(row, Up)]
    return any(r.crelu and r.norm == "before" for r in encoder) or any(r.crelu for r in decoder)


def deploy(model, preset, size, classes, lowering=DEFAULT, k=None, batch=1):
    """The deploy graph of a trained Keras 3 model: (1, H, W, 3) to logits (1, H, W, classes).

    k: keras, or tf_keras for tools that do not support Keras 3. batch: None leaves it open.
    """
    if k is None:
        import keras as k
    ops = DeployOps(model, lowering)
    graph = build(k, preset, size, classes, ops, batch)
    for name, weights in ops.weights.items():
        graph.get_layer(name).set_weights(weights)
    return graph


@dataclass
class DeployOps:
    """The layer functions of `segnet.blocks` for deployment; collects the folded weights."""

    model: object
    lowering: Lowering
    weights: dict = field(default_factory=dict)
    positive: dict = field(default_factory=dict)  # id -> tensor known to be >= 0
    pending: dict = field(default_factory=dict)  # id -> (tensor, bias) without bias and ReLU yet

    def norm(self, name, channels):
        """Scale and offset of the batch norm after layer `name`; without one, 1 and its bias."""
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

    def conv(self, k, x, name, out, kernel=1, stride=1, dilation=1, norm="bn", relu=True):
        layer = k.layers.Conv2D(
            out, kernel, stride, "same", dilation_rate=dilation, activation=act(relu), name=name
        )
        return self.folded(layer, x, out, relu)

    def grouped(self, k, x, name, out, stride=1):
        layer = k.layers.Conv2D(out, 3, stride, "same", groups=out, activation="relu", name=name)
        return self.folded(layer, x, out, True)

    def folded(self, layer, x, out, relu):
        """A convolution of `out` channels with the batch norm after it folded into it."""
        scale, offset = self.norm(layer.name, out)
        self.store(layer.name, self.kernel(layer.name) * scale, offset)
        return self.apply(layer, x, relu)

    def apply(self, layer, x, relu):
        """layer(x), recorded as >= 0 if `relu`."""
        if id(x) in self.pending:
            raise unfit(
                f"no concatenation comes between {layer.name} and the deconvolution before it"
            )
        y = layer(x)
        if relu:
            self.positive[id(y)] = y  # keeps the tensor alive, so that its id stays unique
        return y

    def depthwise(self, k, x, name, stride=1, dilation=1, kernel=3, relu=True):
        scale, offset = self.norm(name, x.shape[-1])
        self.store(name, self.kernel(name) * scale[:, None], offset)
        layer = k.layers.DepthwiseConv2D(
            kernel, stride, "same", dilation_rate=dilation, activation=act(relu), name=name
        )
        return self.apply(layer, x, relu)

    def asymmetric(self, k, x, name, stride=1, dilation=1):
        """The sum of the three kernels as one, aligned as padding aligns them (ACNet, 2019)."""
        y = self.depthwise(k, x, name, stride, dilation)
        kernel, bias = self.weights[name]
        # With stride 2, "same" pads even sides only at their end.
        centre = 1 if stride == 1 else 0
        for end, (height, width) in blocks.ASYMMETRIC.items():
            scale, offset = self.norm(name + end, x.shape[-1])
            top, left = (0 if side == 3 else centre for side in (height, width))
            part = self.kernel(name + end) * scale[:, None]
            kernel[top : top + height, left : left + width] += np.float32(part)
            bias += np.float32(offset)
        return y

    def crelu_conv(self, k, x, name, out, norm):
        if norm == "after":  # each half has its own norm
            scale, offset = self.norm(f"{name}_crelu", out)
            return self.mirrored(k, x, name, out, scale, offset, [-1, 1])
        if self.lowering.crelu == "mirrored":
            scale, offset = self.norm(name, out // 2)
            both = np.concatenate([offset, -offset])
            return self.mirrored(k, x, name, out, np.tile(scale, 2), both, [1, -1])
        half = self.conv(k, x, name, out // 2, relu=False)
        pair = k.layers.Concatenate(name=f"{name}_crelu")([half, half])
        if self.lowering.crelu == "signs":
            return self.apply(tiny_layers(k)["Signs"](name=f"{name}_crelu_relu"), pair, True)
        signs = np.repeat([1.0, -1.0], out // 2)[None, None, :, None]
        self.store(f"{name}_signs", signs, np.zeros(out))
        layer = k.layers.DepthwiseConv2D(1, activation="relu", name=f"{name}_signs")
        return self.apply(layer, pair, True)

    def mirrored(self, k, x, name, out, scale, offset, signs):
        kernel = self.kernel(name)
        self.store(name, np.concatenate([sign * kernel for sign in signs], -1) * scale, offset)
        return self.apply(k.layers.Conv2D(out, 1, activation="relu", name=name), x, True)

    def deconv(self, k, x, name, out, kernel, norm="bn", relu=True):
        scale, offset = self.norm(name, out)
        weights = self.kernel(name) * scale[:, None]  # (kernel, kernel, out, in)
        if self.lowering.deconv == "depth_to_space":
            self.store(name, subpixel(weights), np.tile(offset, 4))
            return self.windows(k, x, name, out, kernel // 2, relu)
        if self.lowering.deconv == "late_bias":
            return self.late(k, x, name, weights, offset, norm, relu)
        self.store(name, weights, offset)
        layer = k.layers.Conv2DTranspose(out, kernel, 2, "same", activation=act(relu), name=name)
        return self.apply(layer, x, relu)

    def windows(self, k, x, name, out, side, relu):
        """A side x side convolution to 4 * out channels, depth to space, and a crop.

        The convolution visits each window of x padded by `side - 1` once and computes four output
        pixels (`subpixel`).
        """
        border, positive = side - 1, id(x) in self.positive
        if border:
            x = self.apply(k.layers.ZeroPadding2D(border, name=f"{name}_pad"), x, positive)
        # ReLU commutes with depth to space, so that it can be fused into the convolution.
        layer = k.layers.Conv2D(4 * out, side, activation=act(relu), name=name)
        x = self.apply(layer, x, relu)
        x = self.apply(tiny_layers(k)["DepthToSpace"](name=f"{name}_space"), x, relu)
        if border:
            x = self.apply(k.layers.Cropping2D(border, name=f"{name}_crop"), x, relu)
        return x

    def late(self, k, x, name, weights, offset, norm, relu):
        """A deconvolution without bias and ReLU, which follow after the next concatenation.

        No concatenation follows the last one: its bias is the weight of an input channel of ones.
        """
        kernel, _, out, _ = weights.shape
        if norm == "bias":
            weights, x = self.ones(k, x, name, weights, offset)
        self.weights[name] = [np.float32(weights)]
        layer = k.layers.Conv2DTranspose(out, kernel, 2, "same", use_bias=False, name=name)
        x = self.apply(layer, x, False)
        if relu:
            self.pending[id(x)] = (x, offset)
        return x

    def ones(self, k, x, name, weights, offset):
        """(weights with one more input channel, x with that channel, which is 1 everywhere)."""
        channels = x.shape[-1]
        self.store(f"{name}_ones", np.zeros((1, 1, channels, 1)), np.ones(1))
        one = self.apply(k.layers.Conv2D(1, 1, activation="relu", name=f"{name}_ones"), x, True)
        # Each output pixel depends on one tap of kernel 2, or one of the inner four of kernel 4.
        taps = np.zeros((*weights.shape[:3], 1))
        side = weights.shape[0]
        inner = slice(side // 2 - 1, side // 2 + 1)
        taps[inner, inner, :, 0] = offset
        x = k.layers.Concatenate(name=f"{name}_bias")([x, one])
        return np.concatenate([weights, taps], -1), x

    def concat(self, k, tensors, name):
        x = k.layers.Concatenate(name=name)(tensors)
        if not any(id(tensor) in self.pending for tensor in tensors):
            if all(id(tensor) in self.positive for tensor in tensors):
                self.positive[id(x)] = x
            return x
        biases = []
        for tensor in tensors:  # relu(concat(a, b)) is concat(relu(a), b) only where b >= 0
            if id(tensor) not in self.pending and id(tensor) not in self.positive:
                raise unfit(f"an input of {name} may be negative")
            _, bias = self.pending.get(id(tensor), (None, np.zeros(tensor.shape[-1])))
            biases.append(bias)
        self.weights[f"{name}_relu"] = [np.float32(np.concatenate(biases))]
        return self.apply(tiny_layers(k)["LateBias"](name=f"{name}_relu"), x, True)

    def add(self, k, tensors, name, relu=False):
        if any(id(tensor) in self.pending for tensor in tensors):
            raise unfit(f"{name} adds instead of concatenating")
        x = k.layers.Add(name=name)(tensors)
        return self.apply(k.layers.ReLU(name=f"{name}_relu"), x, True) if relu else x

    def max_pool(self, k, x, name, kernel):
        layer = k.layers.MaxPooling2D(kernel, 1, "same", name=name)
        return self.apply(layer, x, id(x) in self.positive)


def unfit(why: str) -> Refusal:
    return Refusal(f"late_bias cannot lower this network: {why}. Choose another --lower")


def act(relu: bool) -> str | None:
    return "relu" if relu else None


def subpixel(weights):
    """The weights of a stride-2 deconvolution for a convolution followed by depth to space.

    (2n, 2n, out, in) to (n, n, in, 4 * out). Rows y to y + n - 1 of the padded input give rows 2y
    and 2y + 1 of the output before it is cropped: input row y + i adds to row 2y + d by tap
    d + 2 (n - 1 - i). Each tap is used once. A convolution of the unpadded input, to the four
    output pixels of each input pixel, would need 2n - 1 rows, some of them zeros.
    """
    side, _, out, cin = weights.shape
    half = side // 2
    taps = weights.reshape(half, 2, half, 2, out, cin)[::-1, :, ::-1]
    return taps.transpose(0, 2, 5, 1, 3, 4).reshape(half, half, cin, 4 * out)
