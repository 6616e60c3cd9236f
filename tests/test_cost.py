"""Costs against the published counts and against Keras."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal
from segnet import cost, rows

# docs of the published networks: preset, input side, learnable, MMAC
PUBLISHED = [
    ("mobileseg160", 160, 14_284_096, 1033.5),
    ("mobileseg80_crelu", 80, 899_776, 46.7),
    ("mobileseg80_concat", 80, 709_952, 46.2),
    ("mobileseg80_sum", 80, 699_328, 44.0),
    ("course160", 160, 3_730_240, 286.4),
]


@pytest.mark.parametrize("name, side, parameters, mmac", PUBLISHED)
def test_published(name, side, parameters, mmac):
    whole = cost.total(cost.stages(rows.preset(name), (side, side), 3))
    assert whole.parameters == parameters
    assert round(whole.macs / 1e6, 1) == mmac


@pytest.mark.parametrize("name", rows.PRESETS)
def test_parameters_equal_keras(name):
    import keras

    from segnet.build import build

    preset = rows.preset(name)
    size = (preset.stride * 2, preset.stride * 3)
    model = build(keras, preset, size, 5)
    counted = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert cost.total(cost.stages(preset, size, 5)).parameters == counted
    assert model.output_shape == (None, *size, 5)


def test_separable_against_5x5():
    """5x5x3x256 on 12x12 without padding, 8x8 out: 1,228,800 against 53,952 (4.39 %)."""
    plain = cost.conv(64, 3, 256, 5)
    assert (plain.macs, plain.parameters) == (1_228_800, 19_200)
    separable = cost.conv(64, 3, 3, 5, groups=3) + cost.conv(64, 3, 256)
    assert (separable.macs, separable.parameters) == (53_952, 843)
    assert round(100 * separable.macs / plain.macs, 2) == 4.39


def test_refusals():
    with pytest.raises(Refusal, match="type --size 96 96"):
        cost.stages(rows.preset("base"), (100, 100), 3)
    with pytest.raises(Refusal, match="at least 2"):
        cost.stages(rows.preset("base"), (96, 96), 1)
    with pytest.raises(Refusal, match="Did you mean base"):
        rows.preset("bass")
