"""Checks of images."""

from collections.abc import Callable, Iterable

from data.doctor.checks.named import Named
from data.doctor.exam import Exam
from data.doctor.facts import ImageFacts

DARK = 32  # of 255; a 16-bit image whose brightest value is below this is nearly black


def broken_images(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if facts.image.fault:
            yield Named(exam.name(pair.image), facts.image.fault)


def images_where(test: Callable, note: Callable) -> Callable:
    """The check that names the readable images whose facts pass a test."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.entries:
            if not facts.image.fault and test(facts.image):
                yield Named(exam.name(pair.image), note(facts.image))

    return find


def bits_note(image: ImageFacts) -> str:
    note = "has 16 bits per channel"
    if image.brightest >= DARK:
        return note
    return f"{note} and is nearly black: its brightest value is {image.brightest} of 255"


def unsure_turns(exam: Exam) -> Iterable[Named]:
    """Images with an EXIF orientation that leaves their size unchanged, as the mask's size then
    does not show whether the mask has the same orientation."""
    for pair, facts, _ in exam.entries:
        image = facts.image
        alike = facts.mask.size == image.size == image.raw_size
        if image.orientation != 1 and not image.fault and alike:
            yield Named(exam.name(pair.image), f"has EXIF orientation {image.orientation}")
