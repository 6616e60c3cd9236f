"""The time of each operator of a file."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from export.graph.convert import to_tflite
from export.graph.deploy import deploy
from export.recipes import BY_NAME
from export.tflite.profile import TOP, monotone, profile
from segnet.build import build
from segnet.presets import preset


def test_monotone():
    """The third is less than the second, so both become their mean; likewise the last two."""
    assert monotone([1, 4, 2, 5, 3]).tolist() == [1, 3, 3, 4, 4]
    assert monotone([3, 2, 1]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8"])
def test_layers_of_the_network_and_their_shares(recipe):
    tiny = preset("tiny")
    graph = deploy(build(keras, tiny, (64, 64), 3), tiny, (64, 64), 3)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    row = BY_NAME[recipe]
    rows = profile(to_tflite(graph, row, noise if row.calibrated else None))
    assert len(rows) == TOP
    costs = [row["ms"] for row in rows]
    assert costs == sorted(costs, reverse=True) and costs[-1] >= 0
    assert 0 < sum(row["share"] for row in rows) <= 1 + 1e-6
    names = {layer.name for layer in graph.layers}
    assert {row["layer"].removeprefix("after ") for row in rows} <= {*names, "input", "output"}


def test_the_slowest_layer_is_found():
    """One convolution has a thousand times the multiply-accumulates of the other."""
    x = keras.Input((64, 64, 8), batch_size=1)
    y = keras.layers.Conv2D(8, 1, name="cheap")(x)
    net = keras.Model(x, keras.layers.Conv2D(256, 7, padding="same", name="expensive")(y))
    first = profile(to_tflite(net))[0]
    assert first["layer"] == "expensive" and first["share"] > 0.8
