"""A run to a kit: the file, its contract, a golden pair and the report that proves it."""

import hashlib
import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

import cli
from cli import Refusal, Verdict, one_of, write_json
from data.drawing import sheet
from data.pictures import write_picture
from export import gate
from export.convert import to_tflite
from export.deploy import LOWERINGS, deploy
from export.metadata import MEAN, STD, add_metadata
from export.runtime import Runtime, latency_ms
from export.score import keras_function, predictions
from segnet.metrics import confusion, scores, to_mask
from segnet.rows import preset

RECIPES = ("float32",)
CONTRACT_SCHEMA = 1
PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "opencv-python-headless")


def export_run(folder: Path, recipe: str = "float32", lowering: str = "auto") -> dict:
    """Writes folder/export/RECIPE and gives its report.

    Raises Refusal when it cannot be made and Verdict when the gate refuses it; then
    RECIPE.refused.json holds the numbers and no kit of that recipe is left.
    """
    from data.dataset import read_dataset
    from segnet.run import load_run

    one_of(recipe, RECIPES, "recipe")
    one_of(lowering, ("auto", *LOWERINGS), "lowering")
    folder = Path(folder)
    model, plan, manifest = load_run(folder)
    dataset = read_dataset(plan.data)
    labels = manifest["dataset"]["classes"]
    if dataset.classes != labels:
        raise Refusal(f"{plan.data} has other classes than {folder} was trained on; restore them")
    candidates = lower(model, preset(plan.preset), plan.size, len(labels), lowering)
    lowering, content, latency = fastest(candidates)
    content = add_metadata(content, labels)
    report = measure(model, Runtime(content), dataset, plan.size)
    report |= {"size_bytes": len(content), "latency_ms": latency}
    broken = gate.failures(report)
    report = {"verdict": "no" if broken else "yes", "reasons": broken, "recipe": recipe, **report}
    out = folder / "export" / recipe
    refused = out.with_name(f"{recipe}.refused.json")
    if broken:
        write_json(refused, report)
        shutil.rmtree(out, ignore_errors=True)
        raise Verdict(f"refused: {'; '.join(broken)}. All numbers: {refused}")
    contract = make_contract(content, recipe, lowering, plan, manifest)
    golden = golden_pair(Runtime(content), dataset, plan.size)
    runtime = Runtime(content)
    shown = sheet(dataset, plan.size, lambda inputs, shape: to_mask(runtime(inputs)[0], shape))
    write_kit(out, content, contract, golden, shown, report)
    refused.unlink(missing_ok=True)
    return report


def lower(model, rows, size, classes, lowering) -> dict[str, bytes]:
    """The flatbuffer of the asked lowering, or of each for "auto"."""
    names = LOWERINGS if lowering == "auto" else (lowering,)
    return {name: to_tflite(deploy(model, rows, size, classes, name)) for name in names}


def fastest(candidates: dict[str, bytes]) -> tuple[str, bytes, float]:
    """(lowering, flatbuffer, median ms on one thread) of the quickest candidate."""
    runtimes = {name: Runtime(content) for name, content in candidates.items()}
    times = latency_ms(runtimes)
    for name, milliseconds in times.items():
        cli.say(f"{name}: {milliseconds:.2f} ms")
    name = min(times, key=times.get)
    return name, candidates[name], times[name]


def measure(model, runtime: Runtime, dataset, size) -> dict:
    """The whole validation set through Keras and through the file, both with the one metric."""
    from tqdm import tqdm

    classes = len(dataset.classes)
    matrices, equal, pixels, error, largest = [0, 0], 0, 0, 0.0, 0.0
    pictures = predictions(keras_function(model), dataset, "val", size)
    for inputs, wanted, truth in tqdm(pictures, total=len(dataset.pairs("val")), unit="picture"):
        found = runtime(inputs)[0]
        equal += int((found.argmax(-1) == wanted.argmax(-1)).sum())
        pixels += wanted.shape[0] * wanted.shape[1]
        error = np.maximum(error, np.abs(found - wanted).max())  # keeps a NaN, as max() does not
        largest = max(largest, float(np.abs(wanted).max()))
        for index, logits in enumerate((wanted, found)):
            guess = to_mask(logits, truth.shape)
            matrices[index] = matrices[index] + confusion(truth, guess, classes)
    keras_scores, tflite_scores = (scores(matrix, dataset.classes) for matrix in matrices)
    return {
        "miou_keras": keras_scores["miou"],
        "miou_tflite": tflite_scores["miou"],
        "iou_tflite": tflite_scores["iou"],
        "agreement": equal / pixels,
        "max_abs_error": float(error) / largest if largest else float("inf"),
        **runtime.anatomy(),
    }


def make_contract(content: bytes, recipe: str, lowering: str, plan, manifest) -> dict:
    """All that a program needs to run the file, and where it came from."""
    runtime, dataset = Runtime(content), manifest["dataset"]
    return {
        "schema": CONTRACT_SCHEMA,
        "sha256": hashlib.sha256(content).hexdigest(),
        "recipe": recipe,
        "input": tensor(runtime.input),
        "output": tensor(runtime.output),
        "range": [-1.0, 1.0],
        "mean": MEAN,
        "std": STD,
        "colour_order": "RGB",
        "resize": "the whole picture to the input's size: area when a side shrinks, else bilinear; "
        "logits back to the picture's size bilinearly, then argmax",
        "labels": dataset["classes"],
        "colours": dataset["colours"],
        "preset": plan.preset,
        "lowering": lowering,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    }


def tensor(detail: dict) -> dict:
    scale, zero_point = detail["quantization"]
    return {
        "name": detail["name"],
        "shape": [int(side) for side in detail["shape"]],
        "dtype": np.dtype(detail["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def golden_pair(runtime: Runtime, dataset, size) -> dict[str, np.ndarray]:
    """A validation picture as the model gets it, and what the model answers."""
    from data.batches import evaluation_pairs

    inputs, _, _ = next(evaluation_pairs(dataset, "val", size, 1))
    return {"golden_input": inputs, "golden_output": runtime(inputs)}


def write_kit(out: Path, content: bytes, contract: dict, golden: dict, shown, report) -> None:
    """Writes the kit beside its place and renames it; an earlier kit stays until then."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=out.parent))
        try:
            part.chmod(0o755)
            (part / "model.tflite").write_bytes(content)
            (part / "labels.txt").write_text("".join(f"{n}\n" for n in contract["labels"]))
            for name, array in golden.items():
                np.save(part / f"{name}.npy", array)
            write_picture(part / "preview.png", shown)
            write_json(part / "contract.json", contract)
            write_json(part / "report.json", report)
            if out.exists():
                old = Path(tempfile.mkdtemp(prefix=".old-", dir=out.parent)) / "kit"
                os.replace(out, old)
                os.replace(part, out)
                shutil.rmtree(old.parent)
            else:
                os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise Refusal(
            f"cannot write {out}: {error.strerror or error}. Free some space or move the run"
        ) from error
