"""Checkpoints: every variable and the state of a loop in one file, renamed into place."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cli import Refusal
from files import beside


def has_checkpoint(folder: Path) -> bool:
    return checkpoint_file(folder).exists()


def checkpoint_file(folder: Path, name: str = "last") -> Path:
    return Path(folder) / "checkpoints" / f"{name}.npz"


def save_checkpoint(folder: Path, tensors: list, state: dict, name: str = "last") -> None:
    """Every variable of model and optimizer and the loop's state, in one file."""
    arrays = {f"v{number:05}": value for number, value in enumerate(tensors)}
    with beside(checkpoint_file(folder, name)) as part:
        memory = io.BytesIO()
        np.savez(memory, state=json.dumps(state), **arrays)
        part.write_bytes(memory.getvalue())


def checkpoint_bytes(folder: Path, name: str = "last") -> bytes | None:
    """The content of the file, None if there is none."""
    path = checkpoint_file(folder, name)
    return path.read_bytes() if path.exists() else None


def read_checkpoint(
    folder: Path, name: str = "last", read: Callable = checkpoint_bytes
) -> tuple[list[np.ndarray], dict] | None:
    """What `save_checkpoint` wrote, or None. Raises Refusal when it is damaged.

    read(folder, name): the content of the file, None if there is none.
    """
    path, raw = checkpoint_file(folder, name), read(folder, name)
    if raw is None:
        return None
    try:
        with np.load(io.BytesIO(raw)) as file:  # which unpickles nothing
            state = json.loads(str(file["state"]))
            found = [file[name] for name in sorted(file.files) if name != "state"]
    except Exception as error:  # zip, NumPy and JSON each have their own
        raise damaged(path, type(error).__name__) from error
    if not isinstance(state, dict):
        raise damaged(path, "its state is no JSON object")
    return found, state


def damaged(path: Path, why: str) -> Refusal:
    return Refusal(f"{path} is damaged ({why}). Delete it to begin this run again")


def restore(
    folder: Path, variables: list, name: str = "last", read: Callable = checkpoint_bytes
) -> dict | None:
    """Puts a checkpoint into the variables of a model and its optimizer; returns the state.

    None if there is no checkpoint. read: see `read_checkpoint`. Raises Refusal when it is damaged
    or of another network.
    """
    saved = read_checkpoint(folder, name, read)
    if saved is None:
        return None
    tensors, state = saved
    if [kind(tensor) for tensor in tensors] != [kind(variable) for variable in variables]:
        raise Refusal(f"{checkpoint_file(folder, name)} is of another network. Name a new --run")
    for variable, value in zip(variables, tensors, strict=True):
        variable.assign(value)
    return state


def kind(tensor) -> tuple:
    """Shape and kind of numbers of an array, or of a variable of Keras or tf_keras.

    TensorFlow counts steps in 64 bits, JAX in 32.
    """
    name = getattr(tensor.dtype, "name", tensor.dtype)
    return tuple(tensor.shape), name.rstrip("0123456789") if "int" in name else name
