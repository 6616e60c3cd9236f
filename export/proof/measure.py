"""All measurements of a file that go into its report and that the gate checks."""

import gzip
import os
from functools import cache

import numpy as np

from data.batches import to_input
from export.graph.convert import to_tflite
from export.proof import contract
from export.proof.layer_errors import layer_errors
from export.proof.score import keras_function, predictions
from export.recipes import Recipe
from export.targets import run_gpu, xnnpack
from export.targets.audit import TARGETS, audit
from export.tflite import inspect, profile
from export.tflite.runtime import Runtime, latency_ms, machine
from segnet.metrics import confusion, scores, to_mask

LOOKED_AT = 8  # images on which the layers are compared
CHECKED = "checked against the operator list"


def accuracy(trained, runtime: Runtime) -> dict:
    """mIoU, IoU and logits of the file against Keras on the whole validation set."""
    from tqdm import tqdm

    dataset = trained.dataset
    classes = len(dataset.classes)
    matrices, equal, pixels, error, largest = [0, 0], 0, 0, 0.0, 0.0
    images = predictions(keras_function(trained.model), dataset, "val", trained.plan.size)
    for inputs, wanted, truth in tqdm(
        images, total=len(dataset.pairs("val")), unit="image", leave=False, disable=None
    ):
        found = runtime(inputs)[0]
        equal += int((found.argmax(-1) == wanted.argmax(-1)).sum())
        pixels += wanted.shape[0] * wanted.shape[1]
        error = np.maximum(error, np.abs(found - wanted).max())  # unlike max(), keeps a NaN
        largest = max(largest, float(np.abs(wanted).max()))
        for index, logits in enumerate((wanted, found)):
            predicted = to_mask(logits, truth.shape)
            matrices[index] = matrices[index] + confusion(truth, predicted, classes)
    before, after = (scores(matrix, dataset.classes) for matrix in matrices)
    return {
        "miou_keras": before["miou"],
        "miou_tflite": after["miou"],
        "miou_drop": before["miou"] - after["miou"],
        "iou_keras": before["iou"],
        "iou_tflite": after["iou"],
        "confusion": matrices[1].tolist(),
        "pixel_agreement": equal / pixels,
        "max_abs_error": float(error) / largest if largest else float("inf"),
    }


def speed(content: bytes, float32: bytes) -> dict:
    """Latency on one thread and on all cores, interleaved with the float32 file of the run."""
    found = {}
    for threads in sorted({1, os.cpu_count()}):
        pair = {"file": Runtime(content, threads), "float32": Runtime(float32, threads)}
        times = latency_ms(pair)
        key = "one thread" if threads == 1 else f"{threads} threads"
        found[key] = {
            **times["file"],
            "ratio": times["file"]["median"] / times["float32"]["median"],
        }
    return {
        "machine": machine(),
        "latency_ms": found["one thread"]["median"],
        "latency": found,
        "time_by_operator": profile.profile(content),
    }


def structure(content: bytes, keep_float) -> dict:
    """What can be read from the file without running it. keep_float: layers that may be float."""
    floats = [o for o in inspect.float_operators(content) if not kept(o, keep_float)]
    return {
        "size_bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, mtime=0)),
        "versions": {o.name: o.version for o in inspect.operators(content)},
        "conversions": inspect.conversions(content),
        "float_operators": [f"{o.name} ({o.layer})" for o in floats],
        "keep_float": list(keep_float),
        "open_shapes": inspect.open_shapes(content),
        "custom_operators": inspect.custom_operators(content),
        "dead_layers": xnnpack.dead_layers(content),
    }


def kept(operator, layers) -> bool:
    """Whether an operator belongs to a layer that is kept in float or converts to or from one."""
    if operator.layer.removeprefix("after ") in layers:
        return True
    return bool(layers) and operator.name in ("QUANTIZE", "DEQUANTIZE")


def delegation(content: bytes, targets, image: np.ndarray) -> dict:
    """The delegate partitions of XNNPACK, and the operators that each target does not support.

    XNNPACK always runs the file; the GPU does if it is among `targets` and this machine has one,
    with an image (1, H, W, 3) in [-1, 1]. For other targets, only the operator list is checked.
    """
    runtime = Runtime(content)
    partitioning = runtime.partitioning()
    verdicts = {name: audit(content, name) for name in TARGETS}
    verdicts["xnnpack"] += xnnpack.run_faults(content, partitioning)
    ran = {"xnnpack"}
    if "gpu" in targets and run_gpu.available(one_convolution()):
        verdicts["gpu"] += run_gpu.faults(content, runtime, image)
        ran.add("gpu")
    return {
        **partitioning,
        "targets": {
            name: {
                "how": f"run here and {CHECKED}" if name in ran else CHECKED,
                "asked": name in targets,
                "refused": found,
            }
            for name, found in verdicts.items()
        },
        "target_faults": [line for name in targets for line in verdicts[name]],
    }


@cache
def one_convolution() -> bytes:
    """A file that any GPU supports, with a (1, 8, 8, 3) float32 input."""
    import keras

    image = keras.Input((8, 8, 3), batch_size=1)
    return to_tflite(keras.Model(image, keras.layers.Conv2D(4, 3)(image)))


def activations(graph, content: bytes, recipe: Recipe, inputs: np.ndarray) -> dict:
    """Largest activation of the float graph; for int8, clipping and the layers with most error.

    graph: the float deploy graph of the file, or None if there is none.
    """
    found = {"largest_activation": None, "fp16_safe": None, "clipped": None, "layer_errors": []}
    if graph is None:
        return found
    probe = type(graph)(graph.input, [layer.output for layer in graph.layers[1:]])
    images = inputs[:LOOKED_AT]
    largest = max(float(np.abs(v).max()) for x in images for v in probe.predict_on_batch(x[None]))
    most = float(np.finfo(np.float16).max)
    found |= {"largest_activation": largest, "fp16_safe": largest <= most}
    if recipe.kernels == "int8":
        errors = layer_errors(content, graph, images)
        found |= {"clipped": max(e["clipped"] for e in errors), "layer_errors": errors[:10]}
    return found


def contract_figures(made: dict, content: bytes, classes: list[str], photo: np.ndarray) -> dict:
    """Agreement of contract and pipeline on the golden photo, and of contract and metadata."""
    runtime = Runtime(content)
    _, height, width, _ = made["input"]["shape"]
    by_contract = contract.predict(made, runtime, photo)
    inputs = to_input(photo, (height, width))[None]
    by_pipeline = np.array(classes)[to_mask(runtime(inputs)[0], photo.shape[:2])]
    return {
        "contract_agreement": float((by_contract == by_pipeline).mean()),
        "metadata_faults": contract.metadata_faults(made, content),
    }
