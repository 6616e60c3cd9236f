"""Images whose masks the model disagrees with most: likely mislabelled.

A pixel counts by the model's margin: the share that it gives to its own class less that of the
mask's class, 0 to 1. Where the two part in a strip thinner than EDGE, an edge is drawn otherwise,
which says nothing against the mask: such strips are left out (a morphological opening). What counts
is summed by class and divided by the class's area in mask or model, so that a small object wholly
wrong weighs as much as a large one; and multiplied with the class's IoU over all images, because
the model's word is worth what it knows of that class. The worst class is the image's score.

A model may know by heart the mistakes that it was trained on. So every image is judged by the
first run that did not train on it; contents are compared, not names.
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
from export.report.report import DIFFERENT, SIDE
from export.report.wording import percent
from files import beside
from segnet.metrics import to_mask
from segnet.plan import Plan

EDGE = 0.03  # of the model's shorter side: 5 pixels of 160
LEAST = 0.005  # of the image: a class smaller than that counts as if it were as large
THIN = (150, 150, 150)  # RGB, of a difference that does not count


class Judge(NamedTuple):
    """function: from (1, H, W, 3) to logits (1, H, W, C). seen: what it trained on, by digest."""

    name: str
    function: Callable
    size: tuple[int, int]
    seen: frozenset[str] = frozenset()


class Finding(NamedTuple):
    """What a judge says of an image, before it is known how far to believe it.

    known: it trained on the image. claims: (mask's class, model's class) to the margins there,
    summed. common, union: (C,) pixels that mask and model, or one of them, give to a class. All in
    pixels of the model.
    """

    pair: tuple[Path, Path]
    judge: Judge
    known: bool
    claims: dict[tuple[int, int], float]
    common: np.ndarray
    union: np.ndarray


class Suspect(NamedTuple):
    score: float  # 0 to 1
    pair: tuple[Path, Path]
    judge: Judge
    known: bool  # the judge trained on it: the score is too low
    in_mask: str
    in_model: str  # the largest of its claims on the worst class
    share: float  # of the image that this claim is about, each pixel by its margin

    def said(self) -> str:
        known = f"; {self.judge.name} was trained on it" if self.known else ""
        return f"{self.in_mask}, or {self.in_model}? {self.share:.1%} of the image{known}"

    def plain(self) -> dict:
        """For JSON."""
        image, mask = map(str, self.pair)
        return {
            "score": self.score, "image": image, "mask": mask, "in_mask": self.in_mask,
            "in_model": self.in_model, "share": self.share, "judge": self.judge.name,
            "trained_on_it": self.known,
        }  # fmt: skip


def suspects(dataset: Dataset, split: str, judges: list[Judge]) -> list[Suspect]:
    """Every image of a split that is suspect at all, the most suspect first."""
    from tqdm import tqdm

    pairs = dataset.pairs(split)
    # A pair of a shard keeps what was read of it; the findings get one that was not read.
    findings = [
        find(pair, dataset, judges)._replace(pair=pairs[place])
        for place, pair in enumerate(tqdm(pairs, unit="image", dynamic_ncols=True))
    ]
    common, union = (sum(getattr(f, name) for f in findings) for name in ("common", "union"))
    trust = common / np.maximum(union, 1)
    found = [suspect(finding, trust, dataset.classes) for finding in findings if finding.claims]
    return sorted(found, key=lambda one: -one.score)


def reviewer_of(own: str, judges: list[Judge]) -> Judge:
    """The first that did not train on the image of this digest, else the first."""
    return next((judge for judge in judges if own not in judge.seen), judges[0])


def digest(image: Path) -> str:
    return hashlib.sha256(read_bytes(image)).hexdigest()


def find(pair: tuple[Path, Path], dataset: Dataset, judges: list[Judge]) -> Finding:
    own = digest(pair[0])
    judge = reviewer_of(own, judges)
    truth, logits = looked_at(*read_pair(pair, dataset), judge)
    guess, margins = to_mask(logits), weigh(logits, truth)
    y, x = np.nonzero(margins)
    claims = {}
    for claim in zip(truth[y, x].tolist(), guess[y, x].tolist(), margins[y, x], strict=True):
        claims[claim[:2]] = claims.get(claim[:2], 0.0) + float(claim[2])
    classes, scored = len(dataset.classes), truth != VOID
    counts = [np.bincount(m[scored], minlength=classes) for m in (truth, guess)]
    common = np.bincount(truth[scored & (truth == guess)], minlength=classes)
    union = counts[0] + counts[1] - common
    return Finding(pair, judge, own in judge.seen, claims, common, union)


def looked_at(image, mask, judge: Judge) -> tuple[np.ndarray, np.ndarray]:
    """(mask at the model's size, logits)."""
    logits = judge.function(to_input(image, judge.size)[None])[0]
    return nearest(mask, judge.size), logits


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def weigh(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What each pixel counts against the mask, (H, W) from 0 to 1."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    scored = truth != VOID
    own = np.take_along_axis(shares, np.where(scored, truth, 0)[..., None].astype(int), -1)[..., 0]
    differs = scored & (shares.argmax(-1) != truth)
    side = 2 * round(EDGE * min(truth.shape) / 2) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return (shares.max(-1) - own) * cv2.morphologyEx(np.uint8(differs), cv2.MORPH_OPEN, disc)


def suspect(finding: Finding, trust: np.ndarray, classes: list[str]) -> Suspect:
    """trust: (C,), how far the judge is believed on each class, 0 to 1."""
    wrong = np.zeros(len(classes))
    for claim, amount in finding.claims.items():
        wrong[list(claim)] += amount
    pixels = np.prod(finding.judge.size)
    scores = trust * wrong / np.maximum(finding.union, LEAST * pixels)
    worst = scores.argmax()
    about = {claim: amount for claim, amount in finding.claims.items() if worst in claim}
    claim = max(about, key=about.get)
    names = [classes[index] for index in claim]
    share = float(about[claim] / pixels)
    return Suspect(float(scores[worst]), finding.pair, finding.judge, finding.known, *names, share)


def read_judge(folder: Path, dataset: Dataset) -> Judge:
    """A run as a judge of `dataset`. Raises Refusal for other classes."""
    from segnet.run import load_run

    model, plan, manifest = load_run(folder)
    if manifest["dataset"]["classes"] != dataset.classes:
        raise Refusal(
            f"{folder} knows the classes {manifest['dataset']['classes']}, {dataset.folder} has "
            f"{dataset.classes}. Name the --data that it was trained on"
        )
    own = trained_on(folder, plan, manifest["dataset"]["fingerprint"], dataset)
    seen = frozenset(digest(image) for image, _ in own.pairs("train"))
    return Judge(str(folder), keras_function(model), plan.size, seen)


def trained_on(folder, plan: Plan, fingerprint: str, dataset: Dataset) -> Dataset:
    """The dataset that a run was trained on; what had to be assumed is said."""
    if dataset.fingerprint() == fingerprint:
        return dataset
    try:
        own = read_dataset(plan.data, plan.damaged)
        changed = own.fingerprint() != fingerprint
    except Refusal:
        say(f"note: {plan.data}, on which {folder} was trained, is not there; "
            f"{dataset.folder}/train is taken for it")  # fmt: skip
        return dataset
    if changed:
        say(f"note: {plan.data} was changed or copied since {folder} was trained; "
            "what is in its train/ today is taken for what it saw")  # fmt: skip
    return own


# The page


def write_page(out: Path, dataset: Dataset, split: str, looked_at: int, found: list) -> None:
    """One self-contained page with the images of `found`."""
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["percent"] = percent
    page = pages.get_template("label_issues.html.j2").render(
        dataset=dataset, split=split, looked_at=looked_at, different=DIFFERENT, thin=THIN,
        judges=list(dict.fromkeys(one.judge.name for one in found)),
        rows=[(one, panels(one, dataset)) for one in found],
    )  # fmt: skip
    with beside(out) as part:
        part.write_text(page, encoding="utf-8")


def panels(one: Suspect, dataset: Dataset) -> list[tuple[str, str]]:
    """(caption, data URI): the image, its mask, the model's and where they part."""
    image, mask = read_pair(one.pair, dataset)
    small, logits = looked_at(image, mask, one.judge)
    larger = max(1.0, SIDE / max(mask.shape))  # JPEG blurs what is drawn in a few pixels
    size = tuple(round(larger * side) for side in mask.shape)
    counts = np.uint8(weigh(logits, small) > 0)
    image, mask, counts = resize(image, size), nearest(mask, size), nearest(counts, size) > 0
    guess = to_mask(logits, size)
    differs = (guess != mask) & (mask != VOID)
    drawn = np.repeat(image.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
    drawn[differs], drawn[differs & counts] = THIN, DIFFERENT
    shown = {
        "image": image,
        "mask": overlay(image, mask, dataset.colours),
        "model": overlay(image, guess, dataset.colours),
        "difference": drawn,
    }
    return [(caption, uri(pixels, SIDE)) for caption, pixels in shown.items()]
