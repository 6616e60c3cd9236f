"""The images that int8 ranges are calibrated on, and how similar they are to the training set."""

import numpy as np

from data.batches import to_input
from data.dataset import Dataset
from data.images import read_image, read_mask

IMAGES = 128
LOOKED_AT = 1024  # most masks to read, so that any dataset takes seconds
BINS = 32  # of the histogram of each channel


def sample(dataset: Dataset, seed: int = 0) -> list:
    """Up to IMAGES training pairs, taken from the images of each class in turn; seeded."""
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
            # The next image of this class that has not been chosen yet.
            index = next((i for i in queue if i not in chosen), None)
            if index is None:
                queues.remove(queue)
            elif len(chosen) < IMAGES:
                chosen[index] = None
    return [pairs[index] for index in chosen]


def inputs(pairs: list, size: tuple[int, int]) -> np.ndarray:
    """The images of `pairs` as the evaluation pipeline prepares them, (N, H, W, 3) in [-1, 1].

    Two pixels in a corner of the first are set to black and white. They fix the input's range to
    [-1, 1], so that the file's uint8 input is the image's bytes whatever the images contain.
    """
    batch = np.stack([to_input(read_image(image), size) for image, _ in pairs])
    batch[0, 0, 0], batch[0, 0, 1] = -1.0, 1.0
    return batch


def random_inputs(dataset: Dataset, size: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Training images as in `inputs`, but drawn at random, without regard to classes."""
    pairs = dataset.pairs("train")
    drawn = np.random.default_rng(seed).permutation(len(pairs))[: 2 * IMAGES]
    return np.stack([to_input(read_image(pairs[index][0]), size) for index in drawn])


def histogram(batch: np.ndarray) -> np.ndarray:
    """Histogram of each channel, (3, BINS); each row sums to 1."""
    counts = [np.histogram(batch[..., c], BINS, (-1, 1))[0] for c in range(3)]
    return np.stack(counts) / (batch.size / 3)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation distance of two histograms, mean over channels: 0 equal, 1 disjoint."""
    return float(np.abs(one - other).sum(-1).mean() / 2)
