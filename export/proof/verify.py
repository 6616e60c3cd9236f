"""Verifies that a kit is intact and gives the expected outputs on this machine."""

import hashlib
from pathlib import Path

import numpy as np

from data.images import read_bytes, read_image
from export.proof.contract import SCHEMA, input_tensor, metadata_faults
from export.targets.audit import audit
from export.tflite import inspect
from export.tflite.runtime import Runtime
from files import read_json
from segnet.metrics import to_mask

LEVEL = 1  # grey level by which a resized image may differ
EQUAL = 0.995  # least pixel agreement on the golden photo


def verify(kit: Path) -> dict[str, list[str]]:
    """Check to a list of faults; all lists are empty for an intact kit.

    Raises Refusal if the folder is not a kit or a file of it cannot be read.
    """
    kit = Path(kit)
    contract = read_json(kit / "contract.json")
    if contract.get("schema") != SCHEMA:
        return {"contract": [f"its schema is {contract.get('schema')}, but {SCHEMA} is needed"]}
    content = read_bytes(kit / "model.tflite")
    found = {"hash": hash_faults(contract, content)}
    runtime = Runtime(content)
    found["tensors"] = tensor_faults(contract, runtime)
    found["metadata"] = metadata_faults(contract, content)
    found["operators"] = operator_faults(contract, content)
    if not found["tensors"]:
        found["golden"] = golden_faults(kit / "golden", contract, runtime)
        found["resize rule"] = resize_faults(kit / "golden", contract, runtime)
    return found


def hash_faults(contract, content) -> list[str]:
    digest = hashlib.sha256(content).hexdigest()
    if digest == contract["sha256"]:
        return []
    return [
        f"the SHA-256 of model.tflite is {digest[:12]}..., "
        f"but {contract['sha256'][:12]}... in the contract"
    ]


def tensor_faults(contract, runtime) -> list[str]:
    lines = []
    for side, detail in (("input", runtime.input), ("output", runtime.output)):
        shape, dtype = [int(n) for n in detail["shape"]], np.dtype(detail["dtype"]).name
        wanted = contract[side]
        if (shape, dtype) != (wanted["shape"], wanted["dtype"]):
            lines.append(
                f"the {side} is {dtype} {shape}, but {wanted['dtype']} {wanted['shape']} in the "
                "contract"
            )
    return lines


def operator_faults(contract, content) -> list[str]:
    lines = [line for name in contract["targets"] for line in audit(content, name)]
    lines += [f"{name} has no fixed shape" for name in inspect.open_shapes(content)]
    return lines + [f"{name} is a custom operator" for name in inspect.custom_operators(content)]


def golden_faults(golden: Path, contract, runtime) -> list[str]:
    """image.png must give input.bin by the contract, and input.bin must give output.bin."""
    lines = []
    stored = read_tensor(golden / "input.bin", contract["input"])
    made = input_tensor(contract, read_image(golden / "image.png"))
    if not np.array_equal(stored, made):
        lines.append("input.bin is not image.png prepared by the contract")
    output = runtime.run(stored)
    wanted = read_tensor(golden / "output.bin", contract["output"])
    error = np.abs(output.astype(np.float64) - wanted.astype(np.float64)).max()
    if not error <= contract["golden"]["tolerance"]:
        lines.append(
            f"the output differs from output.bin by {error:g}; at most "
            f"{contract['golden']['tolerance']:g} is allowed"
        )
    digest = contract["golden"]["output_sha256"]
    if digest and hashlib.sha256(output.tobytes()).hexdigest() != digest:
        lines.append("the SHA-256 of the output is not that in the contract")
    return lines


def resize_faults(golden: Path, contract, runtime) -> list[str]:
    """photo.png must give photo_input.bin by the contract, and its mask must be photo_mask.png."""
    lines = []
    photo = read_image(golden / "photo.png")
    stored = read_tensor(golden / "photo_input.bin", contract["input"]).astype(np.float64)
    made = input_tensor(contract, photo).astype(np.float64)
    level = LEVEL if contract["input"]["dtype"] == "uint8" else LEVEL / contract["std"]
    off = int((np.abs(stored - made) > level * 1.01).sum())
    if off:
        lines.append(
            f"{off} values of photo_input.bin differ from photo.png prepared by the contract"
        )
    logits = runtime.decode(runtime.run(input_tensor(contract, photo)))[0]
    mask = read_image(golden / "photo_mask.png")[..., 0]
    equal = float((to_mask(logits, photo.shape[:2]) == mask).mean())
    if not equal >= EQUAL:
        lines.append(
            f"the mask of photo.png has {equal:.2%} pixel agreement with photo_mask.png; at least "
            f"{EQUAL:.1%} is needed"
        )
    return lines


def read_tensor(path: Path, tensor: dict) -> np.ndarray:
    values = np.frombuffer(read_bytes(path), np.dtype(tensor["dtype"]).newbyteorder("<"))
    return values.reshape(tensor["shape"])
