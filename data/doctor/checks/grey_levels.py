"""Masks that show the classes as grey levels from 0 to 255."""

from data.doctor.checks.check import ERROR, Check
from data.doctor.mask_values import ids_note, masks_read_as

find = masks_read_as("levels", ids_note)

CHECK = Check(
    name="grey levels",
    rank=ERROR,
    what=__doc__,
    effect=(
        "Training treats 255 as void (the ignore index), so it never learns the class shown in "
        "white, and it stops at the grey levels in between."
    ),
    remedy=(
        "Replace the grey levels with the class ids 0, 1, 2, ... --fix does this, from black to "
        "white. If the masks contain only 0 and 255, and 255 does mean void, confirm it with "
        "void = 255 in dataset.toml instead."
    ),
    fixable=True,
    find=find,
    example="train/masks/a.png contains the values 0, 255",
)
