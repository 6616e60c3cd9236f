"""Images that are partly transparent."""

from data.doctor.checks.check import WARNING, Check, images_where

CHECK = Check(
    name="transparency",
    rank=WARNING,
    what=__doc__,
    effect="Training drops the alpha channel, so colours that were invisible become visible.",
    remedy="Flatten the images onto a background.",
    fixable=False,
    find=images_where(lambda p: p.transparent, lambda p: "is partly transparent"),
    example="train/images/a.png is partly transparent",
)
