"""Which classes a dataset gets of those that a source has: renamed, merged, left out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cli import Refusal, one_of
from data.layout import VOID

BACKGROUND = "background"
NOT_SCORED = "void"  # a new name that means: do not score these pixels


class Selection(NamedTuple):
    """classes: the new names. table: (C + 1,) uint8, new id of an old one; the last, which is also
    -1, of pixels that are not scored. kept: for each new class the old id whose colour it takes."""

    classes: list[str]
    table: np.ndarray
    kept: list[int | None]


def select(
    classes: Sequence[str],
    renamed: dict[str, str] | None = None,
    only: Sequence[str] = (),
) -> Selection:
    """renamed: old name to new; several olds with one new are merged, "void" is not scored.

    only: new names that stay, in this order; all others become background, the first class.
    Raises Refusal for a name that does not exist or cannot be written, and for more than 255.
    """
    for old in renamed or {}:
        one_of(old, classes, "class")
    names = [(renamed or {}).get(name, name) for name in classes]
    scored = list(dict.fromkeys(name for name in names if name != NOT_SCORED))
    if only:
        for name in only:
            one_of(name, scored, "class")
        scored = list(dict.fromkeys([BACKGROUND, *only]))
    odd = [name for name in scored if not (name.strip() and name.isprintable())]
    if odd:
        raise Refusal(f"a class is called {odd[0]!r}: its name must be one line that can be read")
    if len(scored) > VOID:
        raise Refusal(
            f"{len(scored)} classes, an 8-bit mask holds at most {VOID}. "
            "Choose some with --only, or join some with --merge NEW=OLD,OLD"
        )
    place = {name: index for index, name in enumerate(scored)}
    rest = 0 if only else VOID
    ids = [VOID if name == NOT_SCORED else place.get(name, rest) for name in names]
    kept = [names.index(name) if name in names else None for name in scored]
    return Selection(scored, np.array([*ids, VOID], np.uint8), kept)
