"""Other small segmentation networks, reimplemented from their papers, to be trained and timed.

Every `build(size, classes, batch)` returns a Keras model from (N, H, W, 3) RGB in [-1, 1] to logits
(N, H, W, classes) at the input size. Encoders are those of keras.applications, so that published
weights fit layer by layer. Batch norm has our momentum: with theirs of 0.999 the statistics would
lag in the short training runs that all networks share.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal, one_of
from segnet import blocks
from segnet.backend import start
from segnet.build import build as build_preset
from segnet.presets import preset
from segnet.weights import load_encoder, read_h5

STRIDE = 32  # of the coarsest features
POOLS = (1, 2, 3, 6)  # bins per side of Fast-SCNN's pooling pyramid


class Peer(NamedTuple):
    """weights: file name of the encoder weights, "" for a network trained from scratch.

    encoder: the preset whose encoder the network has, "" for an encoder of keras.applications.
    """

    name: str
    build: Callable
    weights: str
    source: str
    encoder: str = ""


def lraspp(size: tuple[int, int], classes: int, batch: int | None = None):
    """LR-ASPP on MobileNetV3-small 1.0, output stride 16, 128 channels.

    The gate pools the whole image, because the paper's window is tuned to inputs of 1024x2048. The
    last stage keeps its published width, so that the ImageNet weights fit.
    """
    k = start()
    net = encoder(
        k.applications.MobileNetV3Small, size, batch, "expanded_conv_8",
        ("expanded_conv_9", "expanded_conv_10"), include_preprocessing=False,
    )  # fmt: skip
    fine, coarse = net.get_layer("expanded_conv_2_add").output, net.output
    x = blocks.conv(k, coarse, "aspp", 128)
    gate = k.layers.GlobalAveragePooling2D(keepdims=True, name="gate_pool")(coarse)
    gate = k.layers.Conv2D(128, 1, use_bias=False, activation="sigmoid", name="gate")(gate)
    x = k.layers.Multiply(name="gated")([x, gate])
    x = resize(k, x, fine.shape[1:3])
    x = blocks.add(k, [logits(k, x, classes), logits(k, fine, classes, "logits_fine")], "sum")
    return k.Model(net.inputs[0], resize(k, x, size), name="lraspp")


def fast_scnn(size: tuple[int, int], classes: int, batch: int | None = None):
    """Fast-SCNN, table 1. The pooling pyramid has at most 1, 2, 3 and 6 bins per side."""
    k = start()
    image = k.Input((*size, 3), batch_size=batch, name="image")
    x = blocks.conv(k, image, "down1", 32, 3, 2)
    x = separable(k, x, "down2", 48, 2)
    fine = x = separable(k, x, "down3", 64, 2)
    for stage, (out, stride) in enumerate(((64, 2), (96, 2), (128, 1)), 1):
        for number in (1, 2, 3):
            x = bottleneck(k, x, f"bottleneck{stage}_{number}", out, stride if number == 1 else 1)
    x = resize(k, pyramid(k, x), fine.shape[1:3])
    x = blocks.depthwise(k, x, "fuse_dw", dilation=4)
    x = blocks.conv(k, x, "fuse_coarse", 128, relu=False)
    fine = blocks.conv(k, fine, "fuse_fine", 128, relu=False)
    x = k.layers.ReLU(name="fuse_relu")(blocks.add(k, [x, fine], "fuse"))
    for number in (1, 2):
        x = separable(k, x, f"classify{number}", 128)
    x = logits(k, x, classes)
    return k.Model(image, resize(k, x, size), name="fast_scnn")


def deeplab(size: tuple[int, int], classes: int, batch: int | None = None):
    """DeepLabV3 without ASPP, on MobileNetV2 1.0, output stride 16, 256 channels."""
    k = start()
    net = encoder(
        k.applications.MobileNetV2, size, batch, "block_13", ("block_14", "block_15", "block_16")
    )
    x = net.get_layer("block_16_project_BN").output
    pooled = k.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    pooled = resize(k, blocks.conv(k, pooled, "pooled", 256), x.shape[1:3])
    x = blocks.concat(k, [pooled, blocks.conv(k, x, "aspp", 256)], "join")
    x = logits(k, blocks.conv(k, x, "project", 256), classes)
    return k.Model(net.inputs[0], resize(k, x, size), name="deeplab")


def unet(size: tuple[int, int], classes: int, batch: int | None = None):
    """U-Net on MobileNetV2 1.0 as in segmentation_models: stages of 256-128-64-32-16 channels.

    Upsampling is bilinear; the original repeats pixels, which XNNPACK does not support.
    """
    k = start()
    net = encoder(k.applications.MobileNetV2, size, batch)
    skips = [net.get_layer(f"block_{n}_expand_relu").output for n in (13, 6, 3, 1)]
    x = net.output
    for stage, (out, skip) in enumerate(
        zip((256, 128, 64, 32, 16), (*skips, None), strict=True), 1
    ):
        x = resize(k, x, [2 * side for side in x.shape[1:3]])
        if skip is not None:
            x = blocks.concat(k, [x, skip], f"join{stage}")
        for number in (1, 2):
            x = blocks.conv(k, x, f"refine{stage}_{number}", out, 3)
    return k.Model(net.inputs[0], logits(k, x, classes, kernel=3), name="unet")


def one_step(size: tuple[int, int], classes: int, batch: int | None = None):
    """The encoder of `base`, logits at stride 32, one 64x64 deconvolution that starts bilinear."""
    k, image, x = coarse_logits(size, classes, batch)
    taps = 1 - np.abs(np.arange(64) - 31.5) / 32
    kernel = np.multiply.outer(np.multiply.outer(taps, taps), np.eye(classes))
    x = k.layers.Conv2DTranspose(
        classes, 64, 32, "same", kernel_initializer=k.initializers.Constant(kernel), name="deconv"
    )(x)
    return k.Model(image, x, name="one_step")


def bilinear(size: tuple[int, int], classes: int, batch: int | None = None):
    """The encoder of `base`, logits at stride 32, upsampled bilinearly."""
    k, image, x = coarse_logits(size, classes, batch)
    return k.Model(image, resize(k, x, size), name="bilinear")


def coarse_logits(size, classes, batch):
    """(keras, image, logits from the last features of the encoder of `base`)."""
    k = start()
    net = build_preset(k, preset("base"), size, classes, batch=batch)
    return k, net.inputs[0], logits(k, net.get_layer("deconv1").input, classes)


def encoder(maker, size, batch, unstrided: str = "", dilated: tuple[str, ...] = (), **options):
    """A network of keras.applications without its classifier, with random weights.

    unstrided: the block whose stride of 2 becomes 1. dilated: the blocks after it, whose depthwise
    convolutions get a dilation of 2, so that they keep the receptive field they were trained with.
    """
    k = start()
    image = k.Input((*size, 3), batch_size=batch, name="image")
    net = maker(
        input_shape=(*size, 3), input_tensor=image, include_top=False, weights=None, **options
    )

    def change(layer):
        config = layer.get_config()
        if isinstance(layer, k.layers.BatchNormalization):
            return blocks.norm_layer(k).from_config(config | {"momentum": blocks.NORM_MOMENTUM})
        if layer.name == f"{unstrided}_pad" or layer.name == f"{unstrided}_depthwise_pad":
            config["padding"] = ((0, 0), (0, 0))
        elif layer.name == f"{unstrided}_depthwise":
            config |= {"strides": (1, 1), "padding": "same"}
        elif layer.name in [f"{block}_depthwise" for block in dilated]:
            config["dilation_rate"] = (2, 2)
        return type(layer).from_config(config)

    return k.models.clone_model(net, clone_function=change)


def separable(k, x, name, out, stride=1):
    """Depthwise 3x3 and 1x1 convolution, each with batch norm; one ReLU after both."""
    x = depthwise(k, x, name, stride, relu=False)
    return blocks.conv(k, x, f"{name}_pw", out)


def depthwise(k, x, name, stride, relu):
    layer = k.layers.DepthwiseConv2D(
        3, stride, "same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_dw"
    )
    return blocks.finish(k, layer(x), f"{name}_dw", "bn", relu)


def bottleneck(k, x, name, out, stride):
    """MobileNetV2's inverted residual with an expansion factor of 6."""
    inside = blocks.conv(k, x, f"{name}_expand", 6 * x.shape[-1])
    inside = depthwise(k, inside, name, stride, relu=True)
    inside = blocks.conv(k, inside, f"{name}_project", out, relu=False)
    same = stride == 1 and x.shape[-1] == out
    return blocks.add(k, [x, inside], f"{name}_add") if same else inside


