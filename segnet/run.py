"""The run folder: plan, manifest, weights. Files are renamed into place."""

import dataclasses
import hashlib
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from files import PART, beside, read_json, write_json
from segnet import __version__
from segnet.checkpoint import has_checkpoint
from segnet.hdf5 import shapes
from segnet.manifest import MANIFEST, read_manifest, record
from segnet.plan import Plan

BEST, LAST = "best.weights.h5", "last.weights.h5"
# What training writes, besides TensorBoard's own files.
FILES = (MANIFEST, "plan.json", "history.csv", BEST, LAST, "checkpoints/last.npz", "samples/*.png")
HDF5_OVERHEAD = 2048  # bytes an array; measured 1,870
PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "grain")


class Origin(NamedTuple):
    """What a run is made of. dataset: what the manifest keeps of it; teacher: the SHA-256 of its
    weights, "" for none; changes(before): what has changed since such a `dataset`, sentences."""

    dataset: dict
    teacher: str
    changes: Callable[[dict], list[str]]


def has_begun(folder: Path, plan: Plan, origin: Origin) -> bool:
    """Whether there is a run in `folder`. Raises Refusal for one of another plan or other data.

    Before its first checkpoint a run has nothing to lose, and another plan may replace it.
    """
    folder = Path(folder)
    if (folder / "plan.json").exists():
        if has_checkpoint(folder) or (folder / BEST).exists():
            compare(folder, as_json(plan), origin)
            return True
    elif folder.is_dir():
        parts = {path.name for path in folder.glob(f"{PART}*")}
        if strange := {path.name for path in folder.iterdir()} - {MANIFEST} - parts:
            raise Refusal(f"{folder} is not a run, it holds {min(strange)}. Name a new --run")
    return False


def as_json(plan: Plan) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(plan)))


