"""A split is missing or empty."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for path, note in exam.listing.missing:
        yield Named(exam.name(path), note)


CHECK = Check(
    name="missing split",
    rank=ERROR,
    what=__doc__,
    effect=NO_START,
    remedy=(
        "Create train/ and val/, each with the folders images/ and masks/, or convert another "
        "layout with python -m data import. If only one of the two contains pairs, --fix divides "
        "them between train and val."
    ),
    fixable=True,
    find=find,
    example="val/images is missing",
)
