"""The deploy graph is the same function as the trained model."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from export.deploy import LOWERINGS, deploy
from segnet import rows
from segnet.build import build


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", rows.PRESETS)
def test_same_function(name, lowering):
    import keras

    preset, rng = rows.preset(name), np.random.default_rng(0)
    size = (preset.stride * 2, preset.stride * 2)
    keras.utils.set_random_seed(0)
    model = build(keras, preset, size, 3)
    for layer in model.layers:  # batch norms that are far from the identity
        if layer.name.endswith("_bn"):
            spread = [rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            layer.set_weights([spread[0], spread[1] - 1, spread[2] - 1, spread[3]])
    picture = rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    wanted = np.asarray(model(picture, training=False))
    found = np.asarray(deploy(model, preset, size, 3, lowering)(picture))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
