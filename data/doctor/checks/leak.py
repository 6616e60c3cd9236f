"""The same image in more than one split."""

from data.doctor.checks.check import ERROR, Check
from data.doctor.groups import alike_groups

CHECK = Check(
    name="leak",
    rank=ERROR,
    what=__doc__,
    effect=(
        "The scores are too high, because the network is scored on images that it has seen in "
        "training."
    ),
    remedy="Keep the image in one split. --fix removes it from train, and from val if test has it.",
    fixable=True,
    find=alike_groups("same", crossing=True, verb="has the same pixels as"),
    example="train/images/a.png has the same pixels as val/images/b.png",
)
