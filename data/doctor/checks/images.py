"""Checks of pictures."""

from collections.abc import Callable, Iterable

from data.doctor.checks.named import Named
from data.doctor.exam import Exam
from data.doctor.facts import PictureFacts

DARK = 32  # of 255, the brightest value of a picture of 16 bits that is nearly black


def broken_pictures(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.picture.fault:
            yield Named(exam.name(pair.picture), facts.picture.fault)


def pictures_where(test: Callable, note: Callable) -> Callable:
    """The check that names the pictures whose facts pass a test."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.looked:
            if not facts.picture.fault and test(facts.picture):
                yield Named(exam.name(pair.picture), note(facts.picture))

    return find


def bits_words(picture: PictureFacts) -> str:
    if picture.brightest >= DARK:
        return "has 16 bits"
    return f"has 16 bits and is nearly black, at most {picture.brightest} of 255"


def unsure_turns(exam: Exam) -> Iterable[Named]:
    """Pictures that EXIF turns so that sizes cannot tell whether the mask is turned as well."""
    for pair, facts, _ in exam.looked:
        picture = facts.picture
        alike = facts.mask.size == picture.size == picture.raw_size
        if picture.orientation != 1 and not picture.fault and alike:
            yield Named(exam.name(pair.picture), f"has EXIF orientation {picture.orientation}")
