"""Masks without the EXIF rotation of their image."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.misfit import misfits

CHECK = Check(
    name="rotated mask",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy="Apply the image's EXIF rotation or mirroring to the mask too.",
    fixable=True,
    find=misfits("turned"),
    example="train/masks/a.png is 96x128 (HxW) but its image a.jpg is 128x96",
)
