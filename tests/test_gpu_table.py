"""The table of LiteRT's GPU accelerator beside TensorFlow's own check for GPUs."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import spread_norms

from export.graph.convert import to_tflite
from export.graph.deploy import CRELU, DECONV, Lowering, deploy
from export.targets.audit import audit


@pytest.fixture(scope="module")
def model():
    import keras

    from segnet.build import build
    from segnet.presets import preset

    made = build(keras, preset("tiny"), (64, 64), 3)
    spread_norms(made, np.random.default_rng(0))  # else there are no biases
    return made, preset("tiny")


@pytest.mark.parametrize("form", CRELU)
@pytest.mark.parametrize("deconv", DECONV)
def test_what_the_table_supports_tensorflow_does_too(form, deconv, model, capfd):
    """On every lowering in float.

    TensorFlow's allows TRANSPOSE_CONV with a fused ReLU, which LiteRT's accelerator does not.
    """
    import tensorflow as tf

    content = to_tflite(deploy(*model, (64, 64), 3, Lowering(form, deconv)))
    tf.lite.experimental.Analyzer.analyze(model_content=content, gpu_compatibility=True)
    assert "Your model looks compatible with GPU delegate" in capfd.readouterr().out
    assert bool(audit(content, "gpu")) == (deconv == "transpose_conv")
