"""Writes the kit's folder: model, contract, golden files, report and code for every platform.

The contract holds what a program needs to run the model. The golden files are reference images and
the tensors and masks that the model computed for them, with which the kit's self-tests compare.
"""

import os
import shutil
import tempfile
from pathlib import Path

from cli import Refusal
from data.drawing import sheet
from data.images import write_image
from export.kit.render import render
from export.proof import golden
from export.tflite.runtime import Runtime
from files import write_json
from segnet.metrics import to_mask


def write_kit(out: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> None:
    """Writes the kit to a temporary folder next to `out` and renames it to `out` at the end.

    Until then an earlier kit stays in place. Temporary folders that a killed process left there are
    removed. content: the bytes of the .tflite file. photo: (H, W, 3) uint8 RGB, the golden photo.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for stale in out.parent.glob(f".*.{out.name}"):
            shutil.rmtree(stale)
        part = folder_beside(out)
        try:
            part.chmod(0o755)
            write_files(part, content, contract, report, photo, dataset)
            replace(out, part)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise Refusal(
            f"cannot write {out}: {error.strerror or error}. Free some space or move the run"
        ) from error


def write_files(part: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> None:
    runtime = Runtime(content)
    (part / "model.tflite").write_bytes(content)
    (part / "labels.txt").write_text("".join(f"{name}\n" for name in contract["labels"]))
    contract = {**contract, "golden": golden.write(part / "golden", contract, runtime, photo)}
    shown = sheet(dataset, runtime.size, lambda inputs, shape: to_mask(runtime(inputs)[0], shape))
    write_image(part / "preview.png", shown)
    render(part, contract)
    write_json(part / "contract.json", contract)
    write_json(part / "report.json", report)


def replace(out: Path, part: Path) -> None:
    """Renames `part` to `out`; an earlier `out` is moved away first and then deleted.

    If the process is killed between the two renames, there is no kit, but never half of one.
    """
    if not out.exists():
        os.replace(part, out)
        return
    old = folder_beside(out)
    os.replace(out, old / "kit")
    try:
        os.replace(part, out)
    except BaseException:
        os.replace(old / "kit", out)
        raise
    finally:
        shutil.rmtree(old)


def folder_beside(out: Path) -> Path:
    """A new hidden folder next to `out` whose name ends with that of `out`."""
    return Path(tempfile.mkdtemp(prefix=".part-", suffix=f".{out.name}", dir=out.parent))
