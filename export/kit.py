"""The kit's folder: file, contract, golden pair, report and the code for every platform."""

import os
import shutil
import tempfile
from pathlib import Path

from cli import Refusal, write_json
from data.drawing import sheet
from data.pictures import write_picture
from export import golden, phone
from export.runtime import Runtime
from segnet.metrics import to_mask


def write_kit(out: Path, content: bytes, contract: dict, report: dict, dataset, size) -> None:
    """Writes the kit beside its place and renames it; an earlier kit stays until then."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=out.parent))
        try:
            part.chmod(0o755)
            fill(part, content, contract, report, dataset, size)
            replace(out, part)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise Refusal(
            f"cannot write {out}: {error.strerror or error}. Free some space or move the run"
        ) from error


def fill(part: Path, content: bytes, contract: dict, report: dict, dataset, size) -> None:
    runtime = Runtime(content)
    photo, _ = golden.choose(contract, runtime, dataset)
    (part / "model.tflite").write_bytes(content)
    (part / "labels.txt").write_text("".join(f"{name}\n" for name in contract["labels"]))
    contract = {**contract, "golden": golden.write(part / "golden", contract, runtime, photo)}
    shown = sheet(dataset, size, lambda inputs, shape: to_mask(runtime(inputs)[0], shape))
    write_picture(part / "preview.png", shown)
    phone.fill(part, contract)
    write_json(part / "contract.json", contract)
    write_json(part / "report.json", report)


def replace(out: Path, part: Path) -> None:
    """`part` takes the place of `out`. Two renames: a kill between them leaves no kit, not half."""
    if not out.exists():
        os.replace(part, out)
        return
    old = Path(tempfile.mkdtemp(prefix=".old-", dir=out.parent))
    os.replace(out, old / "kit")
    os.replace(part, out)
    shutil.rmtree(old)
