"""Building blocks from the literature (parallel branches, dilation, asymmetric kernels)."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from conftest import spread_norms

from cli import Refusal
from export.graph import equalise
from export.graph.convert import to_tflite
from export.graph.deploy import Lowering, deploy
from export.recipes import BY_NAME
from export.targets.xnnpack import run_faults
from export.tflite.runtime import Runtime
from segnet import cost, presets, rows
from segnet.build import build
from segnet.rows import Context, Conv, MaxPool, Preset, Sep, Step, Up
from segnet.twin import twin
from segnet.variants import CONTEXTS, VARIANTS, asymmetric, dilated, narrowed
from segnet.weights import copy_encoder

ROOT = Path(__file__).parent.parent
SIZE = (16, 24)
STEM = Conv("conv1", 64, 3, 2)
OPERATORS = {
    "ADD", "CONCATENATION", "CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE", "MAX_POOL_2D", "QUANTIZE",
}  # fmt: skip
LAST = (Up("deconv1", rows.CLASSES, 2, None, 0, 0, False, "bias"),)


def small(*encoder):
    return Preset((STEM, *encoder), LAST, "test")


# Pooling, 1xN and Nx1 in series, dilations, a sum, the input passed on: one file has them all.
SOME = ("inception_v3_series", "pyramid", "seven_series", "inception_naive")


def contexts():
    return small(*(narrowed(CONTEXTS[name][0], 8)._replace(name=name) for name in SOME))


def trained(preset, size=SIZE):
    """(model of `preset` whose batch norms are far from the identity, noise (4, H, W, 3))."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = build(keras, preset, size, 3)
    spread_norms(model, rng)
    return model, rng.uniform(-1, 1, (4, *size, 3)).astype(np.float32)


def error(found, wanted):
    return np.abs(np.asarray(found) - np.asarray(wanted)).max() / np.abs(wanted).max()


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize("name", CONTEXTS)
def test_context_channels_cost_and_deployment(name):
    row = narrowed(CONTEXTS[name][0], 8)
    assert len(row.branches) <= 5  # XNNPACK concatenates at most five
    model, noise = trained(small(row))
    assert model.get_layer("deconv1").input.shape[-1] == row.out
    assert cost.total(cost.stages(small(row), SIZE, 3)).parameters == parameters(model)
    found = deploy(model, small(row), SIZE, 3)(noise[:1])
    assert error(found, model(noise[:1], training=False)) < 1e-5


def test_branches_by_hand():
    """One pixel of value 2 in an image of zeros, through 1x1, pooling and the input itself."""
    row = Context("context", 5, ((Step(1, 1),), (MaxPool(3),), ()))
    model = build(keras, Preset((Conv("conv1", 2, 1, 1), row), (rows.Head("logits", 2, 1),), ""),
                  (3, 3), 2)  # fmt: skip
    for layer in ("conv1", "context_1_1"):
        kernel = model.get_layer(layer).get_weights()[0]
        model.get_layer(layer).set_weights([np.ones_like(kernel)])
    image = np.zeros((1, 3, 3, 3), np.float32)
    image[0, 0, 0] = 2  # conv1 sums 3 channels to 6; batch norm divides by sqrt(1 + 0.001)
    found = np.asarray(keras.Model(model.input, model.get_layer("logits").input)(image))[0]
    six = 6 / 1.001**0.5
    assert found[0, 0] == pytest.approx([2 * six / 1.001**0.5, six, six, six, six])
    assert found[1, 1] == pytest.approx([0, six, six, 0, 0])
    assert found[2, 2] == pytest.approx([0] * 5)


@pytest.mark.parametrize("recipe", ["float32", "int8"])
def test_exported_contexts_are_fully_delegated(recipe):
    preset = contexts()
    model, noise = trained(preset)
    graph = deploy(model, preset, SIZE, 3)
    calibration = None
    if recipe == "int8":
        found = equalise.ranges(deploy(model, preset, SIZE, 3, batch=None), noise)
        equalise.equalise(graph, found)
        calibration = noise
    content = to_tflite(graph, BY_NAME[recipe], calibration)
    runtime = Runtime(content)
    wanted = np.asarray(model(noise[:1], training=False))
    off = runtime(noise[:1]) - wanted
    assert np.sqrt((off**2).mean() / (wanted**2).mean()) < {"float32": 1e-4, "int8": 0.1}[recipe]
    found = runtime.partitioning()
    assert run_faults(content, found) == [] and found["partitions"] == 1
    assert set(found["outside"]) <= {"QUANTIZE"}  # of the input bytes
    assert found["ops"]["MAX_POOL_2D"] == 2 and found["ops"]["ADD"] == 1
    assert set(found["ops"]) <= OPERATORS  # ReLU is fused, dilation is an option of CONV_2D


