"""Costs against published counts and against Keras."""

import itertools
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal
from segnet import cost, presets, rows

ROOT = Path(__file__).parent.parent
# From the docs of the published networks: preset, input side, trainable parameters, MMAC.
PUBLISHED = [
    ("mobileseg160", 160, 14_284_096, 1033.5),
    ("mobileseg80_crelu", 80, 899_776, 46.7),
    ("mobileseg80_concat", 80, 709_952, 46.2),
    ("mobileseg80_sum", 80, 699_328, 44.0),
    ("course160", 160, 3_730_240, 286.4),
]


@pytest.mark.parametrize("name, side, parameters, mmac", PUBLISHED)
def test_published_costs(name, side, parameters, mmac):
    whole = cost.total(cost.stages(presets.preset(name), (side, side), 3))
    assert whole.parameters == parameters
    assert round(whole.macs / 1e6, 1) == mmac


@pytest.mark.parametrize("name", presets.PRESETS)
def test_parameters_equal_keras(name):
    import keras

    from segnet.build import build

    preset = presets.preset(name)
    size = (preset.stride * 2, preset.stride * 3)
    model = build(keras, preset, size, 5)
    counted = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert cost.total(cost.stages(preset, size, 5)).parameters == counted
    assert model.output_shape == (None, *size, 5)


def test_more_than_16_classes_take_a_smaller_kernel():
    """deconv5 reads 32x32 logits: 16 x 16^2 weights for 16 classes, 4 x 17^2 for 17."""
    macs = [cost.stages(presets.preset("nano"), (64, 64), n)["deconv5"].macs for n in (16, 17)]
    assert macs == [16 * 16 * 16 * 32 * 32, 4 * 17 * 17 * 32 * 32]
    for classes, kernel in ((16, 4), (17, 2)):
        assert rows.fitted(rows.BASE.decoder[-1], classes)[1:3] == (classes, kernel)
    assert rows.fitted(rows.MOBILESEG160.decoder[-1], 17).kernel == 4  # published: unchanged


def test_separable_against_5x5():
    """5x5x3x256 on 12x12 pixels without padding, 8x8 out: 1,228,800 against 53,952 (4.39 %)."""
    plain = cost.conv(64, 3, 256, 5)
    assert (plain.macs, plain.parameters) == (1_228_800, 19_200)
    separable = cost.conv(64, 3, 3, 5, groups=3) + cost.conv(64, 3, 256)
    assert (separable.macs, separable.parameters) == (53_952, 843)
    assert round(100 * separable.macs / plain.macs, 2) == 4.39


def branches(cin, *chains):
    """Multiply-accumulates per pixel of a context row. chains: of (channels, kernel) pairs."""
    steps = tuple(tuple(rows.Step(*step) for step in chain) for chain in chains)
    out = sum(chain[-1].out for chain in steps)
    return cost.context(rows.Context("context", out, steps), 1, cin).macs


def test_googlenet_3a():
    """Inception 3a without its pool projection: 387,072 weights, or 157,184 with reductions."""
    assert branches(192, [(64, 1)], [(128, 3)], [(32, 5)]) == 387_072
    reduced = [(64, 1)], [(96, 1), (128, 3)], [(16, 1), (32, 5)]
    assert branches(192, *reduced) == 157_184


def test_resnet_bottleneck():
    """3x3 on 256 channels, 589,824 per pixel, is 8.47 times 256-64-64-256, 69,632."""
    plain, bottleneck = branches(256, [(256, 3)]), branches(256, [(64, 1), (64, 3), (256, 1)])
    assert (plain, bottleneck) == (589_824, 69_632)
    assert round(plain / bottleneck, 2) == 8.47


def test_factorised_kernels():
    """From n to n channels: two 3x3 are 18/25 of a 5x5, three 27/49 of a 7x7, 1x7 + 7x1 14/49."""
    plain = {side: branches(7, [(7, side)]) for side in (3, 5, 7)}
    assert Fraction(plain[5], plain[3]) == Fraction(25, 9)
    assert Fraction(branches(7, [(7, 3), (7, 3)]), plain[5]) == Fraction(18, 25)
    assert Fraction(branches(7, [(7, 3)] * 3), plain[7]) == Fraction(27, 49)
    assert Fraction(branches(7, [(7, (1, 7)), (7, (7, 1))]), plain[7]) == Fraction(14, 49)


