"""Checks of classes and splits."""

from collections.abc import Iterable

import numpy as np

from data.doctor.checks.check import ERROR, WARNING, Check, Named
from data.doctor.exam import Exam, split_name
from data.doctor.files import WHOLE

FEW_IMAGES = 5  # a class in fewer train images is rare
FEW_PIXELS = 1e-4  # a class with a smaller share of train's scored pixels is rare


def nothing(exam: Exam) -> Iterable[Named]:
    split = "train" if "train" in exam.splits else WHOLE
    rows = exam.pixels[exam.of(split)]
    if len(rows) and len(exam.dataset.classes) > 1 and not rows[:, 1:-1].any():
        yield Named(split_name(split), "contains no pixel of any class except the first")


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
    Check("no foreground", ERROR, "No training mask contains any class except the first",
          "The network learns to predict the first class everywhere.",
          "Check the values in the masks.", False, nothing,
          "train contains no pixel of any class except the first"),
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
