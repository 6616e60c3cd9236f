"""Nearly identical images in more than one split."""

from data.doctor.checks.check import WARNING, Check
from data.doctor.groups import BY_CLIP, alike_groups

CHECK = Check(
    name="near leak",
    rank=WARNING,
    what=__doc__,
    effect="The scores are too high if the images show the same scene.",
    remedy=(
        "Compare the images. --fix removes them from train, and from val if test has them. "
        f"Frames of one video belong in one split: {BY_CLIP}."
    ),
    fixable=True,
    find=alike_groups("near", crossing=True, verb="is nearly identical to"),
    example="train/images/a.png is nearly identical to val/images/b.jpg",
)
