"""Pixel counts of a dataset, and the class weights computed from them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from data.dataset import Dataset
from data.images import FORMATS, orientation_of, read_mask, read_pair
from files import cached

THREADS = 4
AT_ONCE = 256  # pairs that are queued for the threads, which bounds the memory


def count_ids(dataset: Dataset, split: str) -> np.ndarray:
    """Pixels of each id in the masks of a split, (256,) int64, void at 255; cached until a file
    changes. Raises Refusal for a mask that cannot be read or does not fit its image's header."""
    from tqdm import tqdm

    def count() -> list[int]:
        pairs, counts = dataset.pairs(split), np.zeros(256, np.int64)
        with (
            ThreadPoolExecutor(THREADS) as pool,
            tqdm(total=len(pairs), unit="mask", leave=False, disable=None) as bar,
        ):
            for start in range(0, len(pairs), AT_ONCE):
                several = pairs[start : start + AT_ONCE]
                for mask in pool.map(lambda pair: mask_of(pair, dataset), several):
                    counts += np.bincount(mask.ravel(), minlength=256)
                    bar.update()
        return counts.tolist()

    fingerprint = dataset.fingerprint((split,), trust_times=True)
    return np.array(cached(dataset.folder, f"pixels of {split}", fingerprint, count))


def mask_of(pair, dataset: Dataset) -> np.ndarray:
    """The mask of a pair. The image is decoded only if its header shows another size; in a packed
    dataset sizes were compared before."""
    mask = read_mask(pair[1], dataset)
    if isinstance(pair[0], Path) and size_of(pair[0]) != mask.shape:
        read_pair(pair, dataset)
    return mask


def size_of(path: Path) -> tuple[int, int] | None:
    """(H, W) by the header of an image file, EXIF orientation applied; None if it is unreadable."""
    if not path.is_file():
        return None
    try:
        with Image.open(path, formats=FORMATS) as header:
            size = header.height, header.width
            return size[::-1] if orientation_of(header) >= 5 else size
    except (OSError, ValueError):
        return None


def count_pixels(dataset: Dataset, split: str) -> np.ndarray:
    """Pixels of each class in the masks of a split, (C,) int64, as `count_ids` has them."""
    return count_ids(dataset, split)[: len(dataset.classes)]


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
