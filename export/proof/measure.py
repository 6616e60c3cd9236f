"""All measurements of a file that go into its report and that the gate checks."""

import gzip
import os
from collections.abc import Iterable
from functools import cache

import numpy as np

from data.batches import STD, to_input
from data.images import read_image
from export.graph.convert import to_tflite
from export.proof import contract
from export.proof.claims import claim_faults
from export.proof.layer_errors import file_input, layer_errors
from export.proof.outputs import mask_of
from export.proof.stored import weight_error
from export.recipes import Output, Recipe
from export.targets import run_gpu, xnnpack
from export.targets.audit import TARGETS, audit
from export.tflite import inspect, profile
from export.tflite.head import values_of
from export.tflite.runtime import Runtime, latency_ms, machine

MOST_ERRORS = 10  # layers that are listed in the report
CHECKED = "checked against the operator list"


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


def structure(content: bytes, recipe: Recipe, keep_float, fine=None, logits=None) -> dict:
    """What can be read from the file without running it.

    keep_float: layers that may be float. fine: the `FinePlan` of a fine-tuned file. logits: the
    file without the softmax or argmax that it ends in, if it does; only its operators may not be
    float.
    """
    steps = inspect.float_operators(logits or content)
    floats = [o for o in steps if not kept(o, keep_float)]
    return {
        "size_bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, mtime=0)),
        "versions": {o.name: o.version for o in inspect.operators(content)},
        "conversions": inspect.conversions(content),
        "claim_faults": claim_faults(content, recipe, keep_float, fine),
        "float_operators": [f"{o.name} ({o.layer})" for o in floats],
        "keep_float": list(keep_float),
        "open_shapes": inspect.open_shapes(content),
        "custom_operators": inspect.custom_operators(content),
        "dead_layers": xnnpack.dead_layers(content),
    }


def output_faults(content: bytes, output: Output) -> list[str]:
    found = values_of(content)
    return [] if found == output.values else [f"the file gives {found}, but {output.values} "
                                              "are claimed"]  # fmt: skip


def kept(operator, layers) -> bool:
    """Whether an operator belongs to a layer that is kept in float or converts to or from one."""
    if operator.layer.removeprefix("after ") in layers:
        return True
    return bool(layers) and operator.name in ("QUANTIZE", "DEQUANTIZE")


def delegation(content: bytes, targets, images: np.ndarray) -> dict:
    """The delegate partitions of XNNPACK, and the operators that each target does not support.

    XNNPACK always runs the file; the GPU does if it is among `targets` and this machine has one,
    with images (N, H, W, 3) in [-1, 1]. For other targets, only the operator list is checked.
    """
    runtime = Runtime(content)
    partitioning = runtime.partitioning()
    verdicts = {name: audit(content, name) for name in TARGETS}
    verdicts["xnnpack"] += xnnpack.run_faults(content, partitioning)
    ran = {"xnnpack"}
    if "gpu" in targets and run_gpu.available(one_convolution()):
        verdicts["gpu"] += run_gpu.faults(content, runtime, images)
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


def graph_error(graph, keras, inputs: np.ndarray) -> float:
    """Largest absolute difference of a logit between a float graph and Keras, relative to the
    largest absolute logit, over inputs (N, H, W, 3)."""
    wanted, found = (
        np.concatenate([np.asarray(function(image[None])) for image in inputs])
        for function in (keras, graph)
    )
    largest = np.abs(wanted).max()
    return float(np.abs(found - wanted).max() / largest) if largest else float("inf")


def layers(content: bytes, graph, recipe: Recipe, inputs: np.ndarray) -> dict:
    """The error of weights, the noise of the worst layer, clipping, the layers that add most error.

    graph: the float graph of the file; inputs: (N, H, W, 3) in [-1, 1].
    """
    errors = layer_errors(content, graph, recipe, inputs)
    weights, worst = weight_error(content, graph, recipe)
    return {
        "weight_error": weights,
        "weight_error_worst": worst,
        "layer_snr": float(np.min([each["snr"] for each in errors])),  # a NaN stays
        "layer_snr_worst": errors[int(np.argmin([each["snr"] for each in errors]))]["layer"],
        "clipped": max(each["clipped"] for each in errors) if recipe.kernels == "int8" else None,
        "layer_errors": errors[:MOST_ERRORS],
    }


def range_figures(graph, recipe: Recipe, trained, targets) -> dict:
    """The largest activation: of all judged images where float16 matters, else of the samples."""
    matters = recipe.weights == "float16" or "gpu" in targets
    pairs = trained.dataset.pairs(trained.judge)
    size = trained.plan.size
    images = (to_input(read_image(pair[0]), size) for pair in pairs) if matters else trained.samples
    largest = largest_activation(graph, (file_input(recipe, image) for image in images))
    return {
        "largest_activation": largest,
        "largest_activation_images": len(pairs) if matters else len(trained.samples),
        "fp16_safe": bool(largest <= float(np.finfo(np.float16).max)),
    }


def largest_activation(graph, images: Iterable[np.ndarray]) -> float:
    """The largest magnitude in a float graph over images (H, W, 3) in [-1, 1]; NaN if there is one.

    It decides whether the file can be computed in float16.
    """
    import tensorflow as tf

    probe = type(graph)(graph.input, [layer.output for layer in graph.layers[1:]])

    @tf.function
    def largest(image):
        return tf.stack([tf.reduce_max(tf.abs(values)) for values in tf.nest.flatten(probe(image))])

    return float(np.max([np.max(largest(image[None])) for image in images]))


def contract_figures(made: dict, content: bytes, classes: list[str], photo: np.ndarray) -> dict:
    """Agreement of contract and pipeline on the golden photo, and of contract and metadata."""
    runtime = Runtime(content)
    _, height, width, _ = made["input"]["shape"]
    by_contract = contract.predict(made, runtime, photo)
    inputs = to_input(photo, (height, width))[None]
    ids = mask_of(runtime(inputs)[0], values_of(content), photo.shape[:2])
    by_pipeline = np.array(classes)[ids]
    return {
        "contract_agreement": float((by_contract == by_pipeline).mean()),
        "metadata_faults": contract.metadata_faults(made, content),
    }


def mistake_figures(shown: dict[str, float]) -> dict:
    """shown: the fraction of the golden photo's pixels that each mistake changes."""
    inputs = {name: shown[name] for name in contract.INPUT_MISTAKES if name in shown}
    return {
        "mistakes": shown,
        "mistakes_seen": sum(fraction >= contract.SEEN for fraction in inputs.values()),
    }


def calibration_error(made: dict, pairs: list, inputs: np.ndarray) -> float:
    """The largest mean difference of a calibration image, (H, W, 3) in [-1, 1], to the same image
    prepared by the contract, in levels of a byte."""
    largest = 0.0
    for (path, _), image in zip(pairs, inputs, strict=True):
        wanted = contract.input_tensor(made, read_image(path))[0]
        found = (image + 1) * STD
        largest = np.maximum(largest, np.abs(found - wanted).mean())  # keeps a NaN
    return float(largest)
