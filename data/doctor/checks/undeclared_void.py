"""Classes that appear in no mask, while masks contain 255, which is not declared as void."""

from collections.abc import Iterable

from data.doctor.checks import constant_class, grey_levels
from data.doctor.checks.check import ERROR, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    """Nothing where another error already tells of masks in which 255 is a class."""
    white, told = exam.undeclared_void, (constant_class, grey_levels)
    if not white or not exam.absent or any(any(other.find(exam)) for other in told):
        return
    masks = f"{len(white)} of {len(exam.facts)} masks contain 255, which is read as void"
    for index in exam.absent:
        note = f"(id {index}) appears in no mask, but {masks}"
        yield Named(f"class {exam.dataset.classes[index]}", note)


CHECK = Check(
    name="undeclared void",
    rank=ERROR,
    what=__doc__,
    effect=(
        "Training does not start: if 255 means the class, it would not be learnt, and no score "
        "would show that."
    ),
    remedy=(
        "If 255 means this class, replace it with the id of the class in all masks; if it means "
        "void, write void = 255 in dataset.toml."
    ),
    fixable=False,
    find=find,
    example=(
        "class lip (id 2) appears in no mask, but 38 of 40 masks contain 255, which is read as void"
    ),
)
