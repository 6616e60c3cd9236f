"""Checks of masks."""

from collections.abc import Callable, Iterable

import numpy as np

from data.doctor.checks.named import Named, hw
from data.doctor.exam import Exam, split_name
from data.doctor.facts import Facts, MaskFacts
from data.doctor.readings import STRAY
from data.layout import VOID

MUCH_VOID = 0.5  # a mask with a larger share of void pixels is reported
VOID_SHARE = 0.2  # the same for a split


def broken_masks(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


def modes(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        mask = facts.mask
        if not mask.fault and not mask.coloured and mask.mode not in ("L", "P", "1"):
            yield Named(exam.name(pair.mask), f"is stored with image mode {mask.mode}")


def misfit(facts: Facts) -> str:
    """How the mask's size differs from its image's: "" (it does not), "turned" (the size before
    EXIF orientation), "scaled" (the same aspect ratio), "transposed" or "other"."""
    mask, size, raw = facts.mask.size, facts.image.size, facts.image.raw_size
    if facts.mask.fault or facts.image.fault or mask == size:
        return ""
    if facts.image.orientation != 1 and mask == raw:
        return "turned"
    if mask == size[::-1]:
        return "transposed"
    if min(mask) < 1:
        return "other"
    # Each side of a scaled mask may be off by one pixel of rounding.
    low = max((side - 1) / (m + 1) for side, m in zip(size, mask, strict=True))
    high = min((side + 1) / max(m - 1, 0.5) for side, m in zip(size, mask, strict=True))
    return "scaled" if low <= high else "other"


def scale_note(mask: tuple[int, int], size: tuple[int, int]) -> str:
    for small, large, form in ((mask, size, "1/{} of"), (size, mask, "{} times")):
        times, rest = divmod(large[0], small[0])
        if not rest and times > 1 and small[1] * times == large[1]:
            return f"exactly {form.format(times)} the image's size"
    return f"about {mask[0] / size[0]:.3g} times the image's size"


def misfits(kind: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.entries:
            if misfit(facts) == kind:
                mask, size = facts.mask.size, facts.image.size
                note = f"is {hw(mask)} (HxW) but its image {pair.image.name} is {hw(size)}"
                more = f", {scale_note(mask, size)}" if kind == "scaled" else ""
                yield Named(exam.name(pair.mask), note + more, (exam.name(pair.image),))

    return find


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


def some_colours(mask: MaskFacts) -> str:
    return f"{len(mask.values)} {'colours' if mask.coloured else 'grey levels'}"


def smoothed(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.entries:
        if reading.smoothed and not facts.mask.fault:
            how = "is a JPEG file" if facts.mask.format == "JPEG" else "was smoothed"
            note = f"{how}: it has {len(facts.mask.values)} values, with stray ones along edges"
            yield Named(exam.name(pair.mask), note)


def outside(exam: Exam) -> Iterable[Named]:
    classes = len(exam.dataset.classes)
    for pair, facts, reading in exam.entries:
        if reading.kind != "ids" or reading.smoothed or facts.mask.fault:
            continue
        odd = facts.mask.values[reading.ids == STRAY]
        if len(odd):
            pixels = facts.mask.counts[reading.ids == STRAY].sum() / facts.mask.counts.sum()
            note = f"contains {'ids' if len(odd) > 1 else 'id'} {some_values(odd)}"
            known = f"there are {classes} classes (ids 0 to {classes - 1})"
            share = f"{pixels:.2%} of its pixels are affected"
            yield Named(exam.name(pair.mask), f"{note}, but {known}: {share}")


def void(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.entries):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split_name(split), f"is {counts[-1] / counts.sum():.0%} void")


def empty(exam: Exam) -> Iterable[Named]:
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
