"""Duplicate images: identical ones by digest, near duplicates by perceptual hash.

Hashes propose near duplicates and grey thumbnails confirm them, because the hash of an image with
hardly any contrast is noise. The cost is not quadratic: two hashes that differ in at most 4 bits
are equal in at least one of 5 bands of bits, so only neighbours in each sorted band are compared.
"""

from typing import NamedTuple

import numpy as np

BITS = 4  # of 64 that may differ between near duplicates
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # (shift, width)
FURTHEST = 512  # largest distance in a sorted band; bounds the time if many hashes are equal
ALIKE = 0.985  # smallest correlation of the thumbnails of near duplicates
PLAIN = 4.0  # images whose thumbnail has a smaller standard deviation in grey levels are skipped
COLOUR = 24  # largest difference of the mean colours in a channel
ASPECT = 1.05  # largest quotient of the aspect ratios
PIECE = 8192  # pairs that are compared at once


class Alike(NamedTuple):
    """same, near: groups of at least two image indices in ascending order, with identical or nearly
    identical pixels. Of identical images, `near` contains only the first."""

    same: list[list[int]]
    near: list[list[int]]


class Traits(NamedTuple):
    """Of N images: grey thumbnails (N, THUMB²) uint8, mean RGB (N, 3), height / width (N,)."""

    thumbs: np.ndarray
    colours: np.ndarray
    aspects: np.ndarray


def find_alike(images: list) -> Alike:
    """images: ImageFacts; images with a fault are skipped."""
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
    """Batches of (left, right) indices of similar hashes; a pair may occur in several batches."""
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
    """The proposed pairs that are near duplicates."""
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
    """The rows normalised to mean 0 and standard deviation 1."""
    rows = thumbs.astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    return rows / rows.std(1, keepdims=True)


def joined(group: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Group numbers (N,) after the group of each left index is merged with that of its right."""
    if not len(left):
        return group
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array(
        (np.ones(len(left), bool), (group[left], group[right])), (len(group), len(group))
    )
    return connected_components(links, directed=False)[1][group]


def members(group: np.ndarray) -> list[np.ndarray]:
    """The indices of each group with at least two members, sorted by their first index."""
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((rows for rows in groups if len(rows) > 1), key=lambda rows: rows[0])
