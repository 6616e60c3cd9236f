"""Masks that show the classes as colours."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.mask_values import masks_read_as, some_colours

CHECK = Check(
    name="colour mask",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy=(
        "Replace the colours with class ids. --fix uses the colours in dataset.toml or those of "
        "PASCAL VOC, whichever match."
    ),
    fixable=True,
    find=masks_read_as("colours", lambda m: f"has {some_colours(m)}"),
    example="train/masks/a.png has 4 colours",
)
