"""Masks whose height and width are swapped."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.misfit import misfits

CHECK = Check(
    name="transposed mask",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy="Transpose or rotate the mask, whichever matches the image. --fix leaves the pair out.",
    fixable=False,
    find=misfits("transposed"),
    example="train/masks/a.png is 128x96 (HxW) but its image a.png is 96x128",
)
