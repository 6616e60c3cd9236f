"""Splits by hash, so that adding images hardly ever moves an existing one to another split."""

import hashlib
from collections.abc import Sequence


def assign(
    groups: Sequence[str], present: Sequence[frozenset], val: float, test: float, seed: int
) -> list[str]:
    """A split for each image: "train", "val" or "test".

    groups: a name per image; images with the same name stay in one split. present: the class ids in
    each image. val, test: fractions. A hash of group name and seed gives each group a place in
    [0, 1): the lowest places are test, the next val, the rest train. With two groups or more, train
    and val are never empty. If train or val lacks a class that at least two groups have, the group
    with the nearest place is moved there. New images therefore never move existing ones, except for
    classes that occur in very few images.
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
    """A hash in [0, 1), the same on every machine."""
    return int(hashlib.sha256(f"{seed} {group}".encode()).hexdigest()[:13], 16) / 16**13
