"""A tf_keras copy of a trained model, for tools that do not support Keras 3."""

import numpy as np

from segnet.backend import start_tf_keras
from segnet.build import build
from segnet.rows import Preset

TOLERANCE = 1e-5  # of the largest logit; in float32 the two models differ by 6e-8 to 4e-6


def twin(model, preset: Preset, size: tuple[int, int], classes: int):
    """The tf_keras copy of `model`, a Keras 3 model of `preset`.

    Weights are matched by layer name. Raises ArithmeticError if the outputs on a random image
    differ.
    """
    other = build(start_tf_keras(), preset, size, classes)
    for layer in model.layers:
        other.get_layer(layer.name).set_weights(layer.get_weights())
    image = np.random.default_rng(0).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    wanted, found = (np.asarray(net(image, training=False)) for net in (model, other))
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    if not error <= TOLERANCE:
        raise ArithmeticError(f"the tf_keras copy differs by {error:.1e} of the largest logit")
    return other
