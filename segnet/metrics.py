"""The project's only IoU: an int64 confusion matrix and the scores computed from it."""

import cv2
import numpy as np

from segnet.losses import VOID


def to_mask(logits: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Class ids (H, W) uint8 of logits (h, w, C), which are resized bilinearly to `size` first."""
    if size is not None and size != logits.shape[:2]:
        logits = cv2.resize(logits, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return logits.argmax(-1).astype(np.uint8)


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64: rows are the ground truth, columns the prediction; void is left out."""
    counts = truth != VOID
    index = truth[counts].astype(np.int64) * classes + predicted[counts]
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)


def scores(matrix: np.ndarray, names: list[str]) -> dict:
    """miou: over the classes that the ground truth holds, so that a stray pixel of an absent class
    does not count. iou: by name, None where the truth has none. pixel_accuracy. All fractions."""
    correct, truth = np.diag(matrix), matrix.sum(1)
    union = matrix.sum(0) + truth - correct
    iou = [float(c / u) if t else None for c, u, t in zip(correct, union, truth, strict=True)]
    present = [value for value in iou if value is not None]
    return {
        "miou": float(np.mean(present)) if present else 0.0,
        "iou": dict(zip(names, iou, strict=True)),
        "pixel_accuracy": float(correct.sum() / max(matrix.sum(), 1)),
    }
