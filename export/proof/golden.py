"""The golden files of a kit: images, their input tensors and the outputs that are expected.

They are written when the kit is made, and compared with the results when it is verified.
"""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal
from data.batches import resize
from data.images import read_bytes, read_image, write_image
from export.proof.contract import input_tensor, mistakes
from export.proof.half import Emulation
from export.proof.outputs import mask_of
from export.tflite import inspect
from export.tflite.runtime import Runtime
from files import quiet

FILES = ("golden/image.png", "golden/input.bin", "golden/output.bin", "golden/mask.png",
         "golden/photo.png", "golden/photo_input.bin", "golden/photo_mask.png")  # fmt: skip
LEVEL = 1  # grey level by which a resized image may differ
LOOKED_AT = 16  # validation images among which the golden photo is chosen
MOST_SIDE = 640  # pixels, of the golden photo: keeps kits small
DOWNSCALE = 1.25  # ratio of the photo's side to the model's where its own would not do
# What may differ from the golden output: FACTOR times what is measured when the kit is made, by the
# kind of kernels that a self-test runs on. docs/results.md has what other runtimes changed.
FACTOR = 2
# Half precision is emulated. GPUs may add in another order, or transform convolutions (Winograd).
HALF_FACTOR = 4
NUDGES = 4  # inputs whose last digits are changed
LAST_DIGIT = 2.0**-23  # of float32, relative
MEASURED = {
    "xnnpack": f"{FACTOR} times what XNNPACK changed where the last digits of the input change",
    "reference": f"{FACTOR} times what LiteRT's kernels without XNNPACK changed",
    "half": f"{FACTOR} times what the file changed in float, without rounding to integers, and "
    f"{HALF_FACTOR} times what half precision changed of that, both emulated",
}
FLOAT = 1e-4  # least tolerance in float, of the largest logit: measured up to 3e-5; half is 3e-3
EQUAL = 0.995  # pixel agreement on the golden photo that is needed at most
LEAST_EQUAL = 0.9  # and at least, however much the kernels disagree


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


def write(folder: Path, contract: dict, content: bytes, photo: np.ndarray) -> dict:
    """Writes the golden files to `folder` and returns the contract's entry "golden".

    It has for each kind of kernels: tolerance, the largest difference of an output value, in the
    output's own type; None for classes, of whose ids differences tell nothing. pixel_agreement: the
    least one of the mask of the photo, and of an output of classes. measured: how.
    """
    runtime = Runtime(content)
    image = resize(photo, contract["input"]["shape"][1:3])
    inputs, photo_inputs = (input_tensor(contract, p) for p in (image, photo))
    outputs, photo_outputs = runtime.run(inputs), runtime.run(photo_inputs)
    values = contract["output"]["values"]
    mask = photo_mask(values, runtime, photo_outputs, photo)
    folder.mkdir()
    write_image(folder / "image.png", image)
    write_image(folder / "mask.png", mask_of(runtime.decode(outputs)[0], values))
    write_image(folder / "photo.png", photo)
    write_image(folder / "photo_mask.png", mask)
    for name, tensor in (("input", inputs), ("output", outputs), ("photo_input", photo_inputs)):
        (folder / f"{name}.bin").write_bytes(tensor.tobytes())
    seen = by_kind(content, runtime, inputs, unequal if values == "classes" else difference)
    changed = by_kind(
        content, runtime, photo_inputs,
        lambda *both: unequal(*(photo_mask(values, runtime, each, photo) for each in both)),
    )  # fmt: skip
    if values == "classes":
        changed = {kind: max(changed[kind], seen[kind]) for kind in changed}
        seen = dict.fromkeys(seen)
    else:
        least = least_tolerance(contract, content, outputs)
        seen = {kind: max(value, least) for kind, value in seen.items()}
    return {
        kind: {
            "tolerance": seen[kind],
            "pixel_agreement": max(min(EQUAL, 1 - changed[kind]), LEAST_EQUAL),
            "measured": how,
        }
        for kind, how in MEASURED.items()
    }


def by_kind(content: bytes, runtime: Runtime, tensor: np.ndarray, apart) -> dict[str, float]:
    """Kind of kernels to what may differ from the output of `tensor` with XNNPACK.

    apart(found, wanted): how far an output is from another one.
    """
    outputs = runtime.run(tensor)
    with quiet():  # of a processor without half precision
        exact, half = (Emulation(content, kind).run(tensor) for kind in (np.float32, np.float16))
    rounding = apart(half, exact) if np.isfinite(half).all() else 0.0  # float GPUs can run it
    found = {
        "xnnpack": max(apart(runtime.run(each), outputs) for each in nudged(tensor)),
        "reference": apart(Runtime(content, xnnpack=False).run(tensor), outputs),
        "half": apart(exact, outputs) + HALF_FACTOR / FACTOR * rounding,
    }
    return {kind: FACTOR * value for kind, value in found.items()}


def nudged(tensor: np.ndarray) -> list[np.ndarray]:
    """Copies with other last digits, whose rounding may end in another integer; bytes have none."""
    if tensor.dtype != np.float32:
        return [tensor]
    steps = [np.random.default_rng(seed).integers(-1, 2, tensor.shape) for seed in range(NUDGES)]
    return [np.float32(tensor * (1 + LAST_DIGIT * step)) for step in steps]


