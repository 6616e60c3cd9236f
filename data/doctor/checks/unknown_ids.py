"""Masks with ids that no class has."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, STOPS, Check, Named
from data.doctor.exam import Exam
from data.doctor.mask_values import some_values
from data.doctor.readings import STRAY


def find(exam: Exam) -> Iterable[Named]:
    classes = len(exam.dataset.classes)
    for pair, facts, reading in exam.entries:
        if reading.kind != "ids" or reading.smoothed or facts.mask.fault:
            continue
        odd = facts.mask.values[reading.ids == STRAY]
        if len(odd):
            pixels = facts.mask.counts[reading.ids == STRAY].sum() / facts.mask.counts.sum()
            note = f"contains {'ids' if len(odd) > 1 else 'id'} {some_values(odd)}"
            known = f"there are {classes} classes (ids 0 to {classes - 1})"
            share = f"{pixels:.2%} of its pixels are affected"
            yield Named(exam.name(pair.mask), f"{note}, but {known}: {share}")


CHECK = Check(
    name="unknown ids",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy=(
        "Add the name of the class to dataset.toml, or declare the id as void (the ignore index) "
        "there, with void = ID. --fix sets these pixels to void."
    ),
    fixable=True,
    find=find,
    example=(
        "train/masks/a.png contains id 9, but there are 4 classes (ids 0 to 3): 2.10% of its "
        "pixels are affected"
    ),
)
