"""Masks that are not named after their image."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.misnamed:
        note = f"is the mask of {pair.image.name} but is not named {pair.image.stem}.png"
        yield Named(exam.name(pair.mask), note)


CHECK = Check(
    name="mask name",
    rank=ERROR,
    what=__doc__,
    effect="Training does not start, because the mask counts as missing.",
    remedy=(
        "Save the mask as a PNG file with the name of its image: masks/photo.png belongs to "
        "images/photo.jpg."
    ),
    fixable=True,
    find=find,
    example="train/masks/eye8.png is the mask of Eye8.png but is not named Eye8.png",
)