def pyramid(k, x):
    """PSPNet's pooling pyramid: four levels of a quarter of the channels, joined and projected.

    The pooling window is rounded up to whole pixels, so small inputs have fewer bins.
    """
    sides, channels = x.shape[1:3], x.shape[-1]
    levels = [x]
    for bins in POOLS:
        window = [-(-side // bins) for side in sides]
        y = k.layers.AveragePooling2D(window, window, "same", name=f"pool{bins}")(x)
        y = blocks.conv(k, y, f"pool{bins}_pw", channels // len(POOLS))
        levels.append(resize(k, y, sides))
    return blocks.conv(k, blocks.concat(k, levels, "pyramid"), "pyramid_pw", channels)


def logits(k, x, classes, name="logits", kernel=1):
    """Initialised small, because LR-ASPP computes logits from features that no norm scales."""
    small = k.initializers.TruncatedNormal(stddev=0.01)
    return k.layers.Conv2D(classes, kernel, padding="same", kernel_initializer=small, name=name)(x)


def resize(k, x, size):
    """Bilinear, to (H, W) in pixels.

    Keras' layer Resizing is not used, because after it layers run in training mode unless the
    caller chooses a mode.
    """
    return k.ops.image.resize(x, tuple(size), interpolation="bilinear")


def load(model, path: Path) -> str:
    """Loads a weights file of keras.applications into a peer's encoder; returns a line about it."""
    peer = next((peer for peer in PEERS.values() if peer.name == model.name and peer.encoder), None)
    if peer:
        return load_encoder(model, preset(peer.encoder), str(path))
    source = read_h5(path)
    layers = [layer for layer in model.layers if layer.name in source]
    if not layers:
        raise Refusal(
            f"no layer of {path} belongs to {model.name}. Name the weights file of its encoder"
        )
    for layer in layers:
        try:
            layer.set_weights(source[layer.name])
        except ValueError as error:
            raise Refusal(
                f"{path} does not fit: {layer.name}: {error}. Name the weights file of its encoder"
            ) from error
    return f"weights: {len(layers)} layers from {path}"


# fmt: off
PEERS = {
    peer.name: peer
    for peer in (
        Peer("lraspp_mnv3s", lraspp,   "mobilenet_v3_small_1.0_no_top.h5",
             "Howard et al. 2019, Searching for MobileNetV3, section 6.4, figure 10"),
        Peer("fast_scnn",    fast_scnn, "",
             "Poudel et al. 2019, Fast-SCNN, tables 1 to 3"),
        Peer("deeplab_mnv2", deeplab,  "mobilenet_v2_1.0_no_top.h5",
             "Sandler et al. 2018, MobileNetV2, section 6.3, table 7"),
        Peer("unet_mnv2",    unet,     "mobilenet_v2_1.0_no_top.h5",
             "Ronneberger et al. 2015, U-Net; decoder of segmentation_models"),
        Peer("one_step",     one_step, "mobilenet_v1_0.5_no_top.h5",
             "Long et al. 2015, FCN-32s: one step instead of deconvolutions of stride 2", "base"),
        Peer("bilinear",     bilinear, "mobilenet_v1_0.5_no_top.h5",
             "bilinear upsampling instead of deconvolutions", "base"),
    )
}
# fmt: on


def build(name: str, size: tuple[int, int], classes: int, batch: int | None = None):
    """The peer called `name`. Raises Refusal for an unknown name or an unsuitable size."""
    peer = PEERS[one_of(name, PEERS, "peer")]
    if any(side < STRIDE or side % STRIDE for side in size):
        raise Refusal(
            f"size {size[0]} {size[1]} is not a multiple of {STRIDE}, so the skip connections "
            f"would not match. Type --size with multiples of {STRIDE}"
        )
    return peer.build(tuple(size), classes, batch)
