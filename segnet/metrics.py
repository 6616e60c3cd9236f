"""The project's only IoU: an int64 confusion matrix and the scores computed from it."""

import cv2
import numpy as np

from segnet.losses import VOID

MOST_CHANNELS = 128  # of an image that OpenCV 5 resizes
MOST_VALUES = 1 << 26  # of a block of resized logits: 256 MB


def to_mask(logits: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Class ids (H, W) uint8 of logits (h, w, C), which are resized bilinearly to `size` first.

    The first of equal logits counts. The channels are resized in blocks, of which one at a time is
    in memory.
    """
    if size is None or tuple(size) == logits.shape[:2]:
        return logits.argmax(-1).astype(np.uint8)
    height, width = size
    channels = max(1, min(MOST_CHANNELS, MOST_VALUES // (height * width)))
    ids, largest = np.zeros(size, np.uint8), np.full(size, -np.inf, logits.dtype)
    for first in range(0, logits.shape[-1], channels):
        block = np.ascontiguousarray(logits[..., first : first + channels])
        block = cv2.resize(block, (width, height), interpolation=cv2.INTER_LINEAR)
        block = block.reshape(height, width, -1)
        best = block.argmax(-1)
        if block.shape[-1] == logits.shape[-1]:
            return best.astype(np.uint8)
        found = np.take_along_axis(block, best[..., None], -1)[..., 0]
        np.copyto(ids, (best + first).astype(np.uint8), where=found > largest)
        np.maximum(largest, found, out=largest)
    return ids


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
