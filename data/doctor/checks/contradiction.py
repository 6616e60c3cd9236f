"""Identical images with different masks."""

from collections import Counter
from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam
from data.doctor.groups import group_named


def find(exam: Exam) -> Iterable[Named]:
    for group in exam.alike.same:
        masks = Counter(exam.facts[index].mask.digest for index in group)
        if len(masks) > 1 and not any(exam.facts[index].mask.fault for index in group):
            yield group_named(exam, group, "has a different mask from its copy")


CHECK = Check(
    name="contradiction",
    rank=WARNING,
    what=__doc__,
    effect="Training gets contradictory labels for the same image.",
    remedy="Keep the pair with the correct mask.",
    fixable=False,
    find=find,
    example="train/images/a.png has a different mask from its copy train/images/b.png",
)
