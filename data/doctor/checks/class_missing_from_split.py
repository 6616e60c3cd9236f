"""Classes that are missing from a split."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    for index, name in enumerate(exam.dataset.classes):
        without = [split for split, counts in rows.items() if not counts[:, index].any()]
        if without and len(without) < len(rows):
            yield Named(f"class {name}", f"(id {index}) is missing from {' and '.join(without)}")


CHECK = Check(
    name="class missing from split",
    rank=WARNING,
    what=__doc__,
    effect=(
        "A class that is missing from train cannot be learnt; one that is missing from val or "
        "test is not scored there."
    ),
    remedy="Move images between the splits, or add images.",
    fixable=False,
    find=find,
    example="class lip (id 2) is missing from val",
)
