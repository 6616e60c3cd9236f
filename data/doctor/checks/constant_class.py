"""A split whose masks all show one class, or void alone."""

from collections.abc import Iterable

import numpy as np

from data.doctor.checks.check import ERROR, Check, Named
from data.doctor.exam import Exam, split_name
from data.doctor.files import WHOLE


def find(exam: Exam) -> Iterable[Named]:
    """Splits of void alone, and train if all its scored pixels are of one class of several."""
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        shown = np.flatnonzero(counts[:-1])
        if counts.any() and not len(shown):
            yield Named(split_name(split), "contains nothing but void in all its masks")
        elif split in ("train", WHOLE) and len(shown) == 1 and len(counts) > 2:
            name, void = exam.dataset.classes[shown[0]], counts[-1] / counts.sum()
            more = f", and {void:.0%} of all pixels are void" if void else ""
            note = f"contains nothing but {name} in all its masks: 100% of the scored pixels{more}"
            yield Named(split_name(split), note)


CHECK = Check(
    name="constant class",
    rank=ERROR,
    what=__doc__,
    effect="Training does not start: a network would learn to predict that class everywhere.",
    remedy=(
        "Check the values in the masks: 255 is void, which no class can have. If masks of 0 and "
        "255 mean two classes, remove void = 255 from dataset.toml, and --fix replaces 255 by 1."
    ),
    fixable=False,
    find=find,
    example="train contains nothing but background in all its masks: 100% of the scored pixels",
)
