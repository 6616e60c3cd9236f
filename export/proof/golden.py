"""The golden files of a kit: images, their input tensors and the outputs that are expected."""

import hashlib
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from data.batches import resize
from data.images import read_image, write_image
from export.proof.contract import input_tensor, mistakes
from export.tflite.runtime import Runtime
from segnet.metrics import to_mask

LOOKED_AT = 16  # validation images among which the golden photo is chosen
MOST_SIDE = 640  # pixels, of the golden photo: keeps kits small
DOWNSCALE = 1.25  # ratio of the photo's side to the model's where its own would not do
TOLERANCE = 1e-3  # of the largest logit, in float: other kernels add in another order


def pick_photo(contract: dict, runtime: Runtime, dataset) -> tuple[np.ndarray, dict[str, float]]:
    """The golden photo (H, W, 3), and the fraction of its pixels that each mistake changes.

    It is the validation image on which the least visible mistake changes the most pixels.
    """
    best = None
    for path, _ in islice(dataset.pairs("val"), LOOKED_AT):
        photo = limited(read_image(path), contract["input"]["shape"][1:3])
        shown = mistakes(contract, runtime, photo)
        if best is None or min(shown.values()) > min(best[1].values()):
            best = photo, shown
    return best


def limited(photo: np.ndarray, size) -> np.ndarray:
    """The photo resized to at most MOST_SIDE and so that any wrong resize rule changes its input.

    A side that the model would not downscale, or would halve, where bilinear and area averaging
    give the same, is made DOWNSCALE times the model's.
    """
    ratio = min(1.0, MOST_SIDE / max(photo.shape[:2]))
    sides = []
    for edge, wanted in zip(photo.shape[:2], size, strict=True):
        side = round(edge * ratio)
        sides.append(side if side > wanted and side != 2 * wanted else round(DOWNSCALE * wanted))
    return cv2.resize(photo, tuple(sides[::-1]), interpolation=cv2.INTER_AREA)


def write(folder: Path, contract: dict, runtime: Runtime, photo: np.ndarray) -> dict:
    """Writes the golden files to `folder` and returns the contract's entry "golden"."""
    image = resize(photo, contract["input"]["shape"][1:3])
    inputs, photo_inputs = (input_tensor(contract, p) for p in (image, photo))
    outputs = runtime.run(inputs)
    logits = runtime.decode(outputs)[0]
    photo_logits = runtime.decode(runtime.run(photo_inputs))[0]
    folder.mkdir()
    write_image(folder / "image.png", image)
    write_image(folder / "mask.png", to_mask(logits))
    write_image(folder / "photo.png", photo)
    write_image(folder / "photo_mask.png", to_mask(photo_logits, photo.shape[:2]))
    for name, tensor in (("input", inputs), ("output", outputs), ("photo_input", photo_inputs)):
        (folder / f"{name}.bin").write_bytes(tensor.tobytes())
    exact = contract["input"]["dtype"] == "uint8"  # int8 kernels are bit-exact everywhere
    return {
        "tolerance": 0.0 if exact else float(TOLERANCE * np.abs(logits).max()),
        "output_sha256": hashlib.sha256(outputs.tobytes()).hexdigest() if exact else None,
    }
