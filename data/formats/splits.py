"""Who trains and who judges: splits by hash, so that new images hardly move an old one."""

import hashlib
from collections.abc import Sequence


def assign(
    groups: Sequence[str], present: Sequence[frozenset], val: float, test: float, seed: int
) -> list[str]:
    """A split for each image: "train", "val" or "test".

    groups: what must stay together, a name an image. present: ids of the classes in each. val,
    test: shares. A group's place on the line from 0 to 1 is a hash of its name and the seed: test
    has the lowest places, val the next; train and val are never empty where two groups are there. A
    class that train or val lacks, though two groups have it, is brought there with the group that
    stands nearest. So new images move no old one, but for such classes of very few images.
    """
    place = {group: fraction(group, seed) for group in groups}
    classes = {group: set() for group in groups}
    for group, ids in zip(groups, present, strict=True):
        classes[group] |= ids
    split = {
        group: "test" if at < test else "val" if at < test + val else "train"
        for group, at in place.items()
    }
    edge = test + val
    for name in ("train", "val") if val else ():
        other = {"train": "val", "val": "train"}[name]
        for id_ in sorted(set().union(*classes.values())):
            having = [g for g in classes if id_ in classes[g] and split[g] in (name, other)]
            if len(having) < 2 or any(split[g] == name for g in having):
                continue
            split[min(having, key=lambda g: (abs(place[g] - edge), g))] = name
    ranked = sorted(place, key=place.get)
    if ranked and "train" not in split.values():
        split[ranked[-1]] = "train"
    if val and len(ranked) > 1 and "val" not in split.values():
        split[next(group for group in ranked if split[group] == "train")] = "val"
    return [split[group] for group in groups]


def fraction(group: str, seed: int) -> float:
    """From 0 up to 1, the same on every machine."""
    return int(hashlib.sha256(f"{seed} {group}".encode()).hexdigest()[:13], 16) / 16**13
