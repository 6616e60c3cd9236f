"""Pictures whose masks the model disagrees with most: likely mislabelled.

Edges are drawn differently by every hand, so what is near them does not count; nor does a model
that is not sure.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader

from cli import Refusal, beside
from data.batches import to_input
from data.dataset import Dataset, read_dataset
from data.drawing import overlay, uri
from data.labels import VOID
from data.pictures import read_pair
from export.score import logits_of, predictions
from segnet.metrics import to_mask

EDGE = 0.02  # of the shorter side, at least 2 pixels: near an edge of the mask
SURE = 0.9  # of the model's probability
LEAST = 0.002  # of the picture: a class that has less is left out
SIDE = 240  # pixels, of a picture on the page
WRONG = np.uint8((255, 96, 255))  # RGB, where the model is sure of another class


class Suspect(NamedTuple):
    """A pair and how much of its worst class the model is sure of being another, 0 to 1.

    said: name of the class in the mask, or that the model sees where the mask has another.
    """

    picture: Path
    mask: Path
    share: float
    said: str


def suspects(model: Path, dataset: Dataset, split: str, progress: Callable = iter) -> list[Suspect]:
    """Every picture of a split, the most suspicious first. Raises Refusal for other classes."""
    function, size = logits_of(model)
    found = []
    pairs = dataset.pairs(split)
    seen = predictions(function, dataset, split, size)
    for pair, (_, logits, truth) in zip(progress(pairs), seen, strict=True):
        if logits.shape[-1] != len(dataset.classes):
            raise Refusal(
                f"{model} knows {logits.shape[-1]} classes, {dataset.folder} has "
                f"{len(dataset.classes)}. Give --data a dataset with the classes of its training"
            )
        share, id_ = worst_class(truth, to_mask(logits, truth.shape), doubt(logits, truth))
        found.append(Suspect(*pair, share, dataset.classes[id_]))
    return sorted(found, key=lambda suspect: -suspect.share)


def doubt(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(H, W) bool: where the model is sure, away from edges, of another class than the mask's."""
    large = cv2.resize(logits, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    large = large.reshape(*truth.shape, -1)  # OpenCV drops an axis of one
    chances = np.exp(large - large.max(-1, keepdims=True))
    sure = chances.max(-1) / chances.sum(-1) >= SURE
    other = (large.argmax(-1) != truth) & (truth != VOID)
    return sure & other & ~near_edges(truth)


def near_edges(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a pixel of another value is within EDGE."""
    reach = max(2, round(EDGE * min(mask.shape)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)


def worst_class(truth: np.ndarray, guess: np.ndarray, doubted: np.ndarray) -> tuple[float, int]:
    """(share, id) of the class of whose pixels, in mask or model, most are doubted."""
    worst = 0.0, 0
    for id_ in np.unique(truth[truth != VOID]).tolist() + np.unique(guess[doubted]).tolist():
        either = ((truth == id_) | (guess == id_)) & (truth != VOID)
        if either.sum() >= LEAST * truth.size:
            worst = max(worst, (float(doubted[either].mean()), id_))
    return worst


def write(path: Path, model: Path, dataset: Dataset, found: list[Suspect]) -> None:
    """The page with the pictures of `found`."""
    function, size = logits_of(model)
    cards = []
    for suspect in found:
        picture, truth = read_pair((suspect.picture, suspect.mask), dataset)
        logits = function(to_input(picture, size)[None])[0]
        guess, doubted = to_mask(logits, truth.shape), doubt(logits, truth)
        grey = np.repeat(picture.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
        views = {
            "picture": picture,
            "mask": overlay(picture, truth, dataset.colours),
            "model": overlay(picture, guess, dataset.colours),
            "sure of another class": np.where(doubted[..., None], WRONG, grey),
        }
        cards.append({"suspect": suspect, "views": {n: uri(v, SIDE) for n, v in views.items()}})
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    words = {"model": str(model), "dataset": dataset, "cards": cards, "sure": SURE, "edge": EDGE}
    with beside(path) as part:
        part.write_text(pages.get_template("suspects.html.j2").render(words), encoding="utf-8")


def trained_on(model: Path, dataset: Dataset, split: str) -> bool:
    """Whether the run learnt these very masks, and so their faults."""
    from segnet.run import read_run

    if split != "train" or not Path(model).is_dir():
        return False
    return Path(read_run(model)[0].data).resolve() == dataset.folder.resolve()


def dataset_of(model: Path, data: str | None) -> Dataset:
    """That of --data, or of the run's training. Raises Refusal for a .tflite without --data."""
    from segnet.run import read_run

    if data:
        return read_dataset(data)
    if not Path(model).is_dir():
        raise Refusal(f"{model} is no run: say with --data which pictures are meant")
    return read_dataset(read_run(model)[0].data)
