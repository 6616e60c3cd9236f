"""A target: a table of the operators that a delegate or accelerator supports.

The tables are taken from the source code of the runtimes in google-ai-edge/LiteRT, commit f674577
of 2026-08-21: `Target.source` names the files, `Row.source` the function, class or entry. Only the
operators of our graphs and similar ones have a row. All others are refused, to be on the safe side.
"""

from typing import NamedTuple

from export.targets.rules import Rule
from export.tflite.head import head_of
from export.tflite.inspect import Operator, operators


class Row(NamedTuple):
    """version: the highest supported, or None if the target ignores versions.

    types: of the inputs and outputs at run time, separated by spaces; rules check the weights.
    """

    operator: str
    version: int | None
    types: str
    source: str
    rules: tuple[Rule, ...] = ()


class Target(NamedTuple):
    """leaves_head: whether the softmax or argmax that ends a file may run outside."""

    means: str  # the hardware and its runtime, for people
    source: str  # paths in the repository
    limits: str  # what the table does not cover
    rows: tuple[Row, ...]
    rules: tuple[Rule, ...] = ()  # for every operator
    leaves_head: bool = False


def faults(content: bytes, target: Target) -> list[str]:
    """A line for each operator of a .tflite that the target does not support. Raises Refusal."""
    steps = operators(content)
    if target.leaves_head:
        steps = steps[: len(steps) - len(head_of(steps))]
    found = ((operator, refused(operator, target)) for operator in steps)
    return [f"{operator.name} ({operator.layer}): {why}" for operator, why in found if why]


def refused(operator: Operator, target: Target) -> str | None:
    """Why a target does not support an operator; None if it does."""
    row = {row.operator: row for row in target.rows}.get(operator.name)
    if row is None:
        return "custom operators are not supported" if operator.custom else "not supported"
    if row.version is not None and operator.version > row.version:
        return f"version {operator.version}; supported: at most {row.version}"
    supported = row.types.split()
    others = sorted({t.dtype for t in operator.activations} - set(supported))
    if others:
        return f"type {' and '.join(others)}; supported: {', '.join(supported)}"
    broken = (rule(operator) for rule in target.rules + row.rules)
    return next((why for why in broken if why), None)
