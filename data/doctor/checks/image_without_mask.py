"""Images without a mask."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_images:
        yield Named(exam.name(path), "has no mask")


CHECK = Check(
    name="image without mask",
    rank=ERROR,
    what=__doc__,
    effect=NO_START,
    remedy="Add the mask: masks/photo.png belongs to images/photo.jpg. --fix leaves the image out.",
    fixable=False,
    find=find,
    example="train/images/0005.png has no mask",
)
