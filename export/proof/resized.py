"""mIoU of a file when images are resized as platforms do it."""

from collections.abc import Callable

from data.dataset import Dataset
from data.resizing import RULES, WHERE
from export.proof.score import miou_by_rule

IMAGES = 64  # of the judged ones, at most: each is predicted once a rule
MOST_LOSS = 0.002  # of mIoU, against the best rule
UNFILTERED = "nearest"  # the one rule that no app should use
EXACT = "; apps that resize as the kit's own code does, by area, lose {:.2f}"


def resize_figures(file: Callable, dataset: Dataset, split: str, size, values="logits") -> dict:
    """miou_by_resize: by rule. resize_images: how many images they are of, a seeded subset.

    values: what the file gives, see `mask_of`.
    """
    mious = miou_by_rule(file, dataset, split, size, RULES, IMAGES, values=values)
    count = min(IMAGES, len(dataset.pairs(split)))
    return {"miou_by_resize": mious, "resize_images": count}


def resize_remarks(report: dict) -> list[str]:
    """A line for each rule that loses against the best, without the one that does not filter."""
    if why := why_unresized(report):
        return [f"mIoU by rule of resizing: {why}"]
    found = {rule: miou for rule, miou in report["miou_by_resize"].items() if rule != UNFILTERED}
    best = max(found, key=found.get)
    return [
        f"images resized by the rule {rule} ({WHERE[rule]}) cost "
        f"{100 * (found[best] - miou):.2f} points of mIoU against {best}, on "
        f"{report['resize_images']} images of {report['judged_on']}"
        + (EXACT.format(100 * (found[best] - found["area"])) if miou < found["area"] else "")
        for rule, miou in found.items()
        if found[best] - miou > MOST_LOSS
    ]


def why_unresized(report: dict) -> str | None:
    """not measured, because ...; None where it was measured."""
    if report.get("miou_by_resize"):
        return None
    known = report.get("not_measured", {})
    return f"not measured, because {known.get('miou_by_resize', 'nothing measured it')}"
