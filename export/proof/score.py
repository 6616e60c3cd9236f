"""Scores a run or a .tflite on a split of a dataset, with `segnet.metrics`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cli import Refusal
from data.batches import evaluation_pairs, to_input
from data.dataset import Dataset
from data.images import read_pair
from segnet.metrics import confusion, scores, to_mask

SUBSET = 32  # validation images for a search; the gate then checks its result on all of them
BATCH = 1  # the batch size of an exported file


def logits_of(model: Path):
    """(function from (1, H, W, 3) to logits (1, H, W, C), its (H, W)) of a run or a .tflite."""
    if Path(model).is_dir():
        from segnet.run import load_run

        net, plan, _ = load_run(model)
        return keras_function(net), plan.size
    from export.targets.xnnpack import load

    runtime = load(model)
    return runtime, runtime.size


def predictor(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from an image (H, W, 3) uint8 RGB to class ids (H, W) uint8. model: as `score`."""
    function, size = logits_of(model)
    return lambda image: to_mask(function(to_input(image, size)[None])[0], image.shape[:2])


def keras_function(net) -> Callable:
    return lambda image: np.asarray(net.predict_on_batch(image))


def predictions(function, dataset: Dataset, split: str, size) -> Iterator[tuple]:
    """(input (1, H, W, 3), logits (H, W, C), ground truth at its own size) of every image."""
    for inputs, masks, _ in evaluation_pairs(dataset, split, size, BATCH):
        yield inputs, function(inputs)[0], masks[0]


def score(model: Path, dataset: Dataset, split: str) -> dict:
    """`segnet.metrics.scores` of a run or a .tflite. Raises Refusal if the classes differ."""
    function, size = logits_of(model)
    return score_function(function, dataset, split, size, model)


def score_function(function, dataset: Dataset, split: str, size, name="the model") -> dict:
    """`score` of a function from (1, H, W, 3) to logits (1, H, W, C)."""
    classes, matrix = len(dataset.classes), 0
    for _, logits, truth in predictions(function, dataset, split, size):
        if logits.shape[-1] != classes:
            raise Refusal(
                f"{name} predicts {logits.shape[-1]} classes, but {dataset.folder} has {classes}. "
                "Score it on a dataset with the classes that it was trained on"
            )
        matrix = matrix + confusion(truth, to_mask(logits, truth.shape), classes)
    return scores(matrix, dataset.classes)


def subset_miou(function, dataset: Dataset, size: tuple[int, int], seed: int = 0) -> float:
    """mIoU of a function from (1, H, W, 3) to logits on SUBSET validation images; seeded."""
    pairs = dataset.pairs("val")
    matrix = 0
    for index in np.random.default_rng(seed).permutation(len(pairs))[:SUBSET]:
        image, truth = read_pair(pairs[index], dataset)
        predicted = to_mask(function(to_input(image, size)[None])[0], truth.shape)
        matrix = matrix + confusion(truth, predicted, len(dataset.classes))
    return scores(matrix, dataset.classes)["miou"]
