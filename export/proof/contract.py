"""The contract of a file: all that a program needs to feed it and to read its output.

`predict` is such a program: it uses only the contract and the file. Its predictions must be those
of our pipeline, on a photo on which every common mistake would change them.
"""

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version

import cv2
import numpy as np

from cli import Refusal
from data.batches import MEAN, STD
from export.proof.outputs import RESIZE_TEXTS, mask_of
from export.tflite.head import values_of
from export.tflite.metadata import ACTIVATIONS, read_metadata
from export.tflite.runtime import Runtime
from segnet import __version__

SCHEMA = 5
RESIZE = "area-bilinear"
PACKAGES = (
    "tensorflow", "keras", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy",
    "opencv-python-headless",
)  # fmt: skip


def make_contract(content: bytes, recipe: str, lowering: str, targets, trained) -> dict:
    """The contract of a .tflite made from `trained`.

    Without "golden", "files" and "digest", which are known when the kit is written.
    """
    runtime, values = Runtime(content), values_of(content)
    return {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(content).hexdigest(),
        "recipe": recipe,
        "input": tensor(runtime.input),
        "output": {**tensor(runtime.output), "values": values},
        "range": [-1.0, 1.0],
        "mean": MEAN,
        "std": STD,
        "colour_order": "RGB",
        "resize": RESIZE_TEXTS[values],
        "labels": trained.dataset.classes,
        "colours": trained.dataset.colours,
        "preset": trained.plan.network_name,
        "weights": trained.weights,
        "lowering": lowering,
        "targets": list(targets),
        "versions": {
            "segnet": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
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
    """The input tensor (1, H, W, 3) of an image (H, W, 3) uint8 RGB, by the contract."""
    _, height, width, _ = contract["input"]["shape"]
    if contract["resize"].startswith(RESIZE):
        downscaled = (min(width, image.shape[1]), min(height, image.shape[0]))
        small = cv2.resize(image, downscaled, interpolation=cv2.INTER_AREA)
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if contract["colour_order"] == "BGR":
        small = small[..., ::-1]
    if contract["input"]["dtype"] == "float32":
        small = (small.astype(np.float32) - contract["mean"]) / np.float32(contract["std"])
    return np.ascontiguousarray(small[None].astype(contract["input"]["dtype"]))


def predict(contract: dict, runtime: Runtime, image: np.ndarray) -> np.ndarray:
    """Class names (H, W) of an image (H, W, 3) uint8 RGB, by the contract."""
    found = runtime.decode(runtime.run(input_tensor(contract, image)))[0]
    ids = mask_of(found, contract["output"]["values"], image.shape[:2])
    return np.array(contract["labels"])[ids]


# Common mistakes of apps, each as the change of the contract that would prescribe it.
MISTAKES: dict[str, Callable[[dict], dict]] = {
    "channel order": lambda contract: {"colour_order": "BGR"},
    "range": lambda contract: {"mean": 0.0, "std": 255.0},
    "label order": lambda contract: {"labels": contract["labels"][1:] + contract["labels"][:1]},
    "resize rule": lambda contract: {"resize": "bilinear"},
}

INPUT_MISTAKES = ("channel order", "range", "resize rule")
SEEN = 0.001  # fraction of the pixels from which a mistake can be seen


def mistakes(contract: dict, runtime: Runtime, image: np.ndarray) -> dict[str, float]:
    """The fraction of the image's pixels whose class each mistake would change."""
    right = predict(contract, runtime, image)
    return {
        name: float((predict({**contract, **change(contract)}, runtime, image) != right).mean())
        for name, change in MISTAKES.items()
        # A uint8 input is not normalised.
        if not (name == "range" and contract["input"]["dtype"] == "uint8")
    }


def metadata_faults(contract: dict, content: bytes) -> list[str]:
    """A line for each value that differs between the file's metadata and the contract."""
    try:
        found = read_metadata(content)
    except Refusal as error:
        return [str(error)]
    wanted = {key: contract[key] for key in ("labels", "mean", "std", "colour_order")}
    wanted["activation"] = ACTIVATIONS[contract["output"]["values"]]
    return [
        f"{key} is {found[key]} in the metadata and {value} in the contract"
        for key, value in wanted.items()
        if found[key] != value
    ]
