"""A single case that a check has found."""

from typing import NamedTuple


class Named(NamedTuple):
    """A file, split or class ("class lip") and a predicate about it; also: other files involved."""

    name: str
    note: str
    also: tuple[str, ...] = ()


def hw(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
