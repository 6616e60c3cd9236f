"""Keras and what runs below it: started without its greetings, seeded, asked for a GPU."""

from functools import cache

from files import quiet


@cache
def start():
    """The module keras. TensorFlow's C++ greets on stderr before anybody can ask it not to."""
    with quiet():
        import keras

        has_gpu()
    return keras


@cache
def has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and the backend, and has TensorFlow compute the same bits every time."""
    keras = start()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
