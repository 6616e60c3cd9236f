"""Images in CMYK, a colour model for print."""

from data.doctor.checks.check import WARNING, Check, images_where

CHECK = Check(
    name="CMYK image",
    rank=WARNING,
    what=__doc__,
    effect="Training converts them to RGB without a colour profile, so colours may be off.",
    remedy="Save the images as RGB.",
    fixable=True,
    find=images_where(lambda p: p.mode == "CMYK", lambda p: "is CMYK"),
    example="train/images/a.jpg is CMYK",
)
