"""Images with 16 bits per channel."""

from data.doctor.checks.check import WARNING, Check, images_where
from data.doctor.facts import ImageFacts

DARK = 32  # of 255; a 16-bit image whose brightest value is below this is nearly black


def bits_note(image: ImageFacts) -> str:
    note = "has 16 bits per channel"
    if image.brightest >= DARK:
        return note
    return f"{note} and is nearly black: its brightest value is {image.brightest} of 255"


CHECK = Check(
    name="16-bit image",
    rank=WARNING,
    what=__doc__,
    effect="Training uses only the upper 8 bits.",
    remedy=(
        "Save the images with 8 bits per channel. --fix does this, and brightens images that are "
        "nearly black."
    ),
    fixable=True,
    find=images_where(lambda p: p.depth == 16, bits_note),
    example="train/images/a.png has 16 bits per channel",
)
