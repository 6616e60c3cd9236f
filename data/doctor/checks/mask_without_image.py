"""Masks without an image."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_masks:
        yield Named(exam.name(path), "has no image")


CHECK = Check(
    name="mask without image",
    rank=WARNING,
    what=__doc__,
    effect="Training ignores them.",
    remedy="Add the image or remove the mask. --fix leaves the mask out.",
    fixable=True,
    find=find,
    example="train/masks/a.png has no image",
)
