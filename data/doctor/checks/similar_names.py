"""File names that differ only in case or accents."""

from collections import defaultdict
from collections.abc import Iterable

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam
from data.doctor.files import fold


def find(exam: Exam) -> Iterable[Named]:
    groups = defaultdict(list)
    for pair in exam.listing.pairs:
        groups[pair.split, fold(pair.image.stem)].append(pair.image)
    for first, *others in groups.values():
        for other in others:
            if other.stem != first.stem:
                note = f"and {first.name} differ only in case or accents"
                yield Named(exam.name(other), note, (exam.name(first),))


CHECK = Check(
    name="similar names",
    rank=WARNING,
    what=__doc__,
    effect="Training works here, but on Windows and macOS one file would overwrite the other.",
    remedy="Rename one of the files.",
    fixable=True,
    find=find,
    example="train/images/a.png and A.png differ only in case or accents",
)
