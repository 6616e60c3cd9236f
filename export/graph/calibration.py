"""The images that int8 ranges are measured on, and whether they are like the training set's."""

import numpy as np

from data.batches import to_input
from data.dataset import Dataset
from data.images import read_image, read_mask

IMAGES = 128
LOOKED_AT = 1024  # training images at most whose masks are read, so that any set takes seconds
BINS = 32  # of the histograms of bytes, a channel


def sample(dataset: Dataset, seed: int = 0) -> list:
    """Up to IMAGES training pairs, every class in turn as far as it is there; seeded."""
    pairs = dataset.pairs("train")
    order = np.random.default_rng(seed).permutation(len(pairs))[:LOOKED_AT]
    holders = [[] for _ in dataset.classes]
    for index in order:
        for found in np.unique(read_mask(pairs[index][1], dataset)):
            if found < len(holders):
                holders[found].append(index)
    chosen = {}
    queues = [iter(holder) for holder in holders]
    while queues and len(chosen) < IMAGES:
        for queue in list(queues):
            # The next image of this class that no other class has taken.
            index = next((i for i in queue if i not in chosen), None)
            if index is None:
                queues.remove(queue)
            elif len(chosen) < IMAGES:
                chosen[index] = None
    return [pairs[index] for index in chosen]


def inputs(pairs: list, size: tuple[int, int]) -> np.ndarray:
    """The images of `pairs` through the evaluation pipeline, (N, H, W, 3) float32 in [-1, 1].

    Two corner pixels of the first are black and white: they fix the input's range to [-1, 1], so
    that the file's input tensor is the image's bytes whatever the images hold.
    """
    batch = np.stack([to_input(read_image(image), size) for image, _ in pairs])
    batch[0, 0, 0], batch[0, 0, 1] = -1.0, 1.0
    return batch


def any_inputs(dataset: Dataset, size: tuple[int, int], seed: int = 1) -> np.ndarray:
    """As `inputs`, of training images drawn without a look at their masks."""
    pairs = dataset.pairs("train")
    drawn = np.random.default_rng(seed).permutation(len(pairs))[: 2 * IMAGES]
    return np.stack([to_input(read_image(pairs[index][0]), size) for index in drawn])


def histogram(batch: np.ndarray) -> np.ndarray:
    """Shares of byte values, (3, BINS): rows sum to 1."""
    counts = [np.histogram(batch[..., c], BINS, (-1, 1))[0] for c in range(3)]
    return np.stack(counts) / (batch.size / 3)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Half the sum of differences of two histograms, mean over channels: 0 equal, 1 disjoint."""
    return float(np.abs(one - other).sum(-1).mean() / 2)