def test_tf_keras_copy_of_contexts():
    model, _ = trained(contexts())
    assert type(twin(model, contexts(), SIZE, 3)).__module__.startswith("tf_keras")


def test_equalised_contexts_compute_the_same_function():
    preset = contexts()
    model, noise = trained(preset)
    graph = deploy(model, preset, SIZE, 3)
    wanted = np.asarray(graph(noise[:1]))
    equalise.equalise(graph, equalise.ranges(deploy(model, preset, SIZE, 3, batch=None), noise))
    assert error(graph(noise[:1]), wanted) < 1e-5


def test_late_bias_lowering_accepts_a_context_as_skip():
    """A concatenation of positive tensors is positive, so ReLU may move after the next one."""
    preset = Preset(
        (STEM, narrowed(CONTEXTS["inception_v1"][0], 8), Sep("conv2", 32, 2)),
        (Up("deconv1", 16, 2, "context", 0, 16, False, "bn"), LAST[0]._replace(name="deconv2")),
        "test",
    )
    model, noise = trained(preset)
    found = deploy(model, preset, SIZE, 3, Lowering(deconv="late_bias"))(noise[:1])
    assert error(found, model(noise[:1], training=False)) < 1e-5


def test_dilated_filters_keep_their_receptive_fields():
    """Two down-samplings are left out: every fourth pixel is one of the original network."""
    preset = presets.preset("tiny")
    model, noise = trained(preset, (64, 96))
    dense = build(keras, dilated(preset, 8, "test"), (64, 96), 3)
    encoders = []
    for net in (model, dense):
        first = next(layer for layer in net.layers if layer.name.startswith("deconv"))
        encoders.append(keras.Model(net.input, first.input))
    for layer in encoders[1].layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    wanted, found = (np.asarray(encoder(noise[:1])) for encoder in encoders)
    assert found.shape[1:3] == (8, 12) and wanted.shape[1:3] == (2, 3)
    # "same" padding with stride 2 pads at the end only: the first window is centred on pixel 1.
    assert error(found[:, 3::4, 3::4], wanted) < 1e-5
    assert [row.name for row in dilated(preset, 8, "").decoder] == ["deconv3", "deconv4", "deconv5"]


def test_dilations_of_mobilenet():
    encoder = dilated(presets.preset("base"), 4, "").encoder
    assert [row.dilation for row in encoder] == [1] * 5 + [2] * 2 + [4] * 6


STRIPED = (Sep("conv2", 32, 1), Sep("conv3", 32, 1, 2), Sep("conv4", 32, 2))
UPS = (LAST[0]._replace(out=8), LAST[0]._replace(name="deconv2"))


def test_asymmetric_kernels_are_merged_into_the_3x3():
    """With stride 1, with dilation, and with stride 2, where "same" padding shifts them."""
    plain = small(*STRIPED)._replace(decoder=UPS)
    preset = small(*(row._replace(asymmetric=True) for row in STRIPED))._replace(decoder=UPS)
    model, noise = trained(preset)
    graph = deploy(model, preset, SIZE, 3)
    assert error(graph(noise[:1]), model(noise[:1], training=False)) < 1e-5
    same = deploy(build(keras, plain, SIZE, 3), plain, SIZE, 3)
    assert [layer.name for layer in graph.layers] == [layer.name for layer in same.layers]
    ours, theirs = (cost.total(cost.stages(net, SIZE, 3)) for net in (preset, plain))
    assert ours[1:] == theirs[1:] and ours.parameters == parameters(model)
    assert ours.parameters - theirs.parameters == 2 * (3 + 2) * (64 + 32 + 32)


def test_asymmetric_kernels_start_at_zero():
    """With pretrained 3x3 filters the network first computes what it did without them."""
    plain = small(*STRIPED)._replace(decoder=UPS)
    preset = asymmetric(plain, "test")
    assert [row.asymmetric for row in preset.encoder[1:]] == [True, True, False]
    model, noise = trained(plain)
    other = build(keras, preset, SIZE, 3)
    for layer in model.layers:
        if layer.weights:
            other.get_layer(layer.name).set_weights(layer.get_weights())
    assert error(other(noise[:1]), model(noise[:1], training=False)) < 1e-5