def open_run(folder: Path, plan: Plan, origin: Origin) -> None:
    """Makes the run folder unless the run `has_begun`."""
    folder = Path(folder)
    sweep(folder)
    if has_begun(folder, plan, origin):
        return
    manifest = {
        "schema": 1,
        "command": ["python", *sys.argv],
        "versions": {
            "segnet": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
        "machine": platform.machine(),
        "dataset": origin.dataset,
        "teacher": origin.teacher,
    }
    write_json(folder / MANIFEST, manifest)  # first: plan.json makes a folder a run
    write_json(folder / "plan.json", as_json(plan))


def sweep(folder: Path, names: tuple[str, ...] = FILES) -> None:
    """Removes what a killed process left of files that it was writing."""
    for name in map(Path, names):
        for part in (folder / name.parent).glob(f"{PART}*-{name.name}"):
            part.unlink(missing_ok=True)


def compare(folder: Path, wanted: dict, origin: Origin) -> None:
    """Raises Refusal when the run in `folder` is of another plan, other data or another teacher."""
    other = differences(as_json(read_plan(folder)), wanted)
    if other:
        raise Refusal(f"{folder} is a run of another plan: {other}. Name a new --run")
    found = read_manifest(folder)
    if changes := origin.changes(found["dataset"]):
        raise Refusal(
            f"{wanted['data']} has changed since {folder} began: {'; '.join(changes)}. "
            "Restore it, or name a new --run"
        )
    if found.get("teacher", "") != origin.teacher:
        raise Refusal(
            f"the best weights of {wanted['teacher']} have changed since {folder} began to learn "
            "from them. Restore them, or name a new --run"
        )


def differences(found: dict, wanted: dict) -> str:
    """As a text, "" for none: "epochs is 5 there, 10 here"."""
    names = [name for name in wanted if found.get(name) != wanted[name]]
    return ", ".join(f"{name} is {found.get(name)} there, {wanted[name]} here" for name in names)


def read_run(folder: Path) -> tuple[Plan, dict]:
    """Plan and manifest of a run. Raises Refusal when `folder` is not a run."""
    folder = Path(folder)
    if not (folder / "plan.json").exists():
        raise Refusal(f"{folder} is not a run: plan.json is missing. train.py --run makes one")
    return read_plan(folder), read_manifest(folder)


def read_plan(folder: Path) -> Plan:
    """Options that plan.json leaves out have their defaults. Raises Refusal for unknown ones."""
    path = Path(folder) / "plan.json"
    found, options = read_json(path), {field.name for field in dataclasses.fields(Plan)}
    if not isinstance(found, dict) or "data" not in found:
        raise Refusal(f"{path} is damaged: it names no data. Restore it or delete its folder")
    if unknown := sorted(found.keys() - options):
        raise Refusal(
            f"{path} holds {unknown[0]!r}, which segnet {__version__} does not know. "
            f"Use the version that made it, {maker(folder)}, or train a new run"
        )
    try:
        return Plan(**found)
    except Refusal as refusal:
        raise Refusal(
            f"{path} is damaged, or of another version ({maker(folder)}): {refusal}. "
            "Restore it or delete its folder"
        ) from refusal


def maker(folder: Path) -> str:
    """The version that made a run, as its manifest says."""
    try:
        return f"segnet {read_manifest(folder)['versions'].get('segnet', '(not known)')}"
    except Refusal:
        return f"see {MANIFEST}"


def load_run(folder: Path, size: tuple[int, int] | None = None):
    """(model with the best weights, plan, manifest) of a run. size: if not its own."""
    plan, manifest = read_run(folder)
    best = best_file(folder)
    from segnet.backend import start
    from segnet.build import build

    model = build(start(), plan.network(), size or plan.size, len(manifest["dataset"]["classes"]))
    found, wanted = shapes(best), sorted(tuple(weight.shape) for weight in model.weights)
    misfit = f"its {len(found)} arrays are not the {len(wanted)} of this network"
    try:
        if found == wanted:
            model.load_weights(best)
            misfit = ""
    except (ValueError, KeyError) as error:  # the same shapes under other names
        misfit = str(error).partition(".")[0]
    if misfit:
        raise Refusal(
            f"{best} does not fit {plan.network_name} as segnet {__version__} builds it "
            f"({misfit}). Use the version that trained it, or train a new run"
        )
    for weight in model.weights:
        if not np.isfinite(np.asarray(weight)).all():
            raise Refusal(
                f"{best} is damaged: {weight.path} has values that are not finite. Restore it, or "
                "train a new run"
            )
    return model, plan, manifest


def best_file(folder: Path) -> Path:
    """The file of the best weights of a run. Raises Refusal if there is none."""
    path = Path(folder) / BEST
    if not path.exists():
        raise Refusal(f"{path} is missing: the run has no finished epoch yet; train it first")
    return path


def keep_best(model, folder: Path, epoch: int, miou: float) -> None:
    """Saves the weights of the best epoch so far, then records them in the manifest.

    A process that is killed in between has no checkpoint of this epoch yet: it is trained again.
    """
    path = Path(folder) / BEST
    save_weights(model, path)
    record(folder, best={"epoch": epoch, "miou": miou, "sha256": sha256(path)})


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def best_of(folder: Path, manifest: dict) -> dict:
    """{"epoch", "miou", "sha256"} of the best weights. Raises Refusal for any other file."""
    path, best = best_file(folder), manifest.get("best")
    if best is None:
        raise Refusal(
            f"{path.with_name(MANIFEST)} does not know {BEST}: an older version than {__version__} "
            "trained it, or the manifest was edited. Train a new run"
        )
    if sha256(path) != best["sha256"]:
        raise Refusal(
            f"{path} is not the file that training wrote: {MANIFEST} has another SHA-256. "
            "Restore it; if training was interrupted, run its command again"
        )
    return best


def epochs_done(folder: Path) -> int:
    """The number of epochs whose files are all written."""
    return read_manifest(folder).get("epochs_done", 0)


def unfinished(folder: Path, plan: Plan) -> str:
    """Such as "31 of 60 epochs are trained"; "" for a finished run."""
    done = epochs_done(folder)
    return f"{done} of {plan.epochs} epochs are trained" if done < plan.epochs else ""


def save_weights(model, path: Path) -> None:
    """The layers' weights, without the optimizer's. Raises Refusal when there is no room."""
    from segnet.backend import start

    bare = start().Model(model.inputs, model.outputs)  # an optimizer would triple the file
    size = sum(np.asarray(w).nbytes + HDF5_OVERHEAD for w in model.weights)
    with beside(path) as part:
        # HDF5 does not survive a write that fails: it crashes when the process ends. So ask first.
        part.write_bytes(bytes(size))
        bare.save_weights(part)
