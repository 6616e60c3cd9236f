"""Peers against their papers: parameters, multiply-accumulates, encoders, weights."""

import os
from functools import cache
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from benchmarks import peers
from benchmarks.lowering import randomise_norms
from cli import Refusal
from export.graph.convert import to_tflite
from export.recipes import BY_NAME
from export.tflite.inspect import macs
from export.tflite.runtime import Runtime

WEIGHTS = Path(__file__).parent.parent.parent / "shared" / "weights"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"{WEIGHTS} is missing")


@cache
def small(name):
    """The peer at 64x96, 3 classes, batch 1. Shared by tests, which may change its weights only."""
    return peers.build(name, (64, 96), 3, batch=1)


def learnable(model, norms=True):
    layers = [x for x in model.layers if norms or type(x).__name__ != "BatchNormalization"]
    return sum(int(np.prod(w.shape)) for layer in layers for w in layer.trainable_weights)


def multiplications(model):
    """Multiply-accumulates of one image in the convolutions.

    Weights without bias x pixels of the output, or of the input of a deconvolution.
    """
    total = 0
    for layer in model.layers:
        if "Conv" in type(layer).__name__:
            side = layer.input if "Transpose" in type(layer).__name__ else layer.output
            _, height, width, _ = side.shape
            total += int(np.prod(layer.kernel.shape)) * height * width
    return total


def test_deeplab_has_the_published_cost():
    """Sandler et al. 2018, table 7: 2.11 M parameters, 2.75 G multiply-adds.

    At 513x513, 21 classes, output stride 16, without the pyramid.
    """
    model = peers.deeplab((513, 513), 21)
    assert round(learnable(model) / 1e6, 2) == 2.11
    assert multiplications(model) / 1e9 == pytest.approx(2.75, rel=0.02)


def test_fast_scnn_has_the_published_parameters():
    """Poudel et al. 2019: 1.11 M with 19 classes, which is the count without batch norm.

    By hand from table 1: 3x3 convolution, two separable ones, bottlenecks (1x1 to six times the
    channels, depthwise 3x3, 1x1), pyramid (four 1x1 to 32 channels, one from 256 to 128), fusion,
    two separable convolutions, the classes.
    """
    down = 27 * 32 + (9 * 32 + 32 * 48) + (9 * 48 + 48 * 64)
    bottlenecks = sum(
        6 * cin * (cin + 9 + cout)
        for cin, cout in [(64, 64)] * 3 + [(64, 96)] + [(96, 96)] * 2 + [(96, 128)]
        + [(128, 128)] * 2
    )  # fmt: skip
    pyramid = 4 * 128 * 32 + 256 * 128
    fusion = 9 * 128 + 128 * 128 + 64 * 128
    classes = 2 * (9 * 128 + 128 * 128) + 128 * 19 + 19
    by_hand = down + bottlenecks + pyramid + fusion + classes
    assert learnable(peers.fast_scnn((256, 512), 19), norms=False) == by_hand
    assert round(by_hand / 1e6, 2) == 1.11


def test_unet_has_the_parameters_of_segmentation_models():
    """8,047,441 with one class and its mobilenetv2 encoder, moving averages included.

    Each further class adds a 3x3 convolution of 16 channels with bias.
    """
    assert small("unet_mnv2").count_params() == 8_047_441 + 2 * (9 * 16 + 1)


def test_lraspp_is_encoder_and_head():
    """939,120 in the encoder, as in its weights file, and the head.

    The head: from 576 channels, a 1x1 convolution with batch norm and a gate of 128 each; the class
    scores from these 128 and from the 24 channels at 1/8 of the resolution.
    """
    head = 576 * 128 + 4 * 128 + 576 * 128 + (128 + 1) * 3 + (24 + 1) * 3
    assert small("lraspp_mnv3s").count_params() == 939_120 + head


@pytest.mark.parametrize("name", peers.PEERS)
def test_logits_have_the_size_of_the_input(name):
    model = small(name)
    assert model.output_shape == (1, 64, 96, 3)
    norms = [x for x in model.layers if type(x).__name__ == "BatchNormalization"]
    assert {layer.momentum for layer in norms} == {0.95} and {x.epsilon for x in norms} == {1e-3}


def test_refusals():
    with pytest.raises(Refusal, match=r"no peer 'unet'\. Did you mean unet_mnv2\?"):
        peers.build("unet", (64, 64), 2)
    with pytest.raises(Refusal, match=r"size 80 64 is not a multiple of 32"):
        peers.build("fast_scnn", (80, 64), 2)


