"""What a check is, and the cases that it finds."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from data.doctor.exam import Exam

ERROR, WARNING = "error", "warning"
# What several checks say.
NO_START = "Training does not start."
STOPS = "Training stops at the first such file."
REPLACE = "Replace the file. --fix leaves the pair out."


class Named(NamedTuple):
    """A file, split or class ("class lip") and a predicate about it; also: other files involved."""

    name: str
    note: str
    also: tuple[str, ...] = ()


class Check(NamedTuple):
    """rank: ERROR if training would stop, or would learn or score something wrong, else WARNING.

    effect: what happens in training. fixable: whether --fix repairs all cases; pairs with an error
    that it cannot repair are left out. find: yields the cases. example: one, as it is printed.
    """

    name: str
    rank: str
    what: str
    effect: str
    remedy: str
    fixable: bool
    find: Callable[[Exam], Iterable[Named]]
    example: str


class Finding(NamedTuple):
    """A check with the cases that it found; the other fields are those of `Check`."""

    check: str
    rank: str
    files: list[Named]
    what: str
    effect: str
    remedy: str
    fixable: bool


def advice(found: Check | Finding) -> str:
    """The remedy and, unless it mentions --fix itself, whether --fix applies it."""
    if "--fix" in found.remedy:
        return found.remedy
    return f"{found.remedy} --fix {'does this' if found.fixable else 'does not change this'}."


def hw(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
