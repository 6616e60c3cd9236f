"""Masks that are not 8-bit greyscale or palette images."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, STOPS, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        mask = facts.mask
        if not mask.fault and not mask.coloured and mask.mode not in ("L", "P", "1"):
            alpha = ", its shape in the alpha channel alone" if mask.in_alpha else ""
            yield Named(exam.name(pair.mask), f"is stored with image mode {mask.mode}{alpha}")


CHECK = Check(
    name="mask format",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy="Save the mask with a single 8-bit channel that contains the class ids 0, 1, 2, ...",
    fixable=True,
    find=find,
    example="train/masks/a.png is stored with image mode RGB",
)
