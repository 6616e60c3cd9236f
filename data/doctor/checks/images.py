"""Checks of images."""

from collections.abc import Callable, Iterable

from data.doctor.checks.named import Named
from data.doctor.exam import Exam
from data.doctor.facts import ImageFacts

DARK = 32  # of 255, the brightest value of an image of 16 bits that is nearly black


def broken_images(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.image.fault:
            yield Named(exam.name(pair.image), facts.image.fault)


def images_where(test: Callable, note: Callable) -> Callable:
    """The check that names the images whose facts pass a test."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.looked:
            if not facts.image.fault and test(facts.image):
                yield Named(exam.name(pair.image), note(facts.image))

    return find


def bits_words(image: ImageFacts) -> str:
    if image.brightest >= DARK:
        return "has 16 bits"
    return f"has 16 bits and is nearly black, at most {image.brightest} of 255"


def unsure_turns(exam: Exam) -> Iterable[Named]:
    """Images that EXIF turns so that sizes cannot tell whether the mask is turned as well."""
    for pair, facts, _ in exam.looked:
        image = facts.image
        alike = facts.mask.size == image.size == image.raw_size
        if image.orientation != 1 and not image.fault and alike:
            yield Named(exam.name(pair.image), f"has EXIF orientation {image.orientation}")
