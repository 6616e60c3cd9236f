"""File names with non-ASCII characters."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.pairs:
        if not pair.image.name.isascii():
            yield Named(exam.name(pair.image), "has non-ASCII characters in its name")


CHECK = Check(
    name="non-ASCII name",
    rank=WARNING,
    what=__doc__,
    effect=(
        "Training works here, but other systems may encode the names differently and then not "
        "find the files."
    ),
    remedy="Rename the files.",
    fixable=True,
    find=find,
    example="train/images/café.png has non-ASCII characters in its name",
)
