"""Masks with stray values along edges, left by JPEG compression or smooth resizing."""

from collections.abc import Iterable

from data.doctor.checks.check import ERROR, Check, Named
from data.doctor.exam import Exam


def find(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.entries:
        if reading.smoothed and not facts.mask.fault:
            how = "is a JPEG file" if facts.mask.format == "JPEG" else "was smoothed"
            note = f"{how}: it has {len(facts.mask.values)} values, with stray ones along edges"
            yield Named(exam.name(pair.mask), note)


CHECK = Check(
    name="smoothed mask",
    rank=ERROR,
    what=__doc__,
    effect="Training learns wrong classes along the edges, or stops at ids that no class has.",
    remedy=(
        "Save masks as PNG, and resize them only with nearest-neighbour interpolation. --fix "
        "gives each stray pixel the class of the nearest reliable pixel."
    ),
    fixable=True,
    find=find,
    example="train/masks/a.png is a JPEG file: it has 31 values, with stray ones along edges",
)
