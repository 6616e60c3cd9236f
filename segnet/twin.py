"""The same rows in tf_keras, for the tools that know no Keras 3, with the weights of a model."""

import numpy as np

from segnet.build import build
from segnet.rows import Preset

TOLERANCE = 1e-5  # of the largest logit; the two differ by 6e-8 to 4e-6 in float32


def twin(model, preset: Preset, size: tuple[int, int], classes: int):
    """The tf_keras model that computes what `model`, a Keras 3 model of `preset`, computes.

    Weights go by layer name; that the functions are equal is checked on one random image.
    """
    import tf_keras

    other = build(tf_keras, preset, size, classes)
    for layer in model.layers:
        other.get_layer(layer.name).set_weights(layer.get_weights())
    image = np.random.default_rng(0).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    wanted, found = (np.asarray(net(image, training=False)) for net in (model, other))
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    if not error <= TOLERANCE:
        raise ArithmeticError(f"the tf_keras twin differs by {error:.1e} of the largest logit")
    return other
