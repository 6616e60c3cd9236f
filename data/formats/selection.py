"""Selection of the classes of a source: renamed, merged, left out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cli import Refusal, one_of
from data.layout import VOID
from data.names import LONGEST, first_fault, shown, typed

BACKGROUND = "background"
NOT_SCORED = "void"  # a new name for classes whose pixels become void


class Selection(NamedTuple):
    """classes: the new names. table: (C + 1,) uint8, from old id to new id; the last element, for
    index -1, is void. kept: for each new class the old id whose colour it keeps, or None."""

    classes: list[str]
    table: np.ndarray
    kept: list[int | None]


def select(
    classes: Sequence[str],
    renamed: dict[str, str] | None = None,
    only: Sequence[str] = (),
) -> Selection:
    """Renames, merges and selects classes.

    renamed: from old name to new; old names with the same new name are merged, and "void" makes
    pixels void (the ignore index). only: new names to keep, in this order; all others become
    background, the first class. Raises Refusal for unknown or invalid names and over 255 classes.
    """
    for old in renamed or {}:
        one_of(old, classes, "class")
    names = [(renamed or {}).get(name, name).strip() for name in classes]
    scored = list(dict.fromkeys(name for name in names if name != NOT_SCORED))
    if only:
        for name in only:
            one_of(name, scored, "class")
        scored = list(dict.fromkeys([BACKGROUND, *only]))
    refuse_faulty(scored, names, classes)
    if len(scored) > VOID:
        raise Refusal(
            f"{len(scored)} classes are too many: an 8-bit mask holds at most {VOID}. "
            "Choose some with --only, or merge some with --merge NEW=OLD,OLD"
        )
    place = {name: index for index, name in enumerate(scored)}
    rest = 0 if only else VOID
    ids = [VOID if name == NOT_SCORED else place.get(name, rest) for name in names]
    kept = [names.index(name) if name in names else None for name in scored]
    return Selection(scored, np.array([*ids, VOID], np.uint8), kept)


def refuse_faulty(scored: list[str], names: list[str], classes: Sequence[str]) -> None:
    """Raises Refusal for a name that a class of a dataset cannot have.

    names: the new name of each class in the source. classes: the old ones.
    """
    if not (fault := first_fault(scored)):
        return
    index, why = fault
    old = names.index(scored[index]) if scored[index] in names else None
    if old is None or classes[old].strip() != scored[index]:
        raise Refusal(f"the class name {shown(scored[index])} {why}: type another one")
    how = f"--map {typed(classes[old])}=NEW" if len(classes[old]) <= LONGEST else "--map OLD=NEW"
    raise Refusal(
        f"class {old} of the source, {shown(classes[old])}, {why}. Add {how}, where NEW is another "
        "name or that of a class to merge it with"
    )
