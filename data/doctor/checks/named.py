"""What a check says of a file."""

from typing import NamedTuple


class Named(NamedTuple):
    """A file (or "train", "class lip") and what is with it, a predicate; also: files beside it."""

    name: str
    note: str
    also: tuple[str, ...] = ()


def hw(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
