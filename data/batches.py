"""Batches through Grain: shuffled, decoded and augmented in threads, the same for the same seed."""

import itertools
import os
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np

from data.augment import augment
from data.dataset import Dataset
from data.images import read_pair, resize
from data.shards import start_grain

MEAN = STD = 127.5  # byte to [-1, 1]
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
ENDLESS = 2**40  # images
AHEAD = 32  # decoded pairs that wait, or a batch a thread: the memory that any dataset takes


def to_input(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (*size, 3) float32 in [-1, 1], the whole image resized."""
    return scale(resize(image, size))


def scale(image: np.ndarray) -> np.ndarray:
    """Bytes, any shape, to [-1, 1]. The same two steps as of TFLite's metadata, so the same bits.

    In place, since a batch does not fit the cache.
    """
    scaled = image.astype(np.float32)
    scaled -= np.float32(MEAN)
    scaled /= np.float32(STD)
    return scaled


def training_batches(
    dataset: Dataset, size: tuple[int, int], batch: int, seed: int, start: int = 0,
    strength: float = 1.0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Endless (images (N, H, W, 3) float32 in [-1, 1], masks (N, H, W) uint8), from `start`.

    Step s gives the same batch whatever `start` is: every element has a seed of its own, which also
    draws the image that it is mixed with. strength: of the augmentation.
    """
    stream = training_stream(dataset, size, batch, seed, strength)
    return iter(with_threads(stream[start:], batch))


def training_stream(
    dataset: Dataset, size: tuple[int, int], batch: int, seed: int, strength: float = 1.0
):
    """The batches of `training_batches` as Grain's MapDataset: stream[s] makes that of step s."""
    pairs = dataset.pairs("train")

    def another(rng):
        return read_pair(pairs[rng.integers(len(pairs))], dataset)

    def read(index, rng):
        epoch, place = divmod(index, len(pairs))
        pair = pairs[order(seed, epoch, len(pairs))[place]]
        return augment(*read_pair(pair, dataset), rng, size, strength, another)

    cv2.setNumThreads(0)  # Grain's threads are the parallelism
    return (
        start_grain().MapDataset.range(ENDLESS).seed(seed).random_map(read)
        .batch(batch).map(lambda made: (scale(made[0]), made[1]))
    )  # fmt: skip


@lru_cache(2)  # threads stand in two epochs at once
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Numbers below `count`, shuffled anew every epoch.

    Grain's shuffle finds each number alone: 27 ms an epoch of any small set (measured), the
    time of 20 images.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)


def with_threads(stream, batch: int = 1):
    """The elements of a MapDataset, of `batch` images each, made in threads."""
    options = start_grain().ReadOptions(THREADS, max(THREADS, AHEAD // batch))
    return stream.to_iter_dataset(options)


def evaluation_pairs(
    dataset: Dataset, split: str, size: tuple[int, int], batch: int
) -> Iterator[tuple[np.ndarray, list[np.ndarray], list]]:
    """(inputs (N, H, W, 3), masks at their own sizes, paths), every image once, in order."""

    def read(pair):
        image, mask = read_pair(pair, dataset)
        return to_input(image, size), mask, pair

    source = start_grain().MapDataset.source(dataset.pairs(split)).map(read)
    stream = iter(with_threads(source))
    while group := list(itertools.islice(stream, batch)):
        inputs, masks, paths = zip(*group, strict=True)
        yield np.stack(inputs), list(masks), list(paths)
