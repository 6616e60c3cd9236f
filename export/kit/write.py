"""Writes the kit's folder: model, contract, golden files, report and code for every platform.

The contract holds what a program needs to run the model. The golden files are reference images and
the tensors and masks that the model computed for them, with which the kit's self-tests compare.
"""

import os
import subprocess
import sys
from pathlib import Path

from cli import Verdict
from data.drawing import sheet
from data.images import write_image
from export.kit.render import render
from export.kit.verify import verify
from export.proof import golden, seal
from export.tflite.runtime import Runtime
from files import folder_beside, write_json
from segnet.metrics import to_mask


def write_kit(out: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> None:
    """Writes the kit to a temporary folder that then replaces `out` (`files.folder_beside`).

    content: the bytes of the .tflite file. photo: (H, W, 3) uint8 RGB, the golden photo. Raises
    Verdict, and leaves `out` as it was, if the finished kit does not pass its own checks.
    """
    with folder_beside(out) as part:
        write_files(part, content, contract, report, photo, dataset)
        if faults := kit_faults(part):
            raise Verdict(f"{contract['recipe']} is refused: its kit fails {'; '.join(faults)}")


def write_files(part: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> None:
    runtime = Runtime(content)
    (part / "model.tflite").write_bytes(content)
    (part / "labels.txt").write_bytes("".join(f"{name}\n" for name in contract["labels"]).encode())
    contract = {**contract, "golden": golden.write(part / "golden", contract, content, photo)}
    shown = sheet(dataset, runtime.size, lambda inputs, shape: to_mask(runtime(inputs)[0], shape))
    write_image(part / "preview.png", shown)
    render(part, contract)
    write_json(part / "report.json", report)
    contract = seal.sealed({**contract, "files": seal.hashes(part)})
    (part / "contract.json").write_bytes(seal.text(contract).encode())


def kit_faults(part: Path) -> list[str]:
    """What `verify` and the self-test of the kit's own Python code find in a finished kit."""
    part = Path(part).absolute()
    faults = [f"{check}: {line}" for check, lines in verify(part).items() for line in lines]
    if not faults:
        words = [sys.executable, str(part / "python/segment.py"), "--self-test"]
        end = subprocess.run(words, capture_output=True, text=True, errors="replace")
        if end.returncode:
            said = end.stderr.strip().splitlines() or [f"exit code {end.returncode}"]
            faults = [f"the self-test of python/segment.py: {said[-1]}"]
    return [line.replace(f"{part}{os.sep}", "") for line in faults]