def test_dilated_features_are_those_of_the_strided_encoder():
    """Stride 1 with dilation computes what stride 2 did, and also the pixels in between.

    A stride-2 layer of keras.applications centres its kernel on the odd pixels of an even side.
    """
    size, rng = (64, 96), np.random.default_rng(0)
    model = small("deeplab_mnv2")
    plain = keras.applications.MobileNetV2((*size, 3), include_top=False, weights=None)
    for layer in model.layers:
        if layer.weights and layer.name in {x.name for x in plain.layers}:
            spread = [rng.uniform(0.2, 1.0, w.shape) - 0.5 * (w.ndim > 1) for w in layer.weights]
            layer.set_weights(spread)
            plain.get_layer(layer.name).set_weights(spread)
    image = rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    dense, strided = (
        np.asarray(keras.Model(net.inputs[0], net.get_layer("block_16_project_BN").output)(image))
        for net in (model, plain)
    )
    assert dense.shape == (1, 4, 6, 320) and strided.shape == (1, 2, 3, 320)
    assert np.abs(strided).max() > 0.1
    np.testing.assert_allclose(dense[:, 1::2, 1::2], strided, rtol=1e-3, atol=1e-4)


@needs_weights
@pytest.mark.parametrize(
    ("name", "maker", "at"),
    [
        pytest.param("unet_mnv2", "MobileNetV2", "out_relu", marks=pytest.mark.slow),
        ("lraspp_mnv3s", "MobileNetV3Small", "expanded_conv_7_add"),  # the last one with stride
    ],
)
def test_encoder_weights_as_keras_loads_them(name, maker, at):
    file = WEIGHTS / peers.PEERS[name].weights
    options = {"include_preprocessing": False} if maker == "MobileNetV3Small" else {}
    plain = getattr(keras.applications, maker)(
        (64, 96, 3), include_top=False, weights=None, **options
    )
    plain.load_weights(file)
    model = small(name)
    count = sum(1 for layer in plain.layers if layer.weights)
    assert peers.load(model, file) == f"weights: {count} layers from {file}"
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    one, other = (
        np.asarray(keras.Model(net.inputs[0], net.get_layer(at).output)(image))
        for net in (plain, model)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_one_step_starts_as_bilinear_upsampling():
    """Before training it upsamples the scores as `bilinear` does, except at the borders."""
    one, other = small("one_step"), small("bilinear")
    for layer in other.layers:
        if layer.weights:
            one.get_layer(layer.name).set_weights(layer.get_weights())
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    inside = np.s_[:, 16:-16, 16:-16]
    found, wanted = (np.asarray(net(image))[inside] for net in (one, other))
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


@needs_weights
def test_peer_with_our_encoder_loads_its_weights():
    model, file = small("bilinear"), WEIGHTS / peers.PEERS["bilinear"].weights
    assert peers.load(model, file) == f"weights: 13 of 13 encoder rows from {file}"


@needs_weights
def test_weights_of_another_encoder_are_refused():
    model = small("deeplab_mnv2")
    with pytest.raises(Refusal, match=r"no layer of .* belongs to deeplab"):
        peers.load(model, WEIGHTS / "mobilenet_v1_1.0_no_top.h5")
    with pytest.raises(Refusal, match="does not fit: Conv1"):
        peers.load(model, WEIGHTS / "mobilenet_v2_0.35_no_top.h5")


def check_file(name, recipe):
    """The partitioning of the peer's file, after checks of its outputs and its cost."""
    row, model = BY_NAME[recipe], small(name)
    # With initial weights the deepest networks give logits of 1e-12, which 8 bits round to 0.
    randomise_norms(model, np.random.default_rng(0))
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 96, 3)).astype(np.float32)
    content = to_tflite(model, row, image if row.calibrated else None)
    assert macs(content) == multiplications(model)
    runtime = Runtime(content)
    found, wanted = runtime(image), np.asarray(model(image))
    tolerance = 0.2 if row.calibrated else 1e-4
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()
    return runtime.partitioning()


def test_fast_scnn_is_fully_delegated():
    assert check_file("fast_scnn", "float32")["partitions"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["float32", "int8"])
@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_runs(name, recipe):
    """In int8, XNNPACK leaves out HARD_SWISH, AVERAGE_POOL_2D and unfused RELU, and nothing else.

    The RELU is that of the CReLU in our encoder, for which a peer has no lowering.
    """
    outside = set(check_file(name, recipe)["outside"])
    left = {"lraspp_mnv3s": "HARD_SWISH", "fast_scnn": "AVERAGE_POOL_2D", "one_step": "RELU",
            "bilinear": "RELU"}  # fmt: skip
    assert outside == ({"QUANTIZE", left.get(name, "QUANTIZE")} if recipe == "int8" else set())
