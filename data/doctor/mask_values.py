"""Masks that are read in one way, and their values as text."""

from collections.abc import Callable, Iterable

import numpy as np

from data.doctor.checks.check import Named
from data.doctor.exam import Exam
from data.doctor.facts import MaskFacts


def masks_read_as(kind: str, note: Callable) -> Callable:
    """The check that names the masks whose values are interpreted in this way (`Reading.kind`)."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, reading in exam.entries:
            if reading.kind == kind and not facts.mask.fault:
                yield Named(exam.name(pair.mask), note(facts.mask))

    return find


def some_values(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:6])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 6 else shown


def ids_note(mask: MaskFacts) -> str:
    return f"contains the values {some_values(mask.values)}"


def some_colours(mask: MaskFacts) -> str:
    return f"{len(mask.values)} {'colours' if mask.coloured else 'grey levels'}"
