"""Masks that contain only the first class or void."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam
from data.doctor.readings import STRAY
from data.layout import VOID


def find(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, reading) in enumerate(exam.entries):
        counts = exam.pixels[index]
        unclear = facts.mask.fault or ((reading.ids == STRAY).any() and not reading.smoothed)
        if not unclear and not counts[1:-1].any():
            first = exam.dataset.classes[0] if exam.dataset.classes else "void"
            both = " and void" if counts[-1] and counts[0] else ""
            note = f"contains nothing but {first}{both}"
            note = note if counts[0] else "contains nothing but void"
            if len(exam.dataset.classes) == 2 and VOID in facts.mask.values:
                note += f"; if 255 means {exam.dataset.classes[1]} here, replace it with 1"
            yield Named(exam.name(pair.mask), note)


CHECK = Check(
    name="empty mask",
    rank=WARNING,
    what=__doc__,
    effect=(
        "The network learns that these images show no other class; from a mask of void alone it "
        "learns nothing."
    ),
    remedy="Annotate the image, or keep the mask if it is correct.",
    fixable=False,
    find=find,
    example="train/masks/a.png contains nothing but background",
)
