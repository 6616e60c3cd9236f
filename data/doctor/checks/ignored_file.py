"""Files of an unknown type, and raw files beside an image."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.ignored:
        yield Named(exam.name(path), "has a file type that training does not read")


CHECK = Check(
    name="ignored file",
    rank=WARNING,
    what=__doc__,
    effect="Training ignores them.",
    remedy="Save images as JPEG or PNG, and masks as PNG. --fix leaves these files out.",
    fixable=False,
    find=find,
    example="train/images/a.txt has a file type that training does not read",
)
