"""Classes that are rare in train."""

from collections.abc import Iterable

import numpy as np

from data.doctor.checks.check import WARNING, Check, Named
from data.doctor.exam import Exam

FEW_IMAGES = 5  # a class in fewer train images is rare
FEW_PIXELS = 1e-4  # a class with a smaller share of train's scored pixels is rare


def find(exam: Exam) -> Iterable[Named]:
    """The rare classes of train, the rarest first."""
    rows = exam.pixels[exam.of("train")]
    images, shares = (rows > 0).sum(0), rows.sum(0) / max(1, rows[:, :-1].sum())
    few = min(FEW_IMAGES, len(rows) / 4)
    for index in np.argsort(shares[:-1], kind="stable"):
        count, share = images[index], shares[index]
        if count and (count < few or share < FEW_PIXELS):
            seen = f"appears in {count} of {len(rows)} train images"
            note = f"(id {index}) {seen} and has {100 * share:.2g}% of their scored pixels"
            yield Named(f"class {exam.dataset.classes[index]}", note)


CHECK = Check(
    name="rare class",
    rank=WARNING,
    what=__doc__,
    effect="The network hardly learns them.",
    remedy="Add images that show the class, or try --class-weights balanced in training.",
    fixable=False,
    find=find,
    example="class lip (id 2) appears in 2 of 32 train images and has 0.11% of their scored pixels",
)