def test_receptive_field_of_dense_dilated_is_127_pixels():
    model = build(keras, presets.preset("dense_dilated"), (129, 131), 2)
    for layer in model.layers:
        if layer.name.startswith(("conv", "logits")) and not layer.name.endswith(("_bn", "_relu")):
            kernel, *bias = layer.get_weights()
            layer.set_weights([np.abs(kernel), *bias])
    image = np.zeros((1, 129, 131, 3), np.float32)
    image[0, 64, 65] = 1
    seen = np.asarray(model(image))[0, ..., 0] > 0
    assert np.flatnonzero(seen.any(1)).tolist() == list(range(1, 128))
    assert np.flatnonzero(seen.any(0)).tolist() == list(range(2, 129))


def test_late_and_early_contexts_cost_the_same():
    """A quarter of the channels on 16 times the pixels. By hand: half of Inception 4c on 10x12."""
    found = {}
    for name in CONTEXTS:
        late, early = (presets.preset(f"base_{place}{name}") for place in ("", "early_"))
        costs = [cost.stages(net, (160, 192), 11)["context"].macs for net in (late, early)]
        assert costs[0] == costs[1]
        found[name] = costs[0]
    weights = 256 * (64 + 64 + 12 + 32) + 9 * 64 * 128 + 25 * 12 * 32
    assert found["inception_v1"] == 120 * weights


def test_encoder_weights_after_a_context():
    """Rows after it get their weights if the channels still match, and none if they do not."""
    rng = np.random.default_rng(0)
    source = {"conv1": [rng.normal(size=(3, 3, 3, 64))], "conv1_bn": rng.normal(size=(4, 64))}
    for number in (1, 2):
        source[f"conv_dw_{number}"] = [rng.normal(size=(3, 3, 64, 1))]
        source[f"conv_pw_{number}"] = [rng.normal(size=(1, 1, 64, 64))]
        for kind in ("dw", "pw"):
            source[f"conv_{kind}_{number}_bn"] = rng.normal(size=(4, 64))
    for name, wanted in (("bottleneck", "3 of 4"), ("inception_naive", "2 of 4")):
        row = narrowed(CONTEXTS[name][0], 8)
        preset = small(Sep("conv2", 64, 1), row, Sep("conv3", 64, 1))
        model = build(keras, preset, SIZE, 3)
        assert wanted in copy_encoder(model, preset, source, "test")
        last = model.get_layer("conv3_pw").get_weights()[0]
        assert np.array_equal(last, np.float32(source["conv_pw_2"][0])) == (name == "bottleneck")


def test_command_lists_presets_before_variants():
    end = subprocess.run(
        [sys.executable, "-m", "segnet", "presets"], cwd=ROOT, capture_output=True, text=True
    )
    family, variants = end.stdout.split("\n\nvariants of base")
    assert [line.split()[0] for line in family.splitlines()] == list(presets.PRESETS)
    assert [line.split()[0] for line in variants.splitlines()[1:]] == list(VARIANTS)
    assert all(name.startswith("base_") for name in VARIANTS)
    with pytest.raises(Refusal, match="Did you mean base_pyramid"):
        presets.preset("base_piramid")


def test_a_closed_pipe_leaves_no_traceback():
    command = f"{sys.executable} -m segnet presets | true; exit ${{PIPESTATUS[0]}}"
    end = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (end.returncode, end.stderr) in ((141, ""), (0, ""))  # 0: written before true ended


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_variant(name):
    """Cost, deployed function, and full delegation in float32 and int8."""
    preset = presets.preset(name)
    size = (preset.stride * 2, preset.stride * 2)
    model, noise = trained(preset, size)
    assert cost.total(cost.stages(preset, size, 3)).parameters == parameters(model)
    graph = deploy(model, preset, size, 3)
    assert error(graph(noise[:1]), model(noise[:1], training=False)) < 1e-5
    for recipe in ("float32", "int8"):
        content = to_tflite(graph, BY_NAME[recipe], noise if recipe == "int8" else None)
        found = Runtime(content).partitioning()
        assert run_faults(content, found) == [] and found["partitions"] == 1
