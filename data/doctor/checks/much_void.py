"""Much that is not scored: masks or splits with large void areas."""

from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam, split_name

MUCH_VOID = 0.5  # a mask with a larger share of void pixels is reported
VOID_SHARE = 0.2  # the same for a split


def find(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.entries):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split_name(split), f"is {counts[-1] / counts.sum():.0%} void")


CHECK = Check(
    name="much void",
    rank=WARNING,
    what=__doc__,
    effect="Void pixels (the ignore index) are neither trained on nor scored.",
    remedy="Annotate more pixels if these areas matter.",
    fixable=False,
    find=find,
    example="train/masks/a.png is 94% void",
)
