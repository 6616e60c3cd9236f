"""Masks whose size and aspect ratio differ from those of their image."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.misfit import misfits

CHECK = Check(
    name="mask size",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy="Find the mask that belongs to the image. --fix leaves the pair out.",
    fixable=False,
    find=misfits("other"),
    example="train/masks/a.png is 60x90 (HxW) but its image a.png is 128x128",
)
