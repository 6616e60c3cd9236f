"""Images that share one mask, because their names differ only in the extension."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for first, *others in exam.listing.shared:
        names = [path.name for path in others]
        note = f"and {' and '.join(names)} have the same file name apart from the extension"
        yield Named(exam.name(first), note, tuple(exam.name(path) for path in others))


CHECK = Check(
    name="shared mask",
    rank=ERROR,
    what=__doc__,
    effect=NO_START,
    remedy=(
        "Rename or remove one of the images. --fix keeps the image whose size matches the mask, "
        "or the first one if the images look the same, and leaves the others out; if neither "
        "decides, it leaves all of them out."
    ),
    fixable=True,
    find=find,
    example="train/images/a.bmp and a.png have the same file name apart from the extension",
)
