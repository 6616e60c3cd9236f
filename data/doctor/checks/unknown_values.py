"""Masks whose colours or grey levels match no class."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.mask_values import masks_read_as, some_colours

CHECK = Check(
    name="unknown values",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy=(
        "Save the masks with class ids, or list the colour of each class in dataset.toml as "
        "colours = [[r, g, b], ...] and let --fix convert them. Without such a list --fix leaves "
        "the pair out."
    ),
    fixable=False,
    find=masks_read_as("unknown", lambda m: f"has {some_colours(m)}"),
    example="train/masks/a.png has 1024 colours",
)
