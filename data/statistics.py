"""Pixel counts of a dataset, and the class weights computed from them."""

import numpy as np

from data.dataset import Dataset
from data.images import read_mask
from files import cached


def count_pixels(dataset: Dataset, split: str) -> np.ndarray:
    """Pixels of each class in the masks of a split, (C,) int64; cached until a file changes."""
    from tqdm import tqdm

    def count() -> list[int]:
        counts = np.zeros(256, np.int64)
        for _, mask in tqdm(dataset.pairs(split), unit="mask", leave=False, disable=None):
            counts += np.bincount(read_mask(mask, dataset).ravel(), minlength=256)
        return counts.tolist()

    fingerprint = dataset.fingerprint((split,), trust_times=True)
    found = np.array(cached(dataset.folder, f"pixels of {split}", fingerprint, count))
    return found[: len(dataset.classes)]


def balanced_weights(pixels: np.ndarray) -> np.ndarray:
    """Class weights (C,) from pixel counts: 1 / sqrt(frequency), scaled to a mean of 1 per pixel.

    With 1 / frequency, a class of one pixel in a thousand would dominate the loss. A class without
    pixels gets the weight of the rarest class that has some.
    """
    frequency = pixels / max(pixels.sum(), 1)
    weights = 1.0 / np.sqrt(np.maximum(frequency, frequency[frequency > 0].min(initial=1.0)))
    return weights / max((weights * frequency).sum(), 1e-12)


def class_weights(dataset: Dataset, kind: str) -> np.ndarray | None:
    """Class weights (C,) from the training masks for the option "balanced"; None for "none"."""
    return None if kind == "none" else balanced_weights(count_pixels(dataset, "train"))
