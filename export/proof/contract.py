"""The contract of a file: all that a program needs to feed it and to read its answer.

`answer` is such a program: it knows the contract and the file, and nothing of how we train. What
it says must be what the pipeline says, on images on which every mistake would show.
"""

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version

import cv2
import numpy as np

from cli import Refusal
from data.batches import MEAN, STD
from export.tflite.metadata import read_metadata
from export.tflite.runtime import Runtime
from segnet.metrics import to_mask

SCHEMA = 3
RESIZE = "area-bilinear"
RESIZE_TEXT = (
    "area-bilinear: the whole image to the input's size, each side for itself: one that shrinks "
    "by area, one that grows bilinearly; the logits back to the image's size bilinearly, then "
    "argmax"
)
PACKAGES = (
    "tensorflow", "keras", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy",
    "opencv-python-headless",
)  # fmt: skip


def make_contract(content: bytes, recipe: str, lowering: str, targets, trained) -> dict:
    """The contract of a .tflite made of `trained`; "golden" comes to it with the golden pair."""
    runtime = Runtime(content)
    return {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(content).hexdigest(),
        "recipe": recipe,
        "input": tensor(runtime.input),
        "output": tensor(runtime.output),
        "range": [-1.0, 1.0],
        "mean": MEAN,
        "std": STD,
        "colour_order": "RGB",
        "resize": RESIZE_TEXT,
        "labels": trained.dataset.classes,
        "colours": trained.dataset.colours,
        "preset": trained.plan.network_name,
        "weights": trained.weights,
        "lowering": lowering,
        "targets": list(targets),
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


def input_tensor(contract: dict, image: np.ndarray) -> np.ndarray:
    """The input tensor (1, H, W, 3) of an image (H, W, 3) uint8 RGB, as the contract says."""
    _, height, width, _ = contract["input"]["shape"]
    if contract["resize"].startswith(RESIZE):
        shrunk = (min(width, image.shape[1]), min(height, image.shape[0]))
        small = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if contract["colour_order"] == "BGR":
        small = small[..., ::-1]
    if contract["input"]["dtype"] == "float32":
        small = (small.astype(np.float32) - contract["mean"]) / np.float32(contract["std"])
    return np.ascontiguousarray(small[None].astype(contract["input"]["dtype"]))


def answer(contract: dict, runtime: Runtime, image: np.ndarray) -> np.ndarray:
    """Class names (H, W) of an image (H, W, 3) uint8 RGB, by the contract."""
    logits = runtime.decode(runtime.run(input_tensor(contract, image)))[0]
    return np.array(contract["labels"])[to_mask(logits, image.shape[:2])]


# What goes wrong in apps, as the change of the contract that would tell them to do it.
MISTAKES: dict[str, Callable[[dict], dict]] = {
    "channel order": lambda contract: {"colour_order": "BGR"},
    "range": lambda contract: {"mean": 0.0, "std": 255.0},
    "label order": lambda contract: {"labels": contract["labels"][1:] + contract["labels"][:1]},
    "resize rule": lambda contract: {"resize": "bilinear"},
}


def mistakes(contract: dict, runtime: Runtime, image: np.ndarray) -> dict[str, float]:
    """The share of pixels whose class each mistake would change on this image."""
    right = answer(contract, runtime, image)
    return {
        name: float((answer({**contract, **change(contract)}, runtime, image) != right).mean())
        for name, change in MISTAKES.items()
        # Bytes have no range to be mistaken.
        if not (name == "range" and contract["input"]["dtype"] == "uint8")
    }


def metadata_faults(contract: dict, content: bytes) -> list[str]:
    """Where the file's metadata says something else than the contract."""
    try:
        found = read_metadata(content)
    except Refusal as error:
        return [str(error)]
    keys = ("labels", "mean", "std", "colour_order")
    return [
        f"metadata says {key} {found[key]}, the contract {contract[key]}"
        for key in keys
        if found[key] != contract[key]
    ]
