"""The golden pair of a kit: images, their tensors and the answers that any runtime must give."""

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

LOOKED_AT = 16  # validation images from which the most telling is taken
MOST_SIDE = 640  # pixels, of the golden photo: larger ones are shrunk, kits are downloads
SHRINK = 1.25
TOLERANCE = 1e-3  # of the largest logit, in float: other kernels add in another order


def pick_photo(contract: dict, runtime: Runtime, dataset) -> tuple[np.ndarray, dict[str, float]]:
    """The validation image (H, W, 3) on which the least visible mistake shows most.

    With it the share of pixels that each mistake changes there.
    """
    best = None
    for path, _ in islice(dataset.pairs("val"), LOOKED_AT):
        photo = limited(read_image(path), contract["input"]["shape"][1:3])
        shown = mistakes(contract, runtime, photo)
        if best is None or min(shown.values()) > min(best[1].values()):
            best = photo, shown
    return best


def limited(photo: np.ndarray, size) -> np.ndarray:
    """At most MOST_SIDE a side, and of a size on which every wrong resize rule shows.

    A side that does not shrink, or by half, where bilinear gives what area gives, is made SHRINK
    times the model's.
    """
    ratio = min(1.0, MOST_SIDE / max(photo.shape[:2]))
    sides = []
    for edge, wanted in zip(photo.shape[:2], size, strict=True):
        side = round(edge * ratio)
        sides.append(side if side > wanted and side != 2 * wanted else round(SHRINK * wanted))
    return cv2.resize(photo, tuple(sides[::-1]), interpolation=cv2.INTER_AREA)


def write(folder: Path, contract: dict, runtime: Runtime, photo: np.ndarray) -> dict:
    """Writes golden/ and gives what the contract says of it."""
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
    exact = contract["input"]["dtype"] == "uint8"  # int8 kernels: the same bits everywhere
    return {
        "tolerance": 0.0 if exact else float(TOLERANCE * np.abs(logits).max()),
        "output_sha256": hashlib.sha256(outputs.tobytes()).hexdigest() if exact else None,
    }
