"""Checks of images."""

from collections.abc import Callable, Iterable

from data.doctor.checks.check import ERROR, NO_START, REPLACE, WARNING, Check, Named, hw
from data.doctor.exam import Exam
from data.doctor.facts import ImageFacts
from data.layout import IMAGE_ENDINGS

TINY = 16  # pixels; an image with a shorter side is reported
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


def formats(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if not facts.image.fault and pair.image.suffix.lower() not in IMAGE_ENDINGS:
            yield Named(exam.name(pair.image), f"has the ending {pair.image.suffix}")


# fmt: off
CHECKS = (
    Check("broken image", ERROR, "Images that cannot be read",
          "Training stops at the first such file, or does not start if its ending tells its kind.",
          REPLACE, False, broken_images,
          "train/images/0001.jpg is truncated"),
    Check("image format", ERROR, "Images in formats that a dataset does not hold, such as HEIC",
          NO_START,
          "Convert the images to JPEG or PNG. --fix writes them as PNG.", True, formats,
          "train/images/a.heic has the ending .heic"),
    Check("EXIF orientation", WARNING, "Images that EXIF rotates or mirrors, though their masks "
          "may not be",
          "Training applies the EXIF orientation to the image but not to the mask.",
          "Check that the mask matches the image as image viewers show it.", False,
          unsure_turns,
          "train/images/a.jpg has EXIF orientation 3"),
    Check("16-bit image", WARNING, "Images with 16 bits per channel",
          "Training uses only the upper 8 bits.",
          "Save the images with 8 bits per channel. --fix does this, and brightens images that are "
          "nearly black.", True,
          images_where(lambda p: p.depth == 16, bits_note),
          "train/images/a.png has 16 bits per channel"),
    Check("CMYK image", WARNING, "Images in CMYK, a colour model for print",
          "Training converts them to RGB without a colour profile, so colours may be off.",
          "Save the images as RGB.", True,
          images_where(lambda p: p.mode == "CMYK", lambda p: "is CMYK"),
          "train/images/a.jpg is CMYK"),
    Check("transparency", WARNING, "Images that are partly transparent",
          "Training drops the alpha channel, so colours that were invisible become visible.",
          "Flatten the images onto a background.", False,
          images_where(lambda p: p.transparent, lambda p: "is partly transparent"),
          "train/images/a.png is partly transparent"),
    Check("tiny image", WARNING, f"Images with a side shorter than {TINY} pixels",
          "Training upsamples them, which leaves only a blur.", "Remove or replace the images.",
          False,
          images_where(
              lambda p: min(p.size) < TINY, lambda p: f"is {hw(p.size)} (HxW)"),
          "train/images/a.png is 9x9 (HxW)"),
)
# fmt: on
