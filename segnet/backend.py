"""Keras and its backend: a quiet start, the configuration, seeds, the presence of a GPU."""

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from cli import Refusal, one_of
from files import quiet

# Those that a network can be trained with, and what installs them.
INSTALL = {
    "tensorflow": "pip install -r requirements.txt",
    "jax": "pip install -r requirements-gpu.txt, or pip install jax for processors alone",
}
BACKENDS = tuple(INSTALL)


@cache
def start():
    """The module keras. TensorFlow's C++ code logs to stderr before it can be told not to.

    Raises Refusal for a backend in KERAS_BACKEND that is not there.
    """
    installed()
    with quiet():
        keras = configured("keras")
        has_gpu()
    return keras


def installed() -> str:
    """The backend. Raises Refusal if it is none of ours, or its package is missing."""
    backend = one_of(os.environ["KERAS_BACKEND"], BACKENDS, "backend")
    if find_spec(backend) is None:
        raise Refusal(
            f"the backend is {backend}, but the package {backend} is not installed. "
            f"Type {INSTALL[backend]}"
        )
    return backend


@cache
def start_tf_keras():
    """The module tf_keras."""
    return configured("tf_keras")


def configured(name: str):
    """Imports keras or tf_keras as the networks need it, whatever the person's keras.json says."""
    path = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"
    try:
        k = import_module(name)
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        if not path.exists():
            raise
        raise Refusal(f"Keras does not accept {path}: {error}. Correct or delete it") from error
    k.backend.set_floatx("float32")
    k.backend.set_epsilon(1e-7)
    k.backend.set_image_data_format("channels_last")
    return k


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
