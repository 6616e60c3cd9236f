"""The class names are missing or invalid."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    if exam.unnamed:
        name, _, note = exam.unnamed.partition(" ")
        yield Named(name, note)


CHECK = Check(
    name="class names",
    rank=ERROR,
    what=__doc__,
    effect=NO_START,
    remedy=(
        "Write classes = ['background', ...], in the order of the ids, in the file dataset.toml "
        "of the dataset folder. --fix writes placeholder names for the ids in the masks."
    ),
    fixable=True,
    find=find,
    example="dataset.toml is missing",
)
