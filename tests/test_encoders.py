"""MobileNet v2 encoders: cost, deployment, tf_keras copy, fine-tuning for 8 bits."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from cli import Refusal
from export.graph.convert import to_tflite
from export.graph.deploy import DEFAULT, deploy
from export.recipes import BY_NAME
from export.tflite.runtime import Runtime
from segnet import cost
from segnet.build import build
from segnet.presets import preset
from segnet.rows import CLASSES, Preset, Up, mobilenet_v2
from segnet.twin import twin
from segnet.weights import load_encoder

SIZE, CLASS_COUNT = (32, 64), 3
LAST = (
    Up("deconv1", 8, 2, None, 0, 8, True, "bn"),
    Up("deconv2", CLASSES, 2, None, 0, 0, False, "bias"),
)
# Has a row with an expansion and one with a residual sum.
NET = Preset(mobilenet_v2(0.35)[:4], LAST, "test")
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, *SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    """(preset, a model of it whose batch norms are not the identity)."""
    preset, rng = NET, np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    model = build(keras, preset, SIZE, CLASS_COUNT)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return preset, model


def test_cost_counts_the_parameters_of_keras(net):
    preset, model = net
    counted = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert cost.total(cost.stages(preset, SIZE, CLASS_COUNT)).parameters == counted


def test_bottleneck_by_hand():
    """Sandler et al. 2018, table 1: h w d t (d + 9 + d) with d = 24 channels, expansion t = 6."""
    row = mobilenet_v2(1.0)[3]
    assert (row.mid, row.out, row.stride) == (144, 24, 1)
    assert cost.inverted(row, 56 * 56, 24).macs == 56 * 56 * 24 * 6 * (24 + 9 + 24)


def test_deploy_graph_and_tf_keras_copy_are_equal(net):
    preset, model = net
    wanted = np.asarray(model(IMAGES[:1], training=False))
    graph = deploy(model, preset, SIZE, CLASS_COUNT)
    assert np.abs(np.asarray(graph(IMAGES[:1])) - wanted).max() < 1e-5 * np.abs(wanted).max()
    twin(model, preset, SIZE, CLASS_COUNT)  # raises if it differs


def test_files_are_fully_delegated(net):
    preset, model = net
    graph = deploy(model, preset, SIZE, CLASS_COUNT, DEFAULT)
    delegated = {
        recipe: Runtime(to_tflite(graph, BY_NAME[recipe], calibration)).partitioning()["partitions"]
        == 1
        for recipe, calibration in (("float32", None), ("int8", IMAGES))
    }
    assert delegated == {"float32": True, "int8": True}


def test_qat8_supports_inverted_residuals(net):
    import tf_keras

    from segnet.compress import quantised

    preset, model = net
    graph = deploy(model, preset, SIZE, CLASS_COUNT, DEFAULT, tf_keras, None)
    assert quantised(graph, None).output_shape == (None, *SIZE, CLASS_COUNT)


def test_qat8_refusal_names_the_layer():
    import tf_keras

    from segnet.compress import quantised

    image = tf_keras.Input((8, 8, 3), name="image")
    graph = tf_keras.Model(image, tf_keras.layers.Conv2D(2, 1, activation="tanh", name="a")(image))
    with pytest.raises(Refusal, match=r"layer a \(Conv2D, tanh\) does not support quantisation"):
        quantised(graph, None)


def test_no_published_weights():
    preset = NET._replace(pretrained=None)
    model = build(keras, preset, SIZE, CLASS_COUNT)
    with pytest.raises(Refusal, match="no published weights fit this preset's encoder"):
        load_encoder(model, preset, "imagenet")


def test_a_skip_from_inside_an_inverted_residual():
    """In v2 0.35, 32, 16 and 8 channels enter the blocks that expand them sixfold before a stride.

    The projections of the skips take these expansions, at strides of 16, 8 and 4.
    """
    model = build(keras, preset("small"), (64, 96), 2)
    kernels = [model.get_layer(f"deconv{n}_skip").get_weights()[0].shape for n in (1, 2, 3)]
    assert kernels == [(1, 1, 6 * 32, 32), (1, 1, 6 * 16, 24), (1, 1, 6 * 8, 16)]
    sides = [model.get_layer(f"deconv{n}_skip").output.shape[1:3] for n in (1, 2, 3)]
    assert sides == [(4, 6), (8, 12), (16, 24)]
