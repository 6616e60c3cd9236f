"""python -m data.doctor.manual > docs/doctor.md: a manual made of the texts of the checks."""

from collections.abc import Iterator

from data.doctor.checks.check import ERROR, WARNING, advice
from data.doctor.checks.table import CHECKS

HEAD = """# What `python -m data check` finds

Made by `python -m data.doctor.manual` of the texts in `data/doctor/checks/`; a test keeps it so.
With an *error* training would stop, or would learn or score something wrong: the exit code is 1.
A *warning* marks something that may be intended.

`--fix OUT` writes a repaired set to a new folder. It is independent of the first one: its files are
copies, no links, so that it takes as much space again, and edits of it change nothing else."""


def manual() -> Iterator[str]:
    yield HEAD
    for rank in (ERROR, WARNING):
        yield f"\n## {rank.capitalize()}s"
        for check in CHECKS:
            if check.rank == rank:
                yield f"\n### {check.name}\n"
                yield f"{check.what}. {check.effect} *Remedy:* {advice(check)}\n"
                yield f"    {check.example}"


if __name__ == "__main__":
    print("\n".join(manual()))
