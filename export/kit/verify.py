"""Verifies that a kit is intact and gives the expected outputs on this machine."""

import json
import os
from pathlib import Path

from cli import Refusal
from data.images import read_bytes
from export.kit.code import code_faults
from export.proof.contract import SCHEMA, metadata_faults, tensor
from export.proof.golden import golden_faults, resize_faults
from export.proof.outputs import RESIZE_TEXTS
from export.proof.seal import file_faults, normalised, seal_faults
from export.proof.shape import shape_faults
from export.targets.audit import audit
from export.tflite import inspect
from export.tflite.head import values_of
from export.tflite.runtime import Runtime
from files import read_json

# What the report and the contract both say.
TARGET = {"how": str, "asked": bool, "refused": [str]}
REPORT = {"recipe": str, "weights": str, "lowering": str, "targets": {str: TARGET}}


def verify(kit: Path) -> dict[str, list[str]]:
    """Check to a list of faults; all lists are empty for an intact kit.

    A kit whose contract or files were changed is not looked at further, and its model is not run.
    Raises Refusal if the folder is not a kit.
    """
    kit = Path(kit)
    if not os.path.lexists(kit / "contract.json"):
        raise Refusal(f"{kit} is not a kit: contract.json is missing. python -m export makes one")
    found = {"contract": lines_of(contract_faults, kit / "contract.json")}
    if found["contract"]:
        return found
    contract = json.loads(normalised(kit / "contract.json"))
    found["files"] = file_faults(kit, contract["files"])
    if not found["files"]:
        found |= model_faults(kit, contract)
    return found


def lines_of(check, *args) -> list[str]:
    """The faults that a check finds, or the Refusal with which it ends."""
    try:
        return check(*args)
    except Refusal as error:
        return [str(error)]


def contract_faults(path: Path) -> list[str]:
    """Of contract.json alone: whether it can be read, is unchanged and complete."""
    try:
        content = normalised(path).decode()
        contract = json.loads(content)
    except (ValueError, RecursionError) as error:
        return [f"contract.json is damaged: {error}. Copy the kit again"]
    if not isinstance(contract, dict):
        return ["contract.json is damaged: it is not an object. Copy the kit again"]
    schema = contract.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        return [f"its schema is {schema!r:.40}, but {SCHEMA} is needed. Export the run again"]
    faults = shape_faults(contract) or seal_faults(content, contract)
    return faults or consistency_faults(contract)


def consistency_faults(contract: dict) -> list[str]:
    """A line for each value that contradicts another one of the contract."""
    low, high = contract["range"] if len(contract["range"]) == 2 else (0, 0)
    mean, std, colours = contract["mean"], contract["std"], contract["colours"]
    source, target = contract["input"]["shape"], contract["output"]["shape"]
    classes, values = len(contract["labels"]), contract["output"]["values"]
    ends = [] if values == "classes" else [classes]
    right = {
        "the input is not 1, H, W, 3": len(source) == 4 and (source[0], source[3]) == (1, 3),
        "the output's values are unknown": values in RESIZE_TEXTS,
        "the output is not 1, H, W and the number of labels": target == [*source[:3], *ends],
        "only classes have no tolerance": all(
            (allowed["tolerance"] is None) == (values == "classes")
            for allowed in contract["golden"].values()
        ),
        "std is not above 0": std > 0,
        "range is not that of mean and std": [low * std + mean, high * std + mean] == [0, 255],
        "colours are not three bytes for each label": len(colours) == classes
        and all(len(c) == 3 and min(c) >= 0 and max(c) <= 255 for c in colours),
        "resize is not the rule of this kit's code": contract["resize"] == RESIZE_TEXTS.get(values),
        "files does not have the model's SHA-256": contract["files"].get("model.tflite")
        == contract["sha256"],
        "versions lacks segnet or ai-edge-litert": {"segnet", "ai-edge-litert"}
        <= contract["versions"].keys(),
    }
    return [line for line, holds in right.items() if not holds]


def model_faults(kit: Path, contract: dict) -> dict[str, list[str]]:
    """The faults by check of a kit whose contract and files are as they were written."""
    content = read_bytes(kit / "model.tflite")
    try:
        runtime = Runtime(content)
    except Refusal as error:
        return {"tensors": [str(error)]}
    found = {
        "tensors": tensor_faults(contract, runtime) + values_faults(contract, content),
        "metadata": metadata_faults(contract, content),
        "operators": lines_of(operator_faults, contract, content),
        "report": lines_of(report_faults, contract, kit / "report.json"),
        "code": lines_of(code_faults, contract, kit),
    }
    if not found["tensors"]:
        found["golden"] = lines_of(golden_faults, kit / "golden", contract, runtime)
        found["resize rule"] = lines_of(resize_faults, kit / "golden", contract, runtime)
    return found


def tensor_faults(contract, runtime) -> list[str]:
    lines = []
    for side, detail in (("input", runtime.input), ("output", runtime.output)):
        found, wanted = tensor(detail), contract[side]
        lines += [
            f"the {side}'s {key} is {found[key]}, but {wanted[key]} in the contract"
            for key in found
            if found[key] != wanted[key]
        ]
    return lines


def values_faults(contract, content) -> list[str]:
    found, wanted = values_of(content), contract["output"]["values"]
    if found == wanted:
        return []
    return [f"the output's values are {found}, but {wanted} in the contract"]


def operator_faults(contract, content) -> list[str]:
    lines = [line for name in contract["targets"] for line in audit(content, name)]
    lines += [f"{name} has no fixed shape" for name in inspect.open_shapes(content)]
    return lines + [f"{name} is a custom operator" for name in inspect.custom_operators(content)]


def report_faults(contract, path: Path) -> list[str]:
    """report.json must be of the same export as the contract."""
    report = read_json(path)
    told = {key: report.get(key) for key in REPORT} if isinstance(report, dict) else report
    if faults := shape_faults(told, REPORT, "report.json"):
        return faults
    told["targets"] = [name for name, target in told["targets"].items() if target["asked"]]
    wanted = {key: contract[key] for key in REPORT} | {"targets": sorted(contract["targets"])}
    told["targets"].sort()
    return [
        f"{key} is {told[key]} in report.json and {wanted[key]} in the contract"
        for key in REPORT
        if told[key] != wanted[key]
    ]
