"""Checkpoints: every variable and the state of a loop in one file, renamed into place."""

import io
import json
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


def read_checkpoint(folder: Path, name: str = "last") -> tuple[list[np.ndarray], dict] | None:
    """What `save_checkpoint` wrote, or None. Raises Refusal when it is damaged."""
    path = checkpoint_file(folder, name)
    if not path.exists():
        return None
    try:
        with np.load(path) as file:
            state = json.loads(str(file["state"]))
            return [file[name] for name in sorted(file.files) if name != "state"], state
    except Exception as error:  # zip, NumPy and JSON each have their own
        raise Refusal(
            f"{path} is damaged ({type(error).__name__}). Delete it to begin this run again"
        ) from error
