"""Masks that cannot be read."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, REPLACE, STOPS, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


CHECK = Check(
    name="broken mask",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy=REPLACE,
    fixable=False,
    find=find,
    example="train/masks/0004.png is damaged",
)
