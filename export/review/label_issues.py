"""Finds the images of a split whose masks a trained model disagrees with most: label issues.

A pixel on which the model predicts another class than the mask counts by its margin: the
probability of the predicted class minus that of the mask's class, 0 to 1. Disagreement in strips
thinner than EDGE is left out (by a morphological opening), because it only means that an edge was
drawn differently. The margins are summed by class and divided by the area of the class in mask or
prediction, so that a small object that is entirely wrong counts as much as a large one. The result
is multiplied by the IoU of the class over the whole split, because the model is trusted only on
classes that it predicts well. The score of an image is that of its worst class.

A model may have memorised wrong masks that it was trained on. Each image is therefore checked by
the first reviewing run that was not trained on it; files are compared by content, not by name.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cli import Refusal, say
from data.batches import resize, to_input
from data.dataset import Dataset, read_dataset
from data.drawing import overlay, uri
from data.images import read_bytes, read_pair
from data.layout import VOID
from export.proof.score import keras_function
from export.report.shown import DIFFERENT, SIDE
from export.report.wording import PERCENT
from files import beside
from segnet.metrics import to_mask
from segnet.plan import Plan

EDGE = 0.03  # of the model input's shorter side: 5 pixels of 160
LEAST = 0.005  # of the image: smaller classes are divided by this area
THIN = (150, 150, 150)  # RGB of a difference that does not count


class Reviewer(NamedTuple):
    """A run that checks masks.

    function: from (1, H, W, 3) to logits (1, H, W, C); size: (H, W); seen: SHA-256 digests of the
    images that it was trained on.
    """

    name: str
    function: Callable
    size: tuple[int, int]
    seen: frozenset[str] = frozenset()


class Difference(NamedTuple):
    """How mask and prediction of one image differ, in pixels of the model's output.

    trained_on_it: the reviewer was trained on the image; margins: (mask's class, predicted class)
    -> sum of margins; intersection, union: (C,) pixels of each class in both and in either.
    """

    pair: tuple[Path, Path]
    reviewer: Reviewer
    trained_on_it: bool
    margins: dict[tuple[int, int], float]
    intersection: np.ndarray
    union: np.ndarray


class LabelIssue(NamedTuple):
    """An image whose mask is possibly wrong.

    score: 0 to 1, too low if the reviewer was trained on the image; in_mask, in_model: the pair of
    classes with the largest margins of those that involve the worst class; share: its margins as a
    fraction of the image.
    """

    score: float
    pair: tuple[Path, Path]
    reviewer: Reviewer
    trained_on_it: bool
    in_mask: str
    in_model: str
    share: float

    def text(self) -> str:
        note = f"; {self.reviewer.name} was trained on it" if self.trained_on_it else ""
        classes = f"{self.in_mask} in the mask, predicted as {self.in_model}"
        return f"{classes}: {in_percent(self.share)} of the image{note}"

    def plain(self) -> dict:
        """For JSON."""
        image, mask = map(str, self.pair)
        return {
            "score": self.score, "image": image, "mask": mask, "in_mask": self.in_mask,
            "in_model": self.in_model, "share": self.share, "reviewer": self.reviewer.name,
            "trained_on_it": self.trained_on_it,
        }  # fmt: skip


def in_percent(share: float, unit: str = "%") -> str:
    """With one digit after the decimal point; "< 0.1" instead of 0.0."""
    digits = f"{100 * share:.1f}"
    return ("< 0.1" if digits == "0.0" else digits) + unit


def label_issues(dataset: Dataset, split: str, reviewers: list[Reviewer]) -> list[LabelIssue]:
    """The images of a split with any disagreement that counts, the highest score first."""
    from tqdm import tqdm

    pairs = dataset.pairs(split)
    # A pair from a shard caches its bytes once read, so findings keep a fresh, unread one.
    findings = [
        compare(pair, dataset, reviewers)._replace(pair=pairs[place])
        for place, pair in enumerate(tqdm(pairs, unit="image", dynamic_ncols=True, disable=None))
    ]
    intersection = sum(finding.intersection for finding in findings)
    union = sum(finding.union for finding in findings)
    iou = intersection / np.maximum(union, 1)
    found = [label_issue(each, iou, dataset.classes) for each in findings if each.margins]
    return sorted(found, key=lambda issue: -issue.score)


def reviewer_of(image_digest: str, reviewers: list[Reviewer]) -> Reviewer:
    """The first reviewer that was not trained on the image, else the first of all."""
    return next((each for each in reviewers if image_digest not in each.seen), reviewers[0])


def digest(image: Path) -> str:
    return hashlib.sha256(read_bytes(image)).hexdigest()


def compare(pair: tuple[Path, Path], dataset: Dataset, reviewers: list[Reviewer]) -> Difference:
    image_digest = digest(pair[0])
    reviewer = reviewer_of(image_digest, reviewers)
    truth, logits = mask_and_logits(*read_pair(pair, dataset), reviewer)
    predicted, weights = to_mask(logits), pixel_margins(logits, truth)
    y, x = np.nonzero(weights)
    margins = {}
    values = (array[y, x].tolist() for array in (truth, predicted, weights))
    for own, other, margin in zip(*values, strict=True):
        margins[own, other] = margins.get((own, other), 0.0) + margin
    count, scored = len(dataset.classes), truth != VOID
    areas = [np.bincount(mask[scored], minlength=count) for mask in (truth, predicted)]
    intersection = np.bincount(truth[scored & (truth == predicted)], minlength=count)
    union = areas[0] + areas[1] - intersection
    return Difference(pair, reviewer, image_digest in reviewer.seen, margins, intersection, union)


def mask_and_logits(image, mask, reviewer: Reviewer) -> tuple[np.ndarray, np.ndarray]:
    """(the mask at the size of the model's output, the logits)."""
    logits = reviewer.function(to_input(image, reviewer.size)[None])[0]
    return nearest(mask, reviewer.size), logits


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def pixel_margins(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How strongly each pixel speaks against the mask, (H, W) from 0 to 1."""
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    scored = truth != VOID
    classes = np.where(scored, truth, 0)[..., None].astype(int)
    of_mask = np.take_along_axis(probabilities, classes, -1)[..., 0]
    differs = scored & (probabilities.argmax(-1) != truth)
    side = 2 * round(EDGE * min(truth.shape) / 2) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    thick = cv2.morphologyEx(np.uint8(differs), cv2.MORPH_OPEN, disc)
    return (probabilities.max(-1) - of_mask) * thick


def label_issue(finding: Difference, iou: np.ndarray, classes: list[str]) -> LabelIssue:
    """iou: (C,), the IoU of each class over the split."""
    wrong = np.zeros(len(classes))
    for pair, margin in finding.margins.items():
        wrong[list(pair)] += margin
    pixels = np.prod(finding.reviewer.size)
    scores = iou * wrong / np.maximum(finding.union, LEAST * pixels)
    worst = scores.argmax()
    involved = {pair: margin for pair, margin in finding.margins.items() if worst in pair}
    largest = max(involved, key=involved.get)
    names = [classes[index] for index in largest]
    share = float(involved[largest] / pixels)
    return LabelIssue(
        float(scores[worst]), finding.pair, finding.reviewer, finding.trained_on_it, *names, share
    )


def read_reviewer(run: Path, dataset: Dataset) -> Reviewer:
    """A run as a reviewer of `dataset`. Raises Refusal for other classes."""
    from segnet.run import load_run

    model, plan, manifest = load_run(run)
    if manifest["dataset"]["classes"] != dataset.classes:
        raise Refusal(
            f"{run} was trained on the classes {manifest['dataset']['classes']}, but "
            f"{dataset.folder} has {dataset.classes}. Pass the --data that it was trained on"
        )
    own = training_dataset(run, plan, manifest["dataset"], dataset)
    seen = frozenset(digest(image) for image, _ in own.pairs("train"))
    return Reviewer(str(run), keras_function(model), plan.size, seen)


def training_dataset(run, plan: Plan, before: dict, dataset: Dataset) -> Dataset:
    """The dataset that a run was trained on; prints a note if it had to be assumed.

    before: what its manifest says of it.
    """
    if not dataset.changes(before):
        return dataset
    try:
        own = read_dataset(plan.data, plan.damaged)
        changed = own.changes(before)
    except Refusal:
        say(f"note: {plan.data}, on which {run} was trained, cannot be read; "
            f"assuming that it was trained on {dataset.folder}/train")  # fmt: skip
        return dataset
    if changed:
        say(f"note: {plan.data} was changed since {run} was trained; "
            "assuming that it was trained on the images that are in its train/ now")  # fmt: skip
    return own


# The page


def write_page(page: Path, dataset: Dataset, split: str, count: int, found: list) -> None:
    """One self-contained page about the issues `found` among the `count` images of a split."""
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["percent"] = lambda share: in_percent(share, PERCENT)
    text = pages.get_template("label_issues.html.j2").render(
        dataset=dataset, split=split, count=count, different=DIFFERENT, thin=THIN,
        reviewers=list(dict.fromkeys(issue.reviewer.name for issue in found)),
        rows=[(issue, panels(issue, dataset)) for issue in found],
    )  # fmt: skip
    with beside(page) as part:
        part.write_text(text, encoding="utf-8")


def panels(issue: LabelIssue, dataset: Dataset) -> list[tuple[str, str]]:
    """(caption, data URI) of the image, its mask, the model's prediction and their difference."""
    image, mask = read_pair(issue.pair, dataset)
    small, logits = mask_and_logits(image, mask, issue.reviewer)
    scale = max(1.0, SIDE / max(mask.shape))  # JPEG blurs small drawings
    size = tuple(round(scale * side) for side in mask.shape)
    counts = np.uint8(pixel_margins(logits, small) > 0)
    image, mask, counts = resize(image, size), nearest(mask, size), nearest(counts, size) > 0
    predicted = to_mask(logits, size)
    differs = (predicted != mask) & (mask != VOID)
    drawn = np.repeat(image.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
    drawn[differs], drawn[differs & counts] = THIN, DIFFERENT
    shown = {
        "image": image,
        "mask": overlay(image, mask, dataset.colours),
        "prediction": overlay(image, predicted, dataset.colours),
        "difference": drawn,
    }
    return [(caption, uri(pixels, SIDE)) for caption, pixels in shown.items()]
