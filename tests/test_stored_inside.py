"""The layers of a graph compute with the weights of a file for a while."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from tiny_files import WIDE, file_of, net

from export.proof.stored import Stored
from export.recipes import BY_NAME, RECIPES

UNTRAINED = [recipe.name for recipe in RECIPES if not recipe.training]


def zeroed():
    """The layers of `net` with all weights 0."""
    model = keras.models.clone_model(net())
    model.set_weights([np.zeros_like(each) for each in model.get_weights()])
    return model


@pytest.mark.parametrize("name", UNTRAINED)
def test_a_layer_computes_with_the_files_weights_and_then_with_its_own(name):
    """int8 stores the kernels of `net` exactly; biases are whole steps of 1e-4 or less there."""
    stored, model = Stored(file_of(name)), zeroed()
    for layer, right in zip(model.layers[1:], net().layers[1:], strict=True):
        with stored.inside(layer) as has_weights:
            assert has_weights is True
            for found, wanted in zip(layer.get_weights(), right.get_weights(), strict=True):
                exact = wanted.ndim == 4 and BY_NAME[name].weights != "float16"
                np.testing.assert_allclose(found, wanted, atol=1e-7 if exact else 5e-4)
        assert not any(each.any() for each in layer.get_weights())


def test_a_layer_gets_its_weights_back_after_an_error():
    layer = zeroed().get_layer("wide")
    with pytest.raises(ZeroDivisionError), Stored(file_of("float32")).inside(layer):
        raise ZeroDivisionError
    assert not any(each.any() for each in layer.get_weights())


def test_layers_that_have_no_weights_in_a_file():
    stored, model = Stored(file_of("float32")), zeroed()
    other = keras.layers.Conv2D(4, 1, name="other")
    other.build((1, 4, 4, 3))
    kept = other.get_weights()
    for layer in (model.layers[0], keras.layers.ReLU(name="wide"), other):
        with stored.inside(layer) as has_weights:
            assert has_weights is False
    for found, wanted in zip(other.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_layer_without_a_bias_gets_none():
    """The file has one, or neither has."""
    layer = keras.layers.Conv2D(WIDE, 1, use_bias=False, name="first")
    layer.build((1, 4, 4, 3))
    stored = Stored(file_of("float32"))
    for inputs in (3, 2):
        stored.files["first"] = stored.files["first"]._replace(
            inputs=stored.files["first"].inputs[:inputs]
        )
        with stored.inside(layer) as has_weights:
            (kernel,) = layer.get_weights()
            assert has_weights is True
            np.testing.assert_array_equal(kernel, net().get_layer("first").get_weights()[0])


def test_a_bias_that_the_file_leaves_out_stays():
    stored, layer = Stored(file_of("float32")), zeroed().get_layer("first")
    layer.set_weights([layer.get_weights()[0], np.full(WIDE, 7.0)])
    stored.files["first"] = stored.files["first"]._replace(inputs=stored.files["first"].inputs[:2])
    with stored.inside(layer):
        assert (layer.get_weights()[1] == 7).all() and layer.get_weights()[0].any()
