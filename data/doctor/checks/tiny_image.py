"""Images with a side shorter than TINY pixels."""

from data.doctor.checks.check import WARNING, Check, hw, images_where

TINY = 16  # pixels; an image with a shorter side is reported


CHECK = Check(
    name="tiny image",
    rank=WARNING,
    what=f"Images with a side shorter than {TINY} pixels.",
    effect="Training upsamples them, which leaves only a blur.",
    remedy="Remove or replace the images.",
    fixable=False,
    find=images_where(lambda p: min(p.size) < TINY, lambda p: f"is {hw(p.size)} (HxW)"),
    example="train/images/a.png is 9x9 (HxW)",
)
