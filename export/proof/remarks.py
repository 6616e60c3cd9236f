"""What a gate cannot refuse but a person should know: of the run, the judged images, the photo."""

import numpy as np

from export.proof.accuracy import majority_miou
from export.proof.contract import INPUT_MISTAKES, SEEN
from export.proof.resized import resize_remarks
from segnet.run import unfinished

FEW_IMAGES = 20
CHOSE = {
    "qat8": "the fine-tuned epoch", "sparse": "the fine-tuned epoch",
    "sparse16": "the fine-tuned epoch", "clustered": "the fine-tuned epoch",
}  # fmt: skip


def run_remarks(trained) -> list[str]:
    """What is known before a file is made."""
    left = unfinished(trained.folder, trained.plan)
    return [f"the run is unfinished: {left}"] if left else []


def remarks(trained, report: dict) -> list[str]:
    """What the figures of a file tell. report: with those of `accuracy` and the mistakes."""
    lines = [
        *judge_remarks(trained, report), *class_remarks(report), *resize_remarks(report),
    ]  # fmt: skip
    for name in INPUT_MISTAKES:
        if name in report["mistakes"] and report["mistakes"][name] < SEEN:
            lines.append(
                f"a wrong {name} changes {report['mistakes'][name]:.2%} of the golden photo's "
                "pixels: the self-tests compare its tensors, but the masks do not show it"
            )
    return lines


def judge_remarks(trained, report: dict) -> list[str]:
    lines = []
    split, images = report["judged_on"], report["judged_images"]
    if split == "val":
        chosen = ["the epoch", *filter(None, [CHOSE.get(report["recipe"])])]
        if report["keep_float"]:
            chosen.append("the layers kept in float")
        lines.append(
            f"the figures are of the validation images, which also chose {' and '.join(chosen)}; "
            "images in test/ would judge alone"
        )
    if images < FEW_IMAGES:
        lines.append(f"the figures are of only {images} image{'s' * (images > 1)} of {split}")
    return lines


def class_remarks(report: dict) -> list[str]:
    lines = []
    absent = [name for name, iou in report["iou_keras"].items() if iou is None]
    if absent:
        lines.append(
            f"not in the masks of {report['judged_on']}, so that nothing is known about "
            f"{'it' if len(absent) == 1 else 'them'}: {', '.join(absent)}"
        )
    plain = majority_miou(np.array(report["confusion"]))
    if report["miou_keras"] <= plain:
        lines.append(
            f"the mIoU of the trained model, {report['miou_keras']:.4f}, is no better than that of "
            f"the most frequent class everywhere, {plain:.4f}"
        )
    return lines