@pytest.mark.parametrize(("channels", "counts", "ratio"), [
    (1, (10, 8), 1.25), (100, (90_100, 60_200), 1.497),
])  # fmt: skip
def test_asymmetric_kernels(channels, counts, ratio):
    """Parameters with bias: n (9 n + 1) of 3x3 against 2 n (3 n + 1) of 1x3 and 3x1 together."""
    square = cost.conv(1, channels, channels, 3, extra=1)
    strips = [cost.conv(1, channels, channels, kernel, extra=1) for kernel in ((1, 3), (3, 1))]
    found = square.parameters, sum(strip.parameters for strip in strips)
    assert found == counts and round(found[0] / found[1], 3) == ratio


@pytest.mark.parametrize(("out", "kernel"), [(64, 3), (256, 3), (128, 5)])
def test_mobilenet_ratio(out, kernel):
    """A separable convolution costs 1 / N + 1 / K^2 of a plain one."""
    separable = cost.conv(100, 32, 32, kernel, groups=32) + cost.conv(100, 32, out)
    ratio = Fraction(separable.macs, cost.conv(100, 32, out, kernel).macs)
    assert ratio == Fraction(1, out) + Fraction(1, kernel**2)


def patch_net(layers):
    """Parameters of (in, out, kernel) layers with bias and batch norm, and of a 10-class head."""
    body = sum(cost.conv(1, *layer, extra=3).parameters for layer in layers)
    return body + cost.conv(1, 48, 10, extra=1).parameters


def test_dilation_article():
    """Four layers of 16, 24, 32, 48 channels; a dilated 3x3 counts as a 3x3."""
    widths = [(3, 16), (16, 24), (24, 32), (32, 48)]
    dilated = patch_net([(*pair, 3) for pair in widths])
    large = patch_net([(*pair, kernel) for pair, kernel in zip(widths, (3, 5, 7, 9), strict=True)])
    assert (dilated, large) == (25_474, 172_930)
    assert math.ceil(large * 0.15) == 25_940
    # The layout of the cascade is not published. Ten 3x3 layers have the receptive field of kernels
    # 3, 5, 7 and 9, 21 pixels; 3, 2, 2 and 3 of them per width are within 5 % of the published sum.
    channels = [3] + [16] * 3 + [24] * 2 + [32] * 2 + [48] * 3
    cascade = patch_net([(*pair, 3) for pair in itertools.pairwise(channels)])
    assert cascade == pytest.approx(86_404, rel=0.05)


def test_stages_add_up_and_bytes_by_hand():
    """`tiny` at 32x32: conv1 writes 16x16x16 floats, deconv5 with its 2x2 kernel 32x32x3."""
    costs = cost.stages(presets.preset("tiny"), (32, 32), 3)
    assert costs["conv1"] == (3 * 3 * 3 * 16 + 2 * 16, 27 * 16 * 16 * 16, 16 * 16 * 16 * 4)
    assert costs["deconv5"] == (2 * 2 * 16 * 3 + 3, 2 * 2 * 16 * 3 * 16 * 16, 32 * 32 * 3 * 4)
    for field in cost.Cost._fields:
        parts = sum(getattr(stage, field) for stage in costs.values())
        assert parts == getattr(cost.total(costs), field)


def test_command_prints_the_cost_of_the_rows():
    args = "-m segnet cost --preset course160 --size 160 160 --classes 3 --json".split()
    end = subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, check=True)
    found = json.loads(end.stdout)
    assert (found["preset"], found["size"], found["classes"]) == ("course160", [160, 160], 3)
    assert found["parameters"] == 3_730_240
    for field in ("parameters", "macs", "activation_bytes"):
        assert sum(stage[field] for stage in found["stages"]) == found[field]
    assert found["stages"][0]["name"] == "conv1"


def test_refusals():
    with pytest.raises(Refusal, match="type --size 96 96"):
        cost.stages(presets.preset("base"), (100, 100), 3)
    with pytest.raises(Refusal, match="at least 2"):
        cost.stages(presets.preset("base"), (96, 96), 1)
    with pytest.raises(Refusal, match="Did you mean base"):
        presets.preset("bass")
