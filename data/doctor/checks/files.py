"""Checks of files and their names."""

from collections import defaultdict
from collections.abc import Iterable

from data.doctor.checks.check import ERROR, NO_START, WARNING, Check, Named
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


# fmt: off
CHECKS = (
    Check("class names", ERROR, "The class names are missing or invalid", NO_START,
          "Write classes = ['background', ...], in the order of the ids, in the file dataset.toml "
          "of the dataset folder. --fix writes placeholder names for the ids in the masks.", True,
          unnamed,
          "dataset.toml is missing"),
    Check("missing split", ERROR, "A split is missing or empty", NO_START,
          "Create train/ and val/, each with the folders images/ and masks/, or convert another "
          "layout with python -m data import. If only one of the two contains pairs, --fix divides "
          "them between train and val.", True, missing,
          "val/images is missing"),
    Check("image without mask", ERROR, "Images without a mask", NO_START,
          "Add the mask: masks/photo.png belongs to images/photo.jpg. --fix leaves the image out.",
          False, lone_images,
          "train/images/0005.png has no mask"),
    Check("mask name", ERROR, "Masks that are not named after their image",
          "Training does not start, because the mask counts as missing.",
          "Save the mask as a PNG file with the name of its image: masks/photo.png belongs to "
          "images/photo.jpg.", True, misnamed,
          "train/masks/eye8.png is the mask of Eye8.png but is not named Eye8.png"),
    Check("shared mask", ERROR, "Images that share one mask, because their names differ only in "
          "the extension", NO_START,
          "Rename or remove one of the images. --fix keeps the image whose size matches the mask, "
          "or the first one if the images look the same, and leaves the others out; if neither "
          "decides, it leaves all of them out.", True, shared,
          "train/images/a.bmp and a.png have the same file name apart from the extension"),
    Check("mask without image", WARNING, "Masks without an image",
          "Training ignores them.",
          "Add the image or remove the mask. --fix leaves the mask out.", True, lone_masks,
          "train/masks/a.png has no image"),
    Check("ignored file", WARNING, "Files of an unknown type, and raw files beside an image",
          "Training ignores them.",
          "Save images as JPEG or PNG, and masks as PNG. --fix leaves these files out.", False,
          ignored,
          "train/images/a.txt has a file type that training does not read"),
    Check("non-ASCII name", WARNING, "File names with non-ASCII characters",
          "Training works here, but other systems may encode the names differently and then not "
          "find the files.",
          "Rename the files.", True, accents,
          "train/images/café.png has non-ASCII characters in its name"),
    Check("similar names", WARNING, "File names that differ only in case or accents",
          "Training works here, but on Windows and macOS one file would overwrite the other.",
          "Rename one of the files.", True, collisions,
          "train/images/a.png and A.png differ only in case or accents"),
)
# fmt: on