def photo_mask(values: str, runtime: Runtime, outputs: np.ndarray, photo: np.ndarray) -> np.ndarray:
    return mask_of(runtime.decode(outputs)[0], values, photo.shape[:2])


def least_tolerance(contract: dict, content: bytes, outputs: np.ndarray) -> float:
    """A step of the quantisation, or FLOAT of the largest logit for a file that ends in float.

    A change of all logits by x changes a probability by at most x / 2.
    """
    values, steps = contract["output"]["values"], inspect.operators(content)
    if values == "probabilities":
        scales = softmax_input(steps).scales
        step = scales[0] / 2 if scales else 0.0
        if contract["output"]["dtype"] == "uint8":
            return max(1.0, step / contract["output"]["scale"])
        return max(FLOAT, step * (1 + FLOAT))
    if contract["output"]["dtype"] == "uint8":
        return 1.0
    last = steps[-1]
    if last.name == "DEQUANTIZE" and last.inputs[0].scales:
        return float(last.inputs[0].scales[0]) * (1 + FLOAT)
    return FLOAT * float(np.abs(outputs).max())


def softmax_input(steps: list):
    """The logits' tensor, quantised if there is such a one."""
    at = next(i for i in reversed(range(len(steps))) if steps[i].name == "SOFTMAX")
    before = steps[at - 1]
    return before.inputs[0] if before.name == "DEQUANTIZE" else steps[at].inputs[0]


def golden_faults(golden: Path, contract, runtime) -> list[str]:
    """image.png must give input.bin by the contract, input.bin output.bin, output.bin mask.png."""
    lines, values = [], contract["output"]["values"]
    stored = read_tensor(golden / "input.bin", contract["input"])
    image = read_image(golden / "image.png")
    if not np.array_equal(stored, input_tensor(contract, image)):
        lines.append("input.bin is not image.png prepared by the contract")
    wanted = read_tensor(golden / "output.bin", contract["output"])
    lines += output_faults(contract, runtime.run(stored), wanted)
    mask = read_image(golden / "mask.png")[..., 0]
    if not np.array_equal(mask, mask_of(runtime.decode(wanted)[0], values)):
        lines.append("mask.png does not have the classes of the largest values of output.bin")
    return lines


def output_faults(contract, found: np.ndarray, wanted: np.ndarray) -> list[str]:
    allowed = contract["golden"]["xnnpack"]
    if contract["output"]["values"] == "classes":
        equal = 1 - unequal(found, wanted)
        if equal >= allowed["pixel_agreement"]:
            return []
        return [f"the output has {equal:.2%} pixel agreement with output.bin; at least "
                f"{allowed['pixel_agreement']:.2%} is needed"]  # fmt: skip
    error = difference(found, wanted)
    if error <= allowed["tolerance"]:
        return []
    return [f"the output differs from output.bin by {error:g}; at most "
            f"{allowed['tolerance']:g} is allowed"]  # fmt: skip


def resize_faults(golden: Path, contract, runtime) -> list[str]:
    """photo.png must give photo_input.bin by the contract, and its mask must be photo_mask.png."""
    lines = []
    photo = read_image(golden / "photo.png")
    stored = read_tensor(golden / "photo_input.bin", contract["input"])
    made = input_tensor(contract, photo)
    level = LEVEL if contract["input"]["dtype"] == "uint8" else LEVEL / contract["std"]
    off = int((np.abs(stored.astype(np.float64) - made) > level * 1.01).sum())
    if off:
        lines.append(
            f"{off} values of photo_input.bin differ from photo.png prepared by the contract"
        )
    found = photo_mask(contract["output"]["values"], runtime, runtime.run(made), photo)
    mask = read_image(golden / "photo_mask.png")[..., 0]
    equal = float((found == mask).mean()) if found.shape == mask.shape else 0.0
    needed = contract["golden"]["xnnpack"]["pixel_agreement"]
    if not equal >= needed:
        lines.append(
            f"the mask of photo.png has {equal:.2%} pixel agreement with photo_mask.png; at least "
            f"{needed:.2%} is needed"
        )
    return lines


def unequal(found: np.ndarray, wanted: np.ndarray) -> float:
    """The fraction of class ids that differ."""
    return float((found != wanted).mean())


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest absolute difference of two tensors of the same shape and any type."""
    with np.errstate(invalid="ignore"):  # NaN, of a file that was damaged
        return float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())


def read_tensor(path: Path, tensor: dict) -> np.ndarray:
    """A tensor in a file, little-endian. Raises Refusal if it has another size."""
    raw, dtype = read_bytes(path), np.dtype(tensor["dtype"]).newbyteorder("<")
    if len(raw) != dtype.itemsize * np.prod(tensor["shape"]):
        raise Refusal(f"{path} has {len(raw)} bytes, which is not {tensor['shape']} {dtype.name}")
    return np.frombuffer(raw, dtype).reshape(tensor["shape"])
