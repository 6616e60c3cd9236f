"""Splits by hash: exact shares, and adding images moves few of the existing ones."""

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Sequence

from cli import Refusal

CLIP = "^(.*?)[0-9]+$"  # the name of a frame: that of its clip, and its number
FRAMES = 3  # numbered images of one name that may be a clip


def clips_note(stems: Sequence[str]) -> list[str]:
    """A sentence if most names look like those of frames of several videos."""
    matches = [re.match(CLIP, stem) for stem in stems]
    frames = Counter(found[1] for found in matches if found)
    clips = {name: count for name, count in frames.items() if count >= FRAMES}
    if len(clips) < 2 or 2 * sum(clips.values()) <= len(stems):
        return []
    return [
        f"{len(clips)} series of numbered images, such as {next(filter(None, clips))}*: if they "
        f"are frames of videos, add --group {shlex.quote(CLIP)}, so that each video is in one split"
    ]


def groups_of(stems: Sequence[str], pattern: str | None, splits: int) -> list[str]:
    """The group of each name: its match of a regular expression, the first group of that if it has
    one; the name itself without a match or an expression.

    splits: how many need a group each. Raises Refusal if an expression makes fewer, or matches no
    name at all.
    """
    if not pattern or not stems:
        return list(stems)
    matches = [re.search(pattern, stem) for stem in stems]
    if not any(matches):
        raise Refusal(
            f"--group {shlex.quote(pattern)} matches none of the {len(stems)} names, such as "
            f"{stems[0]}. Type an expression that matches their common part, or leave --group out"
        )
    groups = [
        stem if found is None else (found[1] or "") if found.re.groups else found[0]
        for stem, found in zip(stems, matches, strict=True)
    ]
    if (count := len(set(groups))) < splits:
        raise Refusal(
            f"--group {shlex.quote(pattern)} makes {count} group{'s' * (count > 1)} of "
            f"{len(stems)} images; needed: {splits}, as each split has its own. Type an "
            "expression that tells more groups apart"
        )
    return groups


def assign(
    groups: Sequence[str], present: Sequence[frozenset], val: float, test: float, seed: int
) -> list[str]:
    """A split for each image: "train", "val" or "test".

    groups: a name per image; images with the same name stay in one split. present: the class ids in
    each image. val, test: fractions.

    A hash of group name and seed ranks the groups: the first become test, the next val, the rest
    train. test and val get their fractions of the images, rounded, or as near as whole groups come,
    and at least one group if there are enough. A class that a single group has stays in train. Of
    any other, val gets a group and train keeps one; for this val may get more than its fraction.
    Adding k images moves existing ones only at the edges between the splits, typically fewer than
    sqrt(k) / 2 at each, and those that a very rare class is divided by.
    """
    sizes = Counter(groups)
    classes = {group: set() for group in sizes}
    for group, ids in zip(groups, present, strict=True):
        classes[group] |= ids
    holders = Counter(id_ for ids in classes.values() for id_ in ids)
    alone = {group: any(holders[id_] == 1 for id_ in classes[group]) for group in sizes}
    ranked = sorted(sizes, key=lambda group: (alone[group], fraction(group, seed), group))
    split = dict.fromkeys(ranked, "train")
    parts = [(name, part) for name, part in (("test", test), ("val", val)) if part]
    for number, (name, part) in enumerate(parts):
        free = {group: classes[group] for group in ranked if split[group] == "train"}
        others = len(parts) - number  # splits that need a group each as well
        if len(free) > others:
            first = one_of_each(free) if name == "val" else []
            taken = chosen(free, first, sizes, round(part * len(groups)), others)
            split.update(dict.fromkeys(taken, name))
    return [split[group] for group in groups]


def one_of_each(free: dict[str, set]) -> list[str]:
    """For each class that several groups have, the first of them unless one has been taken."""
    holders = Counter(id_ for ids in free.values() for id_ in ids)
    taken, seen = [], set()
    for id_ in sorted(holders, key=lambda id_: (holders[id_], id_)):
        if holders[id_] > 1 and id_ not in seen:
            taken.append(next(group for group, ids in free.items() if id_ in ids))
            seen |= free[taken[-1]]
    return taken


def chosen(
    free: dict[str, set], first: list[str], sizes: dict[str, int], wanted: int, others: int
) -> list[str]:
    """`first`, and in order groups of `free` up to `wanted` images, or as near as groups come.

    For each of the `others`, a group is left, and one of each class.
    """
    left = Counter(id_ for ids in free.values() for id_ in ids)
    taken, count = {}, 0

    def fits(group: str) -> bool:
        few = len(taken) < len(free) - others and group not in taken
        return few and all(left[id_] > others for id_ in free[group])

    known = set(first)
    for group in (*first, *free):
        if (group in known or count + sizes[group] <= wanted) and fits(group):
            taken[group] = None
            count += sizes[group]
            left.subtract(free[group])
    rest = wanted - count
    nearest = min(filter(fits, free), key=lambda group: abs(sizes[group] - rest), default=None)
    if nearest and abs(sizes[nearest] - rest) < rest:
        taken[nearest] = None
    return list(taken) or [min(free, key=lambda group: abs(sizes[group] - wanted))]


def fraction(group: str, seed: int) -> float:
    """A hash in [0, 1), the same on every machine."""
    return int(hashlib.sha256(f"{seed} {group}".encode()).hexdigest()[:13], 16) / 16**13
