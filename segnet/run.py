"""The run folder: plan, manifest, weights, history, checkpoint; every file renamed into place."""

import dataclasses
import io
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cli import Refusal, beside, read_json, write_json
from segnet.plan import Plan

PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "grain")


def open_run(folder: Path, plan: Plan, dataset: dict) -> Path:
    """Makes the run folder, or checks that the one there is of the same plan and data."""
    folder = Path(folder)
    plan_file = folder / "plan.json"
    wanted = json.loads(json.dumps(dataclasses.asdict(plan)))
    if plan_file.exists():
        found = read_json(plan_file)
        other = [name for name in wanted if found.get(name) != wanted[name]]
        if other:
            pairs = ", ".join(f"{n} is {found.get(n)} there, {wanted[n]} here" for n in other)
            raise Refusal(f"{folder} is a run of another plan: {pairs}. Name a new --run")
        if read_json(folder / "manifest.json")["dataset"] != dataset:
            raise Refusal(f"{plan.data} has changed since {folder} began. Name a new --run")
        return folder
    if folder.is_dir() and any(folder.iterdir()):
        raise Refusal(f"{folder} is not empty and no run (no plan.json). Name a new --run")
    manifest = {
        "schema": 1,
        "command": ["python", *sys.argv],
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "machine": platform.machine(),
        "dataset": dataset,
    }
    write_json(folder / "manifest.json", manifest)
    write_json(plan_file, wanted)
    return folder


def read_run(folder: Path) -> tuple[Plan, dict]:
    """Plan and manifest of a run. Raises Refusal when `folder` is none."""
    folder = Path(folder)
    if not (folder / "plan.json").exists():
        raise Refusal(f"{folder} is no run: plan.json is missing. train.py --run makes one")
    return Plan(**read_json(folder / "plan.json")), read_json(folder / "manifest.json")


def load_run(folder: Path):
    """(model with the best weights, plan, manifest) of a run."""
    plan, manifest = read_run(folder)
    best = Path(folder) / "best.weights.h5"
    if not best.exists():
        raise Refusal(f"{best} is missing: the run has no finished epoch yet; train it first")
    import keras

    from segnet.build import build
    from segnet.rows import preset

    model = build(keras, preset(plan.preset), plan.size, len(manifest["dataset"]["classes"]))
    try:
        model.load_weights(best)
    except (OSError, ValueError, KeyError) as error:
        raise Refusal(f"{best} is damaged ({error}). Train a new run") from error
    return model, plan, manifest


def save_weights(model, path: Path) -> None:
    with beside(path) as part:
        try:
            model.save_weights(part)
        except RuntimeError as error:  # h5py's word for a write that failed
            raise OSError(str(error)) from error


def save_checkpoint(folder: Path, tensors: list[np.ndarray], state: dict) -> None:
    """Every variable of model and optimizer and the loop's state, in one file."""
    arrays = {f"v{number:05}": value for number, value in enumerate(tensors)}
    with beside(folder / "checkpoints" / "last.npz") as part:
        memory = io.BytesIO()
        np.savez(memory, state=json.dumps(state), **arrays)
        part.write_bytes(memory.getvalue())


def read_checkpoint(folder: Path) -> tuple[list[np.ndarray], dict] | None:
    """What `save_checkpoint` wrote, or None. Raises Refusal when it is damaged."""
    path = folder / "checkpoints" / "last.npz"
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
