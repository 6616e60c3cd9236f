"""Classes that appear in no mask."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    counts = exam.pixels.sum(0)
    for index, name in enumerate(exam.dataset.classes if counts.any() else []):
        if not counts[index]:
            yield Named(f"class {name}", f"(id {index}) appears in no mask")


CHECK = Check(
    name="absent class",
    rank=WARNING,
    what=__doc__,
    effect="The network cannot learn to predict them.",
    remedy=(
        "Add images that show the class, or remove its name from dataset.toml if it is the last "
        "one there."
    ),
    fixable=False,
    find=find,
    example="class lip (id 2) appears in no mask",
)
