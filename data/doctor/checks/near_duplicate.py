"""Nearly identical images in one split."""

from data.doctor.checks.check import WARNING, Check
from data.doctor.groups import BY_CLIP, alike_groups

CHECK = Check(
    name="near duplicate",
    rank=WARNING,
    what=__doc__,
    effect=(
        "Near duplicates count twice in training or in the score. Frames of one video usually "
        "are near duplicates."
    ),
    remedy=(
        "Remove some of them if their scene should not count so often. If a split is made of "
        f"such frames, make it by clip: {BY_CLIP}."
    ),
    fixable=False,
    find=alike_groups("near", crossing=False, verb="is nearly identical to"),
    example="train/images/a.png is nearly identical to train/images/b.jpg",
)
