"""Batches by Grain: shuffled, decoded and augmented in threads, reproducible from the seed."""

import itertools
import os
from collections.abc import Callable, Iterator
from functools import lru_cache

import cv2
import numpy as np

from data.augment import augment
from data.dataset import Dataset
from data.images import read_pair, resize
from data.mirror import ids_when_flipped
from data.shards import start_grain

MEAN = STD = 127.5  # normalises bytes to [-1, 1]
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
ENDLESS = 2**40  # images
AHEAD = 32  # prefetched pairs, or one batch per thread if that is more: bounds the memory


def to_input(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (*size, 3) float32 in [-1, 1]; the whole image is resized."""
    return scale(resize(image, size))


def scale(image: np.ndarray) -> np.ndarray:
    """Bytes of any shape to float32 in [-1, 1].

    Subtracts and divides as TFLite metadata prescribes, so that the results are bit-identical; in
    place, because a batch does not fit the processor's cache.
    """
    scaled = image.astype(np.float32)
    scaled -= np.float32(MEAN)
    scaled /= np.float32(STD)
    return scaled


def steps_per_epoch(dataset: Dataset, batch: int) -> int:
    """Every image is seen once per epoch."""
    return -(-len(dataset.pairs("train")) // batch)


def whole(count: int) -> slice:
    """The share of a process that trains alone: all images of a batch."""
    return slice(count)


def training_batches(
    dataset: Dataset, size: tuple[int, int], batch: int, seed: int, start: int = 0,
    strength: float = 1.0, share: Callable[[int], slice] = whole,
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:  # fmt: skip
    """Endless batches from step `start`: images (N, H, W, 3) float32 in [-1, 1], masks (N, H, W)
    and the number of images of the step.

    batch: the most images of a step. Where they do not divide an epoch, its steps differ by one
    image: a last step of the few that are left would weigh them more than others, and its batch
    statistics be poor. A step gives the same batch whatever `start` is: every element has its own
    seed, which also selects the image that it is mixed with. strength: of the augmentation, 0 to 2.
    share(count): which images of a step of that many are read here, by one of several processes;
    the order of the images does not depend on it.
    """
    stream = training_stream(dataset, size, batch, seed, strength, share)
    return iter(with_threads(stream[start:], batch))


def training_stream(
    dataset: Dataset, size: tuple[int, int], batch: int, seed: int, strength: float = 1.0,
    share: Callable[[int], slice] = whole,
):  # fmt: skip
    """The batches of `training_batches` as a Grain MapDataset: stream[s] is the batch of step s."""
    pairs, steps = dataset.pairs("train"), steps_per_epoch(dataset, batch)
    count, flipped = len(pairs), ids_when_flipped(dataset)

    def another(rng):
        return read_pair(pairs[rng.integers(count)], dataset)

    def read(index, rng):
        epoch, place = divmod(index, count)
        pair = pairs[order(seed, epoch, count)[place]]
        own = read_pair(pair, dataset)
        return augment(*own, rng, size, strength, another, None, flipped)

    def step(index):
        epoch, place = divmod(index, steps)
        first, end = (epoch * count + count * edge // steps for edge in (place, place + 1))
        pairs = [elements[at] for at in range(first, end)[share(end - first)]]
        images, masks = zip(*pairs, strict=True) if pairs else ((), ())
        images = np.array(images, np.uint8).reshape(-1, *size, 3)
        return scale(images), np.array(masks, np.uint8).reshape(-1, *size), end - first

    cv2.setNumThreads(0)  # Grain's threads already use all cores
    endless = start_grain().MapDataset.range(ENDLESS)
    elements = endless.seed(seed).random_map(read)
    return endless.map(step)


@lru_cache(2)  # threads may be in two epochs at the same time
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of range(count), different in every epoch.

    Replaces Grain's shuffle, which computes each index separately: 27 ms (measured) per epoch of
    even a small dataset, the time of 20 images.
    """
    return np.random.default_rng([seed, epoch]).permutation(count)


def with_threads(stream, batch: int = 1):
    """The elements of a MapDataset, each of `batch` images, computed in threads."""
    options = start_grain().ReadOptions(THREADS, max(THREADS, AHEAD // batch))
    return stream.to_iter_dataset(options)


def evaluation_pairs(
    dataset: Dataset, split: str, size: tuple[int, int], batch: int, part: slice = slice(None)
) -> Iterator[tuple[np.ndarray, list[np.ndarray], list]]:
    """(inputs (N, H, W, 3), masks at their own sizes, pairs of paths), in order, each once.

    part: of the split's batches, all by default.
    """

    def read(pair):
        image, mask = read_pair(pair, dataset)
        return to_input(image, size), mask, pair

    pairs = dataset.pairs(split)
    starts = range(0, len(pairs), batch)[part]
    mine = [pair for start in starts for pair in pairs[start : start + batch]]
    source = start_grain().MapDataset.source(mine).map(read)
    stream = iter(with_threads(source))
    while group := list(itertools.islice(stream, batch)):
        inputs, masks, paths = zip(*group, strict=True)
        yield np.stack(inputs), list(masks), list(paths)
