"""Images that EXIF rotates or mirrors, though their masks may not be."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    """Images with an EXIF orientation that leaves their size unchanged, as the mask's size then
    does not show whether the mask has the same orientation."""
    for pair, facts, _ in exam.entries:
        image = facts.image
        alike = facts.mask.size == image.size == image.raw_size
        if image.orientation != 1 and not image.fault and alike:
            yield Named(exam.name(pair.image), f"has EXIF orientation {image.orientation}")


CHECK = Check(
    name="EXIF orientation",
    rank=WARNING,
    what=__doc__,
    effect="Training applies the EXIF orientation to the image but not to the mask.",
    remedy="Check that the mask matches the image as image viewers show it.",
    fixable=False,
    find=find,
    example="train/images/a.jpg has EXIF orientation 3",
)
