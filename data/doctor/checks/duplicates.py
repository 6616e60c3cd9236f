"""Checks for duplicate images."""

from collections import Counter
from collections.abc import Callable, Iterable

from data.doctor.checks.check import ERROR, WARNING, Check, Named
from data.doctor.exam import Exam
from data.layout import SPLITS


def across(exam: Exam, group: list[int]) -> bool:
    return len({exam.listing.pairs[index].split for index in group}) > 1


def group_named(exam: Exam, group: list[int], verb: str) -> Named:
    """A group of duplicates as one case, named after its first image, train before val and test."""
    order = sorted(group, key=lambda index: SPLITS.index(exam.listing.pairs[index].split)
                   if exam.listing.pairs[index].split in SPLITS else 0)  # fmt: skip
    first, *others = (exam.name(exam.listing.pairs[index].image) for index in order)
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return Named(first, f"{verb} {others[0]}{more}", tuple(others))


def alike_groups(kind: str, crossing: bool, verb: str) -> Callable:
    """The check that finds duplicates in one split, or in several splits (`crossing`).

    kind: "same" or "near", a field of `Alike`.
    """

    def find(exam: Exam) -> Iterable[Named]:
        for group in getattr(exam.alike, kind):
            if across(exam, group) == crossing:
                yield group_named(exam, group, verb)

    return find


def contradictions(exam: Exam) -> Iterable[Named]:
    for group in exam.alike.same:
        masks = Counter(exam.facts[index].mask.digest for index in group)
        if len(masks) > 1 and not any(exam.facts[index].mask.fault for index in group):
            yield group_named(exam, group, "has a different mask from its copy")


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
          "Compare the images. --fix removes them from train, and from val if test has them.", True,
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
          "Remove some of them if their scene should not count so often.", False,
          alike_groups("near", False, "is nearly identical to"),
          "train/images/a.png is nearly identical to train/images/b.jpg"),
)
# fmt: on
