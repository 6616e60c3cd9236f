"""A .tflite of four small layers in each recipe, and copies of it with one tensor changed."""

import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from export.recipes import BY_NAME
from export.tflite.inspect import operators, parse
from export.tflite.pack import pack

WIDE = 32  # channels: a 1x1 convolution of them has 1024 weights, the fewest of dynamic8's int8
STEP = 1 / 128  # of the weights: those of each channel are n steps, the largest 127


@cache
def net():
    """Convolution first, depthwise depth, convolution wide and deconvolution last, with 3 classes.

    Every weight is a whole number of steps, so that int8 files store it exactly.
    """
    import keras

    layer, rng = keras.layers, np.random.default_rng(0)
    image = keras.Input((4, 4, 3), batch_size=1)
    x = layer.Conv2D(WIDE, 1, activation="relu", name="first")(image)
    x = layer.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    x = layer.Conv2D(WIDE, 1, activation="relu", name="wide")(x)
    model = keras.Model(image, layer.Conv2DTranspose(3, 2, 2, name="last")(x))
    for each in model.layers[1:]:
        kernel, bias = each.get_weights()
        each.set_weights(
            [STEP * steps(each.name, kernel.shape, rng), rng.normal(0, 0.1, bias.shape)]
        )
    return model


def steps(name, shape, rng):
    """Whole numbers from -126 to 126, and one 127 in each channel."""
    found = rng.integers(-126, 127, shape)
    axes = {"depth": (2, 3), "last": (2,)}.get(name, (3,))  # of the channels
    others = [axis for axis in range(4) if axis not in axes]
    flat = np.moveaxis(found, others, (0, 1, 2)[: len(others)])
    flat[(0,) * len(others)] = 127
    return np.moveaxis(flat, (0, 1, 2)[: len(others)], others)


def images(count=8):
    """(N, 4, 4, 3) float32 in [-1, 1]; both ends occur, so that a byte stands for a byte."""
    found = np.random.default_rng(1).uniform(-1, 1, (count, 4, 4, 3)).astype(np.float32)
    found[:, 0, 0], found[:, 0, 1] = -1, 1
    return found


@cache
def file_of(recipe):
    """The .tflite of `net`."""
    from export.graph.convert import to_tflite

    return to_tflite(net(), BY_NAME[recipe], images() if BY_NAME[recipe].calibrated else None)


def changed(content, layer, change, at=None):
    """The file after change(tensor, buffer) of an input of a layer, or of its output without at."""
    tree = parse(content)
    (graph,) = tree.subgraphs
    (node,) = [node for node, step in zip(graph.operators, operators(content), strict=True)
               if step.layer == layer and step.name not in ("QUANTIZE", "DEQUANTIZE")]  # fmt: skip
    tensor = graph.tensors[node.outputs[0] if at is None else node.inputs[at]]
    change(tensor, tree.buffers[tensor.buffer])
    return pack(tree)


def values(change, dtype):
    """A change of a tensor's values: change(values), in place or with a result."""

    def changes(tensor, buffer):
        data = np.array(buffer.data).view(dtype).copy()
        new = change(data)
        buffer.data = (data if new is None else new).view(np.uint8)

    return changes


def put(index, add):
    """Adds to one value."""

    def change(data):
        data[index] += add

    return change
