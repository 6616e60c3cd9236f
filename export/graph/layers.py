"""Layers of the deploy graph that Keras does not have, and the order of layers."""

from functools import cache


@cache
def tiny_layers(k):
    """Name to class of these layers. k: keras or tf_keras."""
    import tensorflow as tf

    class Signs(k.layers.Layer):
        """y = relu(x * [1, ..., 1, -1, ..., -1]): the sign flip and ReLU of CReLU in one MUL."""

        def call(self, x):
            half = x.shape[-1] // 2
            return tf.nn.relu(x * tf.constant([1.0] * half + [-1.0] * half, x.dtype))

    class DepthToSpace(k.layers.Layer):
        def call(self, x):
            return tf.nn.depth_to_space(x, 2)

        def compute_output_shape(self, shape):
            batch, height, width, channels = shape
            return (batch, height * 2, width * 2, channels // 4)

    class LateBias(k.layers.Layer):
        """y = relu(x + bias): bias and ReLU after a concatenation, in one ADD."""

        def build(self, shape):
            self.bias = self.add_weight(name="bias", shape=(shape[-1],), initializer="zeros")

        def call(self, x):
            return tf.nn.relu(x + self.bias)

    return {"Signs": Signs, "DepthToSpace": DepthToSpace, "LateBias": LateBias}


def layers_before(layer) -> list:
    """The layers, of Keras or tf_keras, whose outputs are the inputs of `layer`, in order."""
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor._keras_history[0] for tensor in tensors]
