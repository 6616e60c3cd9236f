"""Checks for duplicate images."""

import re
from collections import Counter
from collections.abc import Callable, Iterable

from data.doctor.checks.check import ERROR, WARNING, Check, Named
from data.doctor.exam import Exam, split_name
from data.formats.splits import CLIP
from data.layout import SPLITS

FRAMES = 3  # numbered images with one name that are nearly identical are a clip


def across(exam: Exam, group: list[int]) -> bool:
    return len({exam.listing.pairs[index].split for index in group}) > 1


def group_named(exam: Exam, group: list[int], verb: str) -> Named:
    """A group of duplicates as one case, named after its first image, train before val and test,
    and after one in another split, if there is any."""
    pairs = exam.listing.pairs
    order = sorted(group, key=lambda index: SPLITS.index(pairs[index].split)
                   if pairs[index].split in SPLITS else 0)  # fmt: skip
    order[1:] = sorted(order[1:], key=lambda index: pairs[index].split == pairs[order[0]].split)
    first, *others = (exam.name(pairs[index].image) for index in order)
    clip = name_of_all(exam, group)
    if clip is not None and len(group) >= FRAMES:
        counts = Counter(split_name(pairs[index].split) for index in order)
        shares = ", ".join(f"{count} in {split}" for split, count in counts.items())
        frames = f"and {len(others)} more frames of the clip {clip}*"
        note = f"{frames} are nearly identical to others: {shares}"
        return Named(first, note, tuple(others))
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return Named(first, f"{verb} {others[0]}{more}", tuple(others))


def name_of_all(exam: Exam, group: list[int]) -> str | None:
    """What the names of a group have before their numbers, if that is the same for all."""
    found = [re.fullmatch(CLIP, exam.listing.pairs[index].image.stem) for index in group]
    names = {match[1] for match in found if match}
    return min(names) if all(found) and len(names) == 1 else None


def by_clip(exam: Exam, groups: list[list[int]]) -> list[list[int]]:
    """The groups, with those of one clip and of the same splits as one.

    A clip has a group of at least FRAMES frames.
    """
    names = [name_of_all(exam, group) for group in groups]
    clips = {name for name, group in zip(names, groups, strict=True) if len(group) >= FRAMES}
    merged = {}
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        splits = frozenset(exam.listing.pairs[index].split for index in group)
        key = (name, splits) if name is not None and name in clips else number
        merged.setdefault(key, []).extend(group)
    return [sorted(group) for group in merged.values()]


def alike_groups(kind: str, crossing: bool, verb: str) -> Callable:
    """The check that finds duplicates in one split, or in several splits (`crossing`).

    kind: "same" or "near", a field of `Alike`.
    """

    def find(exam: Exam) -> Iterable[Named]:
        groups = [g for g in getattr(exam.alike, kind) if across(exam, g) == crossing]
        for group in by_clip(exam, groups) if kind == "near" else groups:
            yield group_named(exam, group, verb)

    return find


def contradictions(exam: Exam) -> Iterable[Named]:
    for group in exam.alike.same:
        masks = Counter(exam.facts[index].mask.digest for index in group)
        if len(masks) > 1 and not any(exam.facts[index].mask.fault for index in group):
            yield group_named(exam, group, "has a different mask from its copy")


BY_CLIP = f"--fix OUT --group '{CLIP}' makes splits anew, with frames named alike in one"

# fmt: off
CHECKS = (
    Check("leak", ERROR, "The same image in more than one split",
          "The scores are too high, because the network is scored on images that it has seen in "
          "training.",
          "Keep the image in one split. --fix removes it from train, and from val if test has it.",
          True, alike_groups("same", True, "has the same pixels as"),
          "train/images/a.png has the same pixels as val/images/b.png"),
    Check("near leak", WARNING, "Nearly identical images in more than one split",
          "The scores are too high if the images show the same scene.",
          "Compare the images. --fix removes them from train, and from val if test has them. "
          f"Frames of one video belong in one split: {BY_CLIP}.", True,
          alike_groups("near", True, "is nearly identical to"),
          "train/images/a.png is nearly identical to val/images/b.jpg"),
    Check("contradiction", WARNING, "Identical images with different masks",
          "Training gets contradictory labels for the same image.",
          "Keep the pair with the correct mask.", False, contradictions,
          "train/images/a.png has a different mask from its copy train/images/b.png"),
    Check("duplicate", WARNING, "The same image twice in one split",
          "The image counts twice in training or in the score.",
          "Remove one of them. --fix keeps the first if the masks are identical.", True,
          alike_groups("same", False, "has the same pixels as"),
          "train/images/a.png has the same pixels as train/images/b.png"),
    Check("near duplicate", WARNING, "Nearly identical images in one split",
          "Near duplicates count twice in training or in the score. Frames of one video usually "
          "are near duplicates.",
          "Remove some of them if their scene should not count so often. If a split is made of "
          f"such frames, make it by clip: {BY_CLIP}.", False,
          alike_groups("near", False, "is nearly identical to"),
          "train/images/a.png is nearly identical to train/images/b.jpg"),
)
# fmt: on
