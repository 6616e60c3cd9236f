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
