"""A kit on anybody's desk: is it whole, and does it do here what it did where it was made?"""

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

LEVEL = 1  # of a byte, by which the resize rule's result may differ
EQUAL = 0.995  # share of the golden photo's pixels


def verify(kit: Path) -> dict[str, list[str]]:
    """What each check finds wrong, in words; every list empty for a sound kit.

    Raises Refusal when the folder is no kit or a file of it cannot be read.
    """
    kit = Path(kit)
    contract = read_json(kit / "contract.json")
    if contract.get("schema") != SCHEMA:
        return {"contract": [f"schema {contract.get('schema')}, this project reads {SCHEMA}"]}
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
    return [f"model.tflite is {digest[:12]}..., the contract is of {contract['sha256'][:12]}..."]


def tensor_faults(contract, runtime) -> list[str]:
    lines = []
    for side, detail in (("input", runtime.input), ("output", runtime.output)):
        came = ([int(n) for n in detail["shape"]], np.dtype(detail["dtype"]).name)
        wanted = (contract[side]["shape"], contract[side]["dtype"])
        if came != wanted:
            lines.append(f"{side} is {came}, the contract says {wanted}")
    return lines


def operator_faults(contract, content) -> list[str]:
    lines = [line for name in contract["targets"] for line in audit(content, name)]
    lines += [f"{name} has no fixed shape" for name in inspect.open_shapes(content)]
    return lines + [f"{name} is custom" for name in inspect.custom_operators(content)]


def golden_faults(golden: Path, contract, runtime) -> list[str]:
    """image.png by the contract is input.bin, and that gives output.bin."""
    lines = []
    stored = read_tensor(golden / "input.bin", contract["input"])
    made = input_tensor(contract, read_image(golden / "image.png"))
    if not np.array_equal(stored, made):
        lines.append("input.bin is not what the contract makes of image.png")
    output = runtime.run(stored)
    wanted = read_tensor(golden / "output.bin", contract["output"])
    error = np.abs(output.astype(np.float64) - wanted.astype(np.float64)).max()
    if not error <= contract["golden"]["tolerance"]:
        lines.append(
            f"output differs by {error:g} from output.bin, at most "
            f"{contract['golden']['tolerance']:g}"
        )
    digest = contract["golden"]["output_sha256"]
    if digest and hashlib.sha256(output.tobytes()).hexdigest() != digest:
        lines.append("output's bytes are not those of the contract's hash")
    return lines


def resize_faults(golden: Path, contract, runtime) -> list[str]:
    """photo.png by the contract is photo_input.bin, and its mask photo_mask.png."""
    lines = []
    photo = read_image(golden / "photo.png")
    stored = read_tensor(golden / "photo_input.bin", contract["input"]).astype(np.float64)
    made = input_tensor(contract, photo).astype(np.float64)
    level = LEVEL if contract["input"]["dtype"] == "uint8" else LEVEL / contract["std"]
    off = int((np.abs(stored - made) > level * 1.01).sum())
    if off:
        lines.append(
            f"{off} values of photo_input.bin are not what the contract makes of photo.png"
        )
    logits = runtime.decode(runtime.run(input_tensor(contract, photo)))[0]
    mask = read_image(golden / "photo_mask.png")[..., 0]
    equal = float((to_mask(logits, photo.shape[:2]) == mask).mean())
    if not equal >= EQUAL:
        lines.append(f"{equal:.2%} of photo_mask.png is found again, at least {EQUAL:.1%}")
    return lines


def read_tensor(path: Path, tensor: dict) -> np.ndarray:
    values = np.frombuffer(read_bytes(path), np.dtype(tensor["dtype"]).newbyteorder("<"))
    return values.reshape(tensor["shape"])
