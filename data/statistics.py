"""Pixel counts of a dataset, and the class weights that follow from them."""

import numpy as np

from data.dataset import Dataset
from data.images import read_mask
from files import cached


def count_pixels(dataset: Dataset, split: str) -> np.ndarray:
    """Pixels of each class in the masks of a split, (C,) int64; kept until a file changes."""
    from tqdm import tqdm

    def count() -> list[int]:
        counts = np.zeros(256, np.int64)
        for _, mask in tqdm(dataset.pairs(split), unit="mask", leave=False):
            counts += np.bincount(read_mask(mask, dataset).ravel(), minlength=256)
        return counts.tolist()

    mark = dataset.fingerprint((split,))
    found = np.array(cached(dataset.folder, f"pixels of {split}", mark, count))
    return found[: len(dataset.classes)]


def balanced_weights(pixels: np.ndarray) -> np.ndarray:
    """Weights (C,) of classes with so many pixels each: 1 / sqrt(share), 1 for a mean pixel.

    The root, because the full ratio lets a class of one pixel in a thousand drown the others. A
    class without a pixel gets the rarest other's weight.
    """
    share = pixels / max(pixels.sum(), 1)
    weights = 1.0 / np.sqrt(np.maximum(share, share[share > 0].min(initial=1.0)))
    return weights / max((weights * share).sum(), 1e-12)


def class_weights(dataset: Dataset, kind: str) -> np.ndarray | None:
    """Weights (C,) for the plan's word, "none" or "balanced", from the training masks."""
    return None if kind == "none" else balanced_weights(count_pixels(dataset, "train"))
