"""The same image twice: equal pixels by digest, nearly equal ones by perceptual hash.

Hashes propose and small grey images decide, so that two plain images, whose hashes are noise,
are not taken for one. Nothing compares all pairs: hashes within 4 bits of each other agree wholly
in at least one of 5 bands, and only neighbours in a sorted band are compared.
"""

from typing import NamedTuple

import numpy as np

BITS = 4  # of 64 that may differ
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # (shift, width)
FURTHEST = 512  # places in a sorted band: bounds the time when hashes crowd
ALIKE = 0.985  # correlation of the small images from which two are one
PLAIN = 4.0  # standard deviation in grey levels below which an image tells nothing
COLOUR = 24  # largest difference of the mean colours
ASPECT = 1.05  # largest ratio of the aspect ratios
PIECE = 8192  # pairs that are compared at a time


class Alike(NamedTuple):
    """same, near: groups of positions, each rising and at least two long; near ones have different
    pixels, and of images with the same pixels only the first stands there."""

    same: list[list[int]]
    near: list[list[int]]


class Traits(NamedTuple):
    """Of N images: (N, THUMB²) uint8 small grey ones, (N, 3) mean RGB, (N,) height / width."""

    thumbs: np.ndarray
    colours: np.ndarray
    aspects: np.ndarray


def find_alike(images: list) -> Alike:
    """images: ImageFacts; those with a fault take no part."""
    first, same = {}, {}
    for index, facts in enumerate(images):
        if facts.fault:
            continue
        if (start := first.setdefault(facts.digest, index)) != index:
            same.setdefault(start, [start]).append(index)
    kept = np.array(
        [i for i in first.values() if np.frombuffer(images[i].thumb, np.uint8).std() >= PLAIN],
        int,
    )
    if len(kept) < 2:
        return Alike(list(same.values()), [])
    seen = [images[index] for index in kept]
    hashes = np.array([facts.hash for facts in seen], np.uint64)
    traits = Traits(
        np.stack([np.frombuffer(facts.thumb, np.uint8) for facts in seen]),
        np.array([facts.colour for facts in seen], np.int16),
        np.array([facts.size[0] / facts.size[1] for facts in seen]),
    )
    group = np.arange(len(kept))
    for left, right in candidates(hashes):
        apart = group[left] != group[right]
        group = joined(group, *confirmed(left[apart], right[apart], traits))
    return Alike(list(same.values()), [kept[rows].tolist() for rows in members(group)])


def candidates(hashes: np.ndarray):
    """Batches of (left, right) positions whose hashes are near; a pair may come in several."""
    for shift, width in BANDS:
        keys = (hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)
        order = np.lexsort((hashes, keys))
        keys, sorted_hashes = keys[order], hashes[order]
        alive = np.arange(len(order))
        for step in range(1, min(FURTHEST, len(order))):
            alive = alive[alive + step < len(order)]
            alive = alive[keys[alive] == keys[alive + step]]
            if not len(alive):
                break
            bits = np.bitwise_count(sorted_hashes[alive] ^ sorted_hashes[alive + step])
            near = alive[bits <= BITS]
            if len(near):
                yield order[near], order[near + step]


def confirmed(left: np.ndarray, right: np.ndarray, traits: Traits) -> tuple[np.ndarray, np.ndarray]:
    """Of proposed pairs those that are one image."""
    colour = np.abs(traits.colours[left] - traits.colours[right]).max(1, initial=0) <= COLOUR
    shape = np.abs(np.log(traits.aspects[left] / traits.aspects[right])) <= np.log(ASPECT)
    left, right = left[colour & shape], right[colour & shape]
    good = [
        (normal(traits.thumbs[a]) * normal(traits.thumbs[b])).mean(1) >= ALIKE
        for a, b in zip(pieces(left), pieces(right), strict=True)
    ]
    good = np.concatenate([np.zeros(0, bool), *good])
    return left[good], right[good]


def pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + PIECE] for start in range(0, len(rows), PIECE)]


def normal(thumbs: np.ndarray) -> np.ndarray:
    """Each row with mean 0 and standard deviation 1."""
    rows = thumbs.astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    return rows / rows.std(1, keepdims=True)


def joined(group: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The groups' numbers (N,) after each left has come together with its right."""
    if not len(left):
        return group
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array(
        (np.ones(len(left), bool), (group[left], group[right])), (len(group), len(group))
    )
    return connected_components(links, directed=False)[1][group]


def members(group: np.ndarray) -> list[np.ndarray]:
    """The positions in each group of two and more, by the first."""
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((rows for rows in groups if len(rows) > 1), key=lambda rows: rows[0])
