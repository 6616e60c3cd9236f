"""Classes that appear in no mask."""

from collections.abc import Iterable

from data.doctor.checks import undeclared_void
from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    """The classes that no mask has, unless they are an error: `undeclared_void` names them then."""
    for index in () if any(undeclared_void.find(exam)) else exam.absent:
        yield Named(f"class {exam.dataset.classes[index]}", f"(id {index}) appears in no mask")


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
