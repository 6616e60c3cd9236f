"""Masks with ids that start at 1 instead of 0."""

from data.doctor.checks.check import ERROR, Check
from data.doctor.mask_values import ids_note, masks_read_as

CHECK = Check(
    name="off by one",
    rank=ERROR,
    what=__doc__,
    effect="Training learns each class under the name of the next one and stops at the highest id.",
    remedy=(
        "Subtract 1 from all ids, as --fix does. If 0 means unlabelled in your masks, replace it "
        "with 255 (void)."
    ),
    fixable=True,
    find=masks_read_as("shifted", ids_note),
    example="train/masks/a.png contains the values 1, 2",
)
