"""Writes the kit's folder: model, contract, golden files, report and code for every platform.

The contract holds what a program needs to run the model. The golden files are reference images and
the tensors and masks that the model computed for them, with which the kit's self-tests compare.
"""

import os
import subprocess
import sys
from pathlib import Path

from data.drawing import sheet
from data.images import write_image
from export.kit.render import render
from export.kit.verify import verify
from export.proof import frame, golden, seal
from export.proof.outputs import mask_of
from export.tflite.runtime import Runtime
from files import folder_beside, write_json


class Broken(Exception):
    """A finished kit that does not pass its own checks; its arguments are the faults."""


def write_kit(out: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> list[str]:
    """Writes the kit to a temporary folder that then replaces `out` (`files.folder_beside`).

    Returns the faults that the kit's own checks find; `out` is then left as it was. The report gets
    the times of the kit's Python code. content: the bytes of the .tflite file. photo: (H, W, 3)
    uint8 RGB, the golden photo.
    """
    try:
        with folder_beside(out) as part:
            part = part.absolute()
            contract = write_files(part, content, contract, photo, dataset)
            faults = self_test_faults(part)
            close(part, contract, report if faults else {**report, **frame.figures(part)})
            if faults := verify_faults(part) or faults:
                raise Broken(*faults)
    except Broken as broken:
        return list(broken.args)
    return []


def write_files(part: Path, content: bytes, contract: dict, photo, dataset) -> dict:
    """Writes all but the report and the contract; returns the contract with its golden values."""
    runtime = Runtime(content)
    (part / "model.tflite").write_bytes(content)
    (part / "labels.txt").write_bytes("".join(f"{name}\n" for name in contract["labels"]).encode())
    contract = {**contract, "golden": golden.write(part / "golden", contract, content, photo)}
    values = contract["output"]["values"]
    shown = sheet(
        dataset, runtime.size, lambda inputs, shape: mask_of(runtime(inputs)[0], values, shape)
    )
    write_image(part / "preview.png", shown)
    render(part, contract)
    return contract


def close(part: Path, contract: dict, report: dict) -> None:
    """Writes the report and the contract, which seals the kit."""
    write_json(part / "report.json", report)
    contract = seal.sealed({**contract, "files": seal.hashes(part)})
    (part / "contract.json").write_bytes(seal.text(contract).encode())


def self_test_faults(part: Path) -> list[str]:
    """What the self-test of the kit's Python code finds in a kit without report and contract."""
    words = [sys.executable, str(part / "python/segment.py"), "--self-test"]
    end = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if end.returncode == 0:
        return []
    said = end.stderr.strip().splitlines() or [f"exit code {end.returncode}"]
    return [f"the self-test of python/segment.py: {said[-1]}".replace(f"{part}{os.sep}", "")]


def verify_faults(part: Path) -> list[str]:
    """What `verify` finds in a finished kit."""
    lines = [f"{check}: {line}" for check, lines in verify(part).items() for line in lines]
    return [line.replace(f"{part}{os.sep}", "") for line in lines]
