"""Checks of files and their names."""

from collections import defaultdict
from collections.abc import Iterable

from data.doctor.checks.named import Named
from data.doctor.exam import Exam
from data.doctor.files import fold


def unnamed(exam: Exam) -> Iterable[Named]:
    if exam.unnamed:
        name, _, note = exam.unnamed.partition(" ")
        yield Named(name, note)


def missing(exam: Exam) -> Iterable[Named]:
    for path, note in exam.listing.missing:
        yield Named(exam.name(path), note)


def shared(exam: Exam) -> Iterable[Named]:
    for first, *others in exam.listing.shared:
        names = [path.name for path in others]
        note = f"and {' and '.join(names)} have the same file name apart from the extension"
        yield Named(exam.name(first), note, tuple(exam.name(path) for path in others))


def lone_images(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_images:
        yield Named(exam.name(path), "has no mask")


def lone_masks(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_masks:
        yield Named(exam.name(path), "has no image")


def misnamed(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.misnamed:
        note = f"is the mask of {pair.image.name} but is not named {pair.image.stem}.png"
        yield Named(exam.name(pair.mask), note)


def ignored(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.ignored:
        yield Named(exam.name(path), "has a file type that training does not read")


def accents(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.pairs:
        if not pair.image.name.isascii():
            yield Named(exam.name(pair.image), "has non-ASCII characters in its name")


def collisions(exam: Exam) -> Iterable[Named]:
    groups = defaultdict(list)
    for pair in exam.listing.pairs:
        groups[pair.split, fold(pair.image.stem)].append(pair.image)
    for first, *others in groups.values():
        for other in others:
            if other.stem != first.stem:
                note = f"and {first.name} differ only in case or accents"
                yield Named(exam.name(other), note, (exam.name(first),))
