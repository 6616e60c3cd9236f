"""The same picture twice: equal pixels by digest, nearly equal ones by perceptual hash.

Hashes propose and small grey pictures decide, so that two plain pictures, whose hashes are noise,
are not taken for one. Nothing compares all pairs: hashes within 4 bits of each other agree wholly
in at least one of 5 bands, and only neighbours in a sorted band are compared.
"""

from typing import NamedTuple

import numpy as np

BITS = 4  # of 64 that may differ
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # (shift, width)
FURTHEST = 512  # places in a sorted band: bounds the time when hashes crowd
ALIKE = 0.985  # correlation of the small pictures from which two are one
PLAIN = 4.0  # standard deviation in grey levels below which a picture tells nothing
COLOUR = 24  # largest difference of the mean colours
ASPECT = 1.05  # largest ratio of the aspect ratios


class Alike(NamedTuple):
    """same, near: groups of positions, each rising and at least two long; near ones have different
    pixels, and of pictures with the same pixels only the first stands there."""

    same: list[list[int]]
    near: list[list[int]]


def find_alike(pictures: list) -> Alike:
    """pictures: PictureFacts; those with a fault take no part."""
    first, same = {}, {}
    for index, facts in enumerate(pictures):
        if facts.fault:
            continue
        if (start := first.setdefault(facts.digest, index)) != index:
            same.setdefault(start, [start]).append(index)
    kept = np.array(sorted(first.values()), int)
    if len(kept) < 2:
        return Alike(list(same.values()), [])
    thumbs = np.stack([np.frombuffer(pictures[i].thumb, np.uint8) for i in kept])
    telling = thumbs.astype(np.float32).std(1) >= PLAIN
    kept, thumbs = kept[telling], thumbs[telling]
    hashes = np.array([pictures[i].hash for i in kept], np.uint64)
    links = [
        (int(kept[a]), int(kept[b]))
        for left, right in candidates(hashes)
        for a, b in confirmed(left, right, thumbs)
        if comparable(pictures[kept[a]], pictures[kept[b]])
    ]
    return Alike(list(same.values()), joined(links))


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


def confirmed(left: np.ndarray, right: np.ndarray, thumbs: np.ndarray) -> list[tuple[int, int]]:
    a, b = (normal(thumbs[side]) for side in (left, right))
    close = (a * b).mean(1) >= ALIKE
    return list(zip(left[close].tolist(), right[close].tolist(), strict=True))


def normal(thumbs: np.ndarray) -> np.ndarray:
    """Each row with mean 0 and standard deviation 1."""
    rows = thumbs.astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    return rows / rows.std(1, keepdims=True)


def comparable(a, b) -> bool:
    """Whether two PictureFacts agree in mean colour and in shape."""
    apart = max(abs(x - y) for x, y in zip(a.colour, b.colour, strict=True))
    ratio = a.size[0] * b.size[1] / (a.size[1] * b.size[0])
    return apart <= COLOUR and 1 / ASPECT <= ratio <= ASPECT


def joined(links: list[tuple[int, int]]) -> list[list[int]]:
    """The connected groups of links."""
    root = {}

    def top(node):
        while root.setdefault(node, node) != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    for a, b in links:
        low, high = sorted((top(a), top(b)))
        root[high] = low
    groups = {}
    for node in sorted(root):
        groups.setdefault(top(node), []).append(node)
    return list(groups.values())
