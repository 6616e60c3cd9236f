"""A small network whose masks are known, for tests of python -m export try."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from functools import cache

import numpy as np

import cli

RED, OVER_RED = (200, 0, 0), (221, 30, 30)  # 200 / 2 + 242 / 2; 0 / 2 + 61 // 2: see COLOURS
COLOURS = [[0, 0, 0], [242, 61, 61]]  # hue 0, saturation 0.75, value 0.95: 255 * 0.95 * (1 or 0.25)


@cache
def convolution(kernel=(0, 1), bias=(0, -0.5), activation=None):
    """A .tflite of 8x8 pixels whose channels are red times kernel plus bias."""
    import keras

    from export.graph.convert import to_tflite

    image = keras.Input((8, 8, 3), batch_size=1)
    layer = keras.layers.Conv2D(len(bias), 1, activation=activation)
    graph = keras.Model(image, layer(image))
    weights = np.zeros((1, 1, 3, len(bias)), np.float32)
    weights[0, 0, 0] = kernel
    layer.set_weights([weights, np.float32(bias)])
    return to_tflite(graph)


@cache
def named():
    """A .tflite with metadata whose class is "red" where red is above 191, else "rest"."""
    from export.tflite.metadata import add_metadata

    return add_metadata(convolution(), ["rest", "red"])


def half_red(height=8, width=8):
    """The right half is red: exactly the pixels of class 1 where the halves are whole pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = RED
    return image


def tried(*words):
    """The exit code of python -m export try."""
    from export.trial.command import run

    return cli.outcome(lambda: run([str(word) for word in words]))
