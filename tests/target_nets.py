"""Tiny networks, each with an operator that some target may not support, and their files."""

from functools import cache

import numpy as np
from test_inspect import converted


def steps():
    """(keras.layers, a layer that calls a function, tensorflow)."""
    import keras
    import tensorflow as tf

    class Step(keras.layers.Layer):
        def __init__(self, function, **options):
            super().__init__(**options)
            self.function = function

        def call(self, x):
            return self.function(x)

    return keras.layers, Step, tf


def deconv(h, bias=True, relu=False, name="up"):
    layer, _, _ = steps()
    act = "relu" if relu else None
    return layer.Conv2DTranspose(
        6, 2, 2, use_bias=bias, bias_initializer="ones", activation=act, name=name
    )(h)


def bias_after_concat(h):
    """One ADD with a fused ReLU after the concatenation is bias and ReLU of the deconvolutions."""
    layer, step, tf = steps()
    pair = layer.Concatenate(name="cat")([deconv(h, bias=False), deconv(h, bias=False, name="up2")])
    return step(lambda x: tf.nn.relu(x + tf.range(1.0, 13.0)), name="bias")(pair)


def relu_after_concat(h):
    layer, _, _ = steps()
    pair = layer.Concatenate(name="cat")([deconv(h), deconv(h, name="up2")])
    return layer.ReLU(name="relu")(pair)


def one(name, *args, **options):
    """A Keras layer of this class after the first convolution."""
    return lambda h: getattr(steps()[0], name)(*args, name=name.lower(), **options)(h)


def step(name, function):
    """A layer that calls function(tf, x)."""
    return lambda h: steps()[1](lambda x: function(steps()[2], x), name=name)(h)


NETS = {
    "plain": lambda h: h,
    "deconv": deconv,
    "deconv without bias": lambda h: deconv(h, bias=False),
    "deconv with relu": lambda h: deconv(h, relu=True),
    "bias after concat": bias_after_concat,
    "relu after concat": relu_after_concat,
    "depth to space": step("space", lambda tf, x: tf.nn.depth_to_space(x, 2)),
    "groups": one("Conv2D", 8, 1, groups=2),
    "depthwise": one("DepthwiseConv2D", 5),
    "softmax": one("Softmax"),
    "average": one("AveragePooling2D", 2),
    "mean": one("GlobalAveragePooling2D", keepdims=True),
    "mean without sides": one("GlobalAveragePooling2D"),
    "resize": step("resize", lambda tf, x: tf.image.resize(x, (16, 16))),
    "nearest": one("UpSampling2D", 2),
    "every second": step("every", lambda tf, x: x[:, ::2, ::2]),
    "pad": one("ZeroPadding2D", 1),
    "pad channels": step("pad", lambda tf, x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, 2]])),
    "six into one": lambda h: steps()[0].Concatenate(name="cat")(
        [steps()[0].Conv2D(1, 1, name=f"part{i}")(h) for i in range(6)]
    ),
    "flex": step("flex", lambda tf, x: tf.raw_ops.AdjustContrastv2(images=x, contrast_factor=2.0)),
}


@cache
def net(name, kind):
    """A network after a 3x3 convolution enc, which is wide if few weights would stay in float."""
    import keras

    keras.utils.set_random_seed(0)
    channels, out = (32, 64) if kind in ("dynamic8", "sparse") else (4, 4)
    x = keras.Input((8, 8, channels), batch_size=1, name="image")
    first = keras.layers.Conv2D(out, 3, padding="same", activation="relu", name="enc")
    model = keras.Model(x, NETS[name](first(x)))
    if kind == "sparse":
        kernel, bias = first.get_weights()
        first.set_weights([np.where(np.abs(kernel) < 0.9 * np.abs(kernel).max(), 0, kernel), bias])
    return converted(model, kind)
