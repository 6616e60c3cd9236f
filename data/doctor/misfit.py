"""How the size of a mask differs from that of its image."""

from collections.abc import Callable, Iterable

from data.doctor.checks.check import Named, hw
from data.doctor.exam import Exam
from data.doctor.facts import Facts


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


def misfits(kind: str, more: Callable = lambda mask, size: "") -> Callable:
    """The check that names the masks with this `misfit`. more: what it adds, from two (H, W)."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.entries:
            if misfit(facts) == kind:
                mask, size = facts.mask.size, facts.image.size
                note = f"is {hw(mask)} (HxW) but its image {pair.image.name} is {hw(size)}"
                yield Named(exam.name(pair.mask), note + more(mask, size), (exam.name(pair.image),))

    return find
