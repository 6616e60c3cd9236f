"""The same image twice in one split."""

from data.doctor.checks.check import WARNING, Check
from data.doctor.groups import alike_groups

CHECK = Check(
    name="duplicate",
    rank=WARNING,
    what=__doc__,
    effect="The image counts twice in training or in the score.",
    remedy="Remove one of them. --fix keeps the first if the masks are identical.",
    fixable=True,
    find=alike_groups("same", crossing=False, verb="has the same pixels as"),
    example="train/images/a.png has the same pixels as train/images/b.png",
)
