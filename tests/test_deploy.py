"""The deploy graph, and the file made of it, are the same function as the trained model."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from export.convert import to_tflite
from export.deploy import LOWERINGS, deploy
from export.runtime import Runtime
from segnet import rows
from segnet.build import build

# What phones run whole (export/gate.py); anything else in a file is a slip of the converter.
OPERATORS = {
    "ADD", "CONCATENATION", "CONV_2D", "DEPTH_TO_SPACE", "DEPTHWISE_CONV_2D", "MUL",
    "TRANSPOSE_CONV",
}  # fmt: skip


def trained(name):
    """A model of a preset whose batch norms are far from the identity, its size and a picture."""
    import keras

    preset, rng = rows.preset(name), np.random.default_rng(0)
    size = (preset.stride * 2, preset.stride * 2)
    keras.utils.set_random_seed(0)
    model = build(keras, preset, size, 3)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            spread = [rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            layer.set_weights([spread[0], spread[1] - 1, spread[2] - 1, spread[3]])
    return model, preset, size, rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", rows.PRESETS)
def test_same_function(name, lowering):
    model, preset, size, picture = trained(name)
    wanted = np.asarray(model(picture, training=False))
    found = np.asarray(deploy(model, preset, size, 3, lowering)(picture))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize(
    "name",
    [n if n == "tiny" else pytest.param(n, marks=pytest.mark.slow) for n in rows.PRESETS],
)
def test_same_function_in_the_file(name, lowering):
    model, preset, size, picture = trained(name)
    runtime = Runtime(to_tflite(deploy(model, preset, size, 3, lowering)))
    wanted = np.asarray(model(picture, training=False))
    assert np.abs(runtime(picture) - wanted).max() < 1e-4 * np.abs(wanted).max()
    found = runtime.anatomy()
    assert found["partitions"] == 1 and found["outside"] == {}
    assert set(found["ops"]) <= OPERATORS
