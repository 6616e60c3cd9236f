"""What a target is: a table of operators with version, types and rules.

Read in google-ai-edge/LiteRT at commit f674577 of 2026-08-21, the code of the runtimes
themselves: a target names the files, a row the function, class or entry in them. Only the
operators that our graphs are made of, and their neighbours, have a row: whatever has none is
refused, which errs on the safe side.
"""

from typing import NamedTuple

from export.targets.rules import Rule
from export.tflite.inspect import Operator, operators


class Row(NamedTuple):
    """version: the highest that is taken; None where the target does not look at it.

    types: of what flows at run time; weights have rules of their own.
    """

    operator: str
    version: int | None
    types: str
    source: str
    rules: tuple[Rule, ...] = ()


class Target(NamedTuple):
    means: str
    source: str  # paths in the repository
    limits: str  # what the table cannot say
    rows: tuple[Row, ...]
    rules: tuple[Rule, ...] = ()  # of every operator


def faults(content: bytes, target: Target) -> list[str]:
    """A line for each operator of a .tflite that the target does not take. Raises Refusal."""
    found = ((operator, refused(operator, target)) for operator in operators(content))
    return [f"{operator.name} ({operator.layer}): {why}" for operator, why in found if why]


def refused(operator: Operator, target: Target) -> str | None:
    """Why a target does not take an operator, in words; None where it does."""
    row = {row.operator: row for row in target.rows}.get(operator.name)
    if row is None:
        return "a custom operator" if operator.custom else "not taken"
    if row.version is not None and operator.version > row.version:
        return f"version {operator.version}, at most {row.version}"
    strange = sorted({t.dtype for t in operator.activations} - set(row.types.split()))
    if strange:
        return f"{' and '.join(strange)}, only {' or '.join(row.types.split())}"
    broken = (rule(operator) for rule in target.rules + row.rules)
    return next((why for why in broken if why), None)
