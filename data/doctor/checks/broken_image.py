"""Images that cannot be read."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, REPLACE, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if facts.image.fault:
            yield Named(exam.name(pair.image), facts.image.fault)


CHECK = Check(
    name="broken image",
    rank=ERROR,
    what=__doc__,
    effect="Training stops at the first such file, or does not start if its ending tells its kind.",
    remedy=REPLACE,
    fixable=False,
    find=find,
    example="train/images/0001.jpg is truncated",
)
