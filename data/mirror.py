"""Left and right: the classes that change places when an image is flipped."""

import re
from collections.abc import Sequence

LEFT = re.compile(r"left|(?<![^\W_])l(?![^\W_])")  # a word, or the letter between separators
RIGHT = {"left": "right", "l": "r"}


def likely_pairs(classes: Sequence[str]) -> list[list[str]]:
    """The [left, right] classes by their names: left_eye and right_eye, arm-L and arm-R."""
    known = {name.casefold(): name for name in classes}
    pairs = []
    for folded, name in known.items():
        other = LEFT.sub(lambda found: RIGHT[found[0]], folded)
        if other != folded and other in known:
            pairs.append([name, known[other]])
    return pairs


def fault_of(mirror, classes: Sequence[str]) -> str:
    """Why `mirror` is no list of pairs of classes, as a predicate; "" if it is one."""
    if not (isinstance(mirror, list) and all(map(is_pair, mirror))):
        return "is no list of pairs"
    names = [name for pair in mirror for name in pair]
    for name in names:
        if name not in classes:
            return f"has {name[:40]!r}, which is no class"
        if names.count(name) > 1:
            return f"has {name[:40]!r} twice"
    return ""


def is_pair(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, str) for n in value)


def ids_when_flipped(dataset) -> list[int] | None:
    """The id that each id 0..255 has in a flipped image; None if images must not be flipped,
    because names look like left and right and dataset.toml has no `mirror`."""
    if dataset.mirror is None and likely_pairs(dataset.classes):
        return None
    ids = list(range(256))
    for pair in dataset.mirror or ():
        left, right = (dataset.classes.index(name) for name in pair)
        ids[left], ids[right] = right, left
    return ids
