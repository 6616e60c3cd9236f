"""Classes whose names look like left and right of one thing."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam
from data.mirror import likely_pairs


def find(exam: Exam) -> Iterable[Named]:
    if exam.dataset.mirror is None and not exam.unnamed:
        for left, right in likely_pairs(exam.dataset.classes):
            yield Named(f"class {left}", f"and class {right} look like left and right")


CHECK = Check(
    name="left and right",
    rank=WARNING,
    what=__doc__,
    effect="Training does not flip images, because a flipped left eye is a right one.",
    remedy=(
        "Write all such pairs in dataset.toml, mirror = [['left_eye', 'right_eye']]: flips then "
        "swap them. With mirror = [] flips swap nothing."
    ),
    fixable=False,
    find=find,
    example="class left_eye and class right_eye look like left and right",
)
