"""Checks of classes and splits."""

from collections.abc import Iterable

import numpy as np

from data.doctor.checks.check import ERROR, WARNING, Check, Named
from data.doctor.exam import Exam, split_name
from data.doctor.files import WHOLE
from data.mirror import likely_pairs

FEW_IMAGES = 5  # a class in fewer train images is rare
FEW_PIXELS = 1e-4  # a class with a smaller share of train's scored pixels is rare


def constant(exam: Exam) -> Iterable[Named]:
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


def paired(exam: Exam) -> Iterable[Named]:
    if exam.dataset.mirror is None and not exam.unnamed:
        for left, right in likely_pairs(exam.dataset.classes):
            yield Named(f"class {left}", f"and class {right} look like left and right")


def absent(exam: Exam) -> Iterable[Named]:
    counts = exam.pixels.sum(0)
    for index, name in enumerate(exam.dataset.classes if counts.any() else []):
        if not counts[index]:
            yield Named(f"class {name}", f"(id {index}) appears in no mask")


def unsplit(exam: Exam) -> Iterable[Named]:
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    for index, name in enumerate(exam.dataset.classes):
        without = [split for split, counts in rows.items() if not counts[:, index].any()]
        if without and len(without) < len(rows):
            yield Named(f"class {name}", f"(id {index}) is missing from {' and '.join(without)}")


def rare(exam: Exam) -> Iterable[Named]:
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


# fmt: off
CHECKS = (
    Check("constant class", ERROR, "A split whose masks all show one class, or void alone",
          "Training does not start: a network would learn to predict that class everywhere.",
          "Check the values in the masks: 255 is void, which no class can have. If masks of 0 and "
          "255 mean two classes, remove void = 255 from dataset.toml, and --fix replaces 255 by 1.",
          False, constant,
          "train contains nothing but background in all its masks: 100% of the scored pixels"),
    Check("left and right", WARNING, "Classes whose names look like left and right of one thing",
          "Training does not flip images, because a flipped left eye is a right one.",
          "Write all such pairs in dataset.toml, mirror = [['left_eye', 'right_eye']]: flips then "
          "swap them. With mirror = [] flips swap nothing.", False, paired,
          "class left_eye and class right_eye look like left and right"),
    Check("absent class", WARNING, "Classes that appear in no mask",
          "The network cannot learn to predict them.",
          "Add images that show the class, or remove its name from dataset.toml if it is the last "
          "one there.", False, absent,
          "class lip (id 2) appears in no mask"),
    Check("class missing from split", WARNING, "Classes that are missing from a split",
          "A class that is missing from train cannot be learnt; one that is missing from val or "
          "test is not scored there.",
          "Move images between the splits, or add images.", False, unsplit,
          "class lip (id 2) is missing from val"),
    Check("rare class", WARNING, "Classes that are rare in train",
          "The network hardly learns them.",
          "Add images that show the class, or try --class-weights balanced in training.", False,
          rare,
          "class lip (id 2) appears in 2 of 32 train images and has 0.11% of their scored pixels"),
)
# fmt: on
