"""The accuracy of a file on the images it is judged on, against the trained and the float model."""

from collections.abc import Callable

import numpy as np

from data.dataset import Dataset
from export.proof.outputs import head_error, mask_of
from export.proof.score import predictions
from segnet.metrics import confusion, scores, to_mask


class Comparison:
    """Sums of logits (H, W, C) of a file and of its float model, over images."""

    def __init__(self, classes: int):
        self.pixels = self.equal = 0
        self.error = self.largest = 0.0
        self.difference = np.zeros(classes)  # file less float model
        self.squares = self.product = 0.0

    def add(self, found: np.ndarray, wanted: np.ndarray, ids: np.ndarray | None = None) -> None:
        """ids: the classes (H, W) that the file gives, if they are not of its largest logits."""
        self.pixels += wanted.shape[0] * wanted.shape[1]
        ids = found.argmax(-1) if ids is None else ids
        self.equal += int((ids == wanted.argmax(-1)).sum())
        # Unlike max(), np.maximum keeps a NaN.
        self.error = float(np.maximum(self.error, np.abs(found - wanted).max()))
        self.largest = max(self.largest, float(np.abs(wanted).max()))
        self.difference += np.float64(found - wanted).sum((0, 1))
        self.squares += float(np.square(wanted, dtype=np.float64).sum())
        self.product += float((np.float64(wanted) * found).sum())

    def figures(self) -> dict:
        """logit_bias: the largest mean difference of a class, relative to the logits' root mean
        square; logit_scale_error: |1 - the factor by which the file's logits are larger|."""
        classes = len(self.difference)
        size = np.sqrt(self.squares / (self.pixels * classes))
        bias = np.abs(self.difference).max() / self.pixels
        return {
            "pixel_agreement": self.equal / self.pixels,
            "max_abs_error": self.error / self.largest if self.largest else float("inf"),
            "logit_bias": float(bias / size) if size else float("inf"),
            "logit_scale_error": abs(1 - self.product / self.squares) if self.squares else 1.0,
        }


class Ended:
    """A file that ends in softmax or argmax, beside the one that gives its logits.

    function: from (1, H, W, 3) to `values`, "probabilities" or "classes". error: the largest
    `head_error` so far.
    """

    def __init__(self, function: Callable, values: str):
        self.function, self.values, self.error = function, values, 0.0

    def __call__(self, inputs: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """What it gives for (1, H, W, 3); logits: (H, W, C) of the same input."""
        found = self.function(inputs)[0]
        self.error = float(np.maximum(self.error, head_error(found, self.values, logits)))
        return found


def accuracy(
    keras: Callable, float_model: Callable, file: Callable, dataset: Dataset, split: str, size,
    ended: Ended | None = None,
) -> dict:  # fmt: skip
    """mIoU and IoU of the file against Keras, and its logits against those of its float model.

    keras, float_model, file: functions from (1, H, W, 3) to logits (1, H, W, C); float_model is
    keras itself unless the file was fine-tuned. ended: the file whose masks count, if not `file`.
    """
    functions = keras, float_model, file, ended
    matrices, compared = compared_images(functions, dataset, split, size)
    before, after = (scores(matrix, dataset.classes) for matrix in matrices)
    few = minority(matrices[1])
    missing = {"minority": f"the masks of {split} hold a single class"} if few is None else {}
    drops = [b - after["iou"][name] for name, b in before["iou"].items() if b is not None]
    return {
        "judged_on": split,
        "judged_images": len(dataset.pairs(split)),
        "miou_keras": before["miou"],
        "miou_tflite": after["miou"],
        "miou_drop": before["miou"] - after["miou"],
        "iou_keras": before["iou"],
        "iou_tflite": after["iou"],
        "worst_class_drop": max(drops, default=None),
        "confusion": matrices[1].tolist(),
        "minority": few,
        "not_measured": missing,
        **compared.figures(),
        **({"head_error": ended.error} if ended else {}),
    }


def compared_images(functions, dataset: Dataset, split: str, size) -> tuple:
    """(confusion matrices of Keras and of the file, `Comparison`) over the images of a split.

    functions: keras, float_model, file and ended, as in `accuracy`.
    """
    from tqdm import tqdm

    keras, float_model, file, ended = functions
    classes, values = len(dataset.classes), ended.values if ended else "logits"
    matrices, compared = [0, 0], Comparison(classes)
    images, total = predictions(keras, dataset, split, size), len(dataset.pairs(split))
    for inputs, trained, truth in tqdm(
        images, total=total, unit="image", leave=False, disable=None
    ):
        found = file(inputs)[0]
        wanted = trained if float_model is keras else float_model(inputs)[0]
        final = ended(inputs, found) if ended else found
        compared.add(found, wanted, mask_of(final, values))
        masks = to_mask(trained, truth.shape), mask_of(final, values, truth.shape)
        for index, predicted in enumerate(masks):
            matrices[index] = matrices[index] + confusion(truth, predicted, classes)
    return matrices, compared


def minority(matrix: np.ndarray) -> float | None:
    """Pixels that are not predicted as the class predicted most, relative to the truth's.

    0 for a model that gives one class everywhere; None if the truth holds a single class, on which
    nothing can be told.
    """
    total, predicted, truth = matrix.sum(), matrix.sum(0).max(), matrix.sum(1).max()
    return float((total - predicted) / (total - truth)) if total > truth else None


def majority_miou(matrix: np.ndarray) -> float:
    """The mIoU of giving the truth's most frequent class everywhere."""
    truth = matrix.sum(1)
    return float(truth.max() / truth.sum() / np.count_nonzero(truth))
