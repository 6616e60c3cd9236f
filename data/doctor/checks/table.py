"""All checks of a dataset. Each stands with its texts in the file of its kind."""

from data.doctor.checks import classes, duplicates, files, images, masks
from data.doctor.checks.check import ERROR, Finding
from data.doctor.exam import Exam

CHECKS = (*files.CHECKS, *images.CHECKS, *masks.CHECKS, *classes.CHECKS, *duplicates.CHECKS)


def findings(exam: Exam) -> list[Finding]:
    """The checks that found something: errors first, then in the order of the table."""
    found = []
    for check in CHECKS:
        files = list(check.find(exam))
        if files:
            found.append(
                Finding(check.name, check.rank, files, check.what, check.effect, check.remedy,
                        check.fixable)
            )  # fmt: skip
    return sorted(found, key=lambda finding: finding.rank != ERROR)
