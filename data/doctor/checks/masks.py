"""Checks of masks."""

from collections.abc import Callable, Iterable

import numpy as np

from data.doctor.checks.named import Named, hw
from data.doctor.exam import Exam
from data.doctor.facts import Facts, MaskFacts
from data.doctor.readings import STRAY
from data.layout import VOID

MUCH_VOID = 0.5  # share of a mask
VOID_SHARE = 0.2  # share of a split


def broken_masks(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


def modes(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        mask = facts.mask
        if not mask.fault and not mask.coloured and mask.mode not in ("L", "P", "1"):
            yield Named(exam.name(pair.mask), f"is a mask of mode {mask.mode}, all of it grey")


def misfit(facts: Facts) -> str:
    """How the mask's size differs from its image's: "", "turned", "scaled", "transposed",
    "other"."""
    mask, size, raw = facts.mask.size, facts.image.size, facts.image.raw_size
    if facts.mask.fault or facts.image.fault or mask == size:
        return ""
    if facts.image.orientation != 1 and mask == raw:
        return "turned"
    if mask == size[::-1]:
        return "transposed"
    if min(mask) < 1:
        return "other"
    # Of a scaled mask each side may be rounded by a pixel.
    low = max((side - 1) / (m + 1) for side, m in zip(size, mask, strict=True))
    high = min((side + 1) / max(m - 1, 0.5) for side, m in zip(size, mask, strict=True))
    return "scaled" if low <= high else "other"


def scale_words(mask: tuple[int, int], size: tuple[int, int]) -> str:
    for small, large, words in ((mask, size, "1/{}"), (size, mask, "{} times")):
        times, rest = divmod(large[0], small[0])
        if not rest and times > 1 and small[1] * times == large[1]:
            return f"exactly {words.format(times)} of it"
    return f"about {mask[0] / size[0]:.3g} times its size"


def misfits(kind: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.looked:
            if misfit(facts) == kind:
                mask, size = facts.mask.size, facts.image.size
                note = f"is {hw(mask)} (HxW) but its image {pair.image.name} is {hw(size)}"
                more = f", {scale_words(mask, size)}" if kind == "scaled" else ""
                yield Named(exam.name(pair.mask), note + more, (exam.name(pair.image),))

    return find


def masks_read_as(kind: str, note: Callable) -> Callable:
    """The check that names the masks with a reading of this kind."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, reading in exam.looked:
            if reading.kind == kind and not facts.mask.fault:
                yield Named(exam.name(pair.mask), note(facts.mask))

    return find


def some_values(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:6])
    return f"{shown}, ... ({len(values)} values)" if len(values) > 6 else shown


def some_colours(mask: MaskFacts) -> str:
    return f"{len(mask.values)} {'colours' if mask.coloured else 'grey levels'}"


def smoothed(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.looked:
        if reading.smoothed and not facts.mask.fault:
            how = "is JPEG" if facts.mask.format == "JPEG" else "was smoothed"
            n = len(facts.mask.values)
            yield Named(exam.name(pair.mask), f"{how}: {n} values, the stray ones along edges")


def outside(exam: Exam) -> Iterable[Named]:
    classes = len(exam.dataset.classes)
    for pair, facts, reading in exam.looked:
        if reading.kind != "ids" or reading.smoothed or facts.mask.fault:
            continue
        odd = facts.mask.values[reading.ids == STRAY]
        if len(odd):
            pixels = facts.mask.counts[reading.ids == STRAY].sum() / facts.mask.counts.sum()
            note = f"holds id {odd[0]} but there are {classes} classes (ids 0 to {classes - 1})"
            more = f", {len(odd)} such ids" if len(odd) > 1 else ""
            yield Named(exam.name(pair.mask), f"{note}{more}: {pixels:.2%} of its pixels")


def void(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.looked):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split, f"is {counts[-1] / counts.sum():.0%} void")


def empty(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, reading) in enumerate(exam.looked):
        counts = exam.pixels[index]
        unclear = facts.mask.fault or ((reading.ids == STRAY).any() and not reading.smoothed)
        if not unclear and not counts[1:-1].any():
            first = exam.dataset.classes[0] if exam.dataset.classes else "void"
            note = f"holds nothing but {first}" + (" and void" if counts[-1] and counts[0] else "")
            note = note if counts[0] else "holds nothing but void"
            if len(exam.dataset.classes) == 2 and VOID in facts.mask.values:
                note += f"; if 255 means {exam.dataset.classes[1]} there, write 1"
            yield Named(exam.name(pair.mask), note)
