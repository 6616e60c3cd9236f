"""Checks for duplicate images."""

from collections import Counter
from collections.abc import Callable, Iterable

from data.doctor.checks.named import Named
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
