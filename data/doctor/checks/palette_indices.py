"""Palette masks whose indices are not the ids of the classes that their colours show."""

from data.doctor.checks.check import ERROR, Check
from data.doctor.mask_values import masks_read_as, some_values

CHECK = Check(
    name="palette indices",
    rank=ERROR,
    what=__doc__,
    effect="Training takes the indices for class ids: it learns the wrong classes, or stops.",
    remedy="Replace the indices with class ids. --fix derives them from the colours.",
    fixable=True,
    find=(
        masks_read_as("palette", lambda m: f"contains the palette indices {some_values(m.values)}")
    ),
    example="train/masks/a.png contains the palette indices 2, 3",
)
