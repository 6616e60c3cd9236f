"""Keras and its backend: a quiet start, seeds, the presence of a GPU."""

from functools import cache

from files import quiet


@cache
def start():
    """The module keras. TensorFlow's C++ code logs to stderr before it can be told not to."""
    with quiet():
        import keras

        has_gpu()
    return keras


@cache
def has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and the backend, and makes TensorFlow deterministic to the bit."""
    keras = start()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def trace_every_shape(model) -> None:
    """Makes TensorFlow keep a graph for each shape of a batch, in training and in prediction.

    Keras replaces the first graph by one for all shapes as soon as it sees a second; the two differ
    in the last bit, so that the weights would depend on where a training was resumed.
    """
    if start().backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for name in ("train", "predict"):
        step = getattr(model, f"{name}_step")
        step = tf.function(step, autograph=False, jit_compile=model.jit_compile)
        setattr(model, f"{name}_function", lambda batches, step=step: step(next(iter(batches))))
