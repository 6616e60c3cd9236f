"""Writes the kit's folder: model, contract, golden files, report and code for every platform.

The contract holds what a program needs to run the model. The golden files are reference images and
the tensors and masks that the model computed for them, with which the kit's self-tests compare.
"""

from pathlib import Path

from data.drawing import sheet
from data.images import write_image
from export.kit.render import render
from export.proof import golden
from export.tflite.runtime import Runtime
from files import folder_beside, write_json
from segnet.metrics import to_mask


def write_kit(out: Path, content: bytes, contract: dict, report: dict, photo, dataset) -> None:
    """Writes the kit to a temporary folder that then replaces `out` (`files.folder_beside`).

    content: the bytes of the .tflite file. photo: (H, W, 3) uint8 RGB, the golden photo.
    """
    with folder_beside(out) as part:
        write_files(part, content, contract, report, photo, dataset)


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
