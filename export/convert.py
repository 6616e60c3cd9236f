"""A deploy graph to a flatbuffer of builtin operators."""

import contextlib
import io


def to_tflite(graph) -> bytes:
    """A Keras model with static shapes to the bytes of a float32 .tflite."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(graph)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    with contextlib.redirect_stdout(io.StringIO()):  # it lists every variable
        return converter.convert()
