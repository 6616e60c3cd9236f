"""Images in formats that a dataset does not hold, such as HEIC."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, Check, Named
from data.doctor.exam import Exam
from data.layout import IMAGE_ENDINGS


def find(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if not facts.image.fault and pair.image.suffix.lower() not in IMAGE_ENDINGS:
            yield Named(exam.name(pair.image), f"has the ending {pair.image.suffix}")


CHECK = Check(
    name="image format",
    rank=ERROR,
    what=__doc__,
    effect=NO_START,
    remedy="Convert the images to JPEG or PNG. --fix writes them as PNG.",
    fixable=True,
    find=find,
    example="train/images/a.heic has the ending .heic",
)
