"""From the values of a mask to classes."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.formats import Drawn, Note
from data.formats.values import Values, read_colour_values, read_values
from data.layout import VOID

APART = 32  # levels between classes from which on a lossy compression does not confuse them
LEVELS = "stores values that are no classes, but shows grey levels that are: these were read"
VOID_ALONE = (
    "holds 0 and 255 alone, and 255 is void: if it means a class, add --values 0=background "
    "255=NAME"
)
BLOCK = 1 << 20  # pixels that are converted at a time


class LabelMap(NamedTuple):
    """The classes of the values in a mask. table: from value, or colour as 0xRRGGBB, to the index
    of its class, or -1 for void. colours: RGB per class, if the table is of colours. assumed:
    whether 255 is void because nothing else was said of it."""

    classes: list[str]
    table: dict[int, int]
    colours: list[list[int]] | None = None
    assumed: bool = False


def to_label_map(
    pairs: Iterable[tuple[int, str]], rgb: bool = False, where: Path | str = "--values"
) -> LabelMap:
    """From (value, class name) pairs; several values may have the same class. The class "void" is
    mapped to -1. where: what names them. Raises Refusal if no other class is named, or if a value
    has two.
    """
    pairs = list(pairs)
    names = list(dict.fromkeys(name for _, name in pairs if name.casefold() != "void"))
    if not names:
        raise Refusal(f"{where}: no class besides void is named")
    known = {}
    for value, name in pairs:
        if known.setdefault(value, name) != name:
            shown = tuple(unpacked(value)) if rgb else value
            raise Refusal(f"{where}: the value {shown} is both {known[value]!r} and {name!r}")
    place = {name: index for index, name in enumerate(names)}
    table = {value: place.get(name, -1) for value, name in pairs}
    first = {name: value for value, name in reversed(pairs)}
    return LabelMap(names, table, [unpacked(first[name]) for name in names] if rgb else None)


def with_void(label_map: LabelMap) -> LabelMap:
    """255 is void, unless the label map has it."""
    if VOID in label_map.table:
        return label_map
    return label_map._replace(table=label_map.table | {VOID: -1}, assumed=True)


def pack(red: int, green: int, blue: int) -> int:
    return red << 16 | green << 8 | blue


def unpacked(colour: int) -> list[int]:
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def read_as(path: Path, label_map: LabelMap) -> np.ndarray | Drawn:
    """The mask (H, W) of a file, indices of label_map.classes. Raises Refusal naming the file."""
    rgb = label_map.colours is not None
    return in_classes(read_colour_values(path) if rgb else read_values(path), label_map, path)


def in_classes(values: Values, label_map: LabelMap, path: Path) -> np.ndarray | Drawn:
    """Values to class indices (H, W), with what was done to them. Raises Refusal."""
    stored, notes = values.stored, values.notes
    if values.lossy and (stored != stored.flat[0]).any():
        mask, note = put_right(values, label_map, path)
        notes = (*notes, note) if note.pixels else notes
        return Drawn(mask, notes=notes) if notes else mask
    used = set(np.unique(stored).tolist())
    if values.shown and levels_meant(values, used, label_map, path):
        table = np.zeros(max(used) + 1, np.int32)
        table[list(values.shown)] = list(values.shown.values())
        stored, notes = table[stored], (*notes, Note(path, LEVELS))
    elif used == {0, VOID} and label_map.assumed and len(label_map.classes) > 1:
        notes = (*notes, Note(path, VOID_ALONE))
    where = " in its alpha channel" if values.alpha else ""
    mask = to_classes(stored, label_map, path, where)
    return Drawn(mask, notes=notes) if notes else mask


def levels_meant(values: Values, used: set[int], label_map: LabelMap, path: Path) -> bool:
    """Whether the classes are those of the grey levels that a viewer shows, because the stored
    values are none. Raises Refusal where both are and a palette has the levels in another order."""
    table, shown = label_map.table, values.shown
    if not set(shown.values()) <= table.keys():
        return False
    if not used <= table.keys():
        return True
    if values.permuted and any(table[value] != table[level] for value, level in shown.items()):
        value, level = next((v, s) for v, s in shown.items() if table[v] != table[s])
        raise Refusal(
            f"{path} stores {value} where its palette shows the grey level {level}, and both are "
            "classes: save it as grey values"
        )
    return False


def put_right(values: Values, label_map: LabelMap, path: Path) -> tuple[np.ndarray, Note]:
    """(mask, note) of values that a lossy compression has changed: the class whose value is near,
    void where none is. Raises Refusal for classes whose values are too close for that."""
    known = np.array(sorted(label_map.table))
    points = known[:, None] if label_map.colours is None else channels(known)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    gap = apart[apart > 0].min(initial=np.inf)
    if not APART <= gap < np.inf:
        raise Refusal(
            f"{path} is a {values.lossy}, which changes values of a mask, and its classes are only "
            f"{gap:.0f} apart: save it as PNG"
        )
    found, back = np.unique(values.stored, return_inverse=True)
    own = found[:, None] if label_map.colours is None else channels(found)
    far = np.stack([np.linalg.norm(own - point, axis=-1) for point in points], -1)
    places = np.array([label_map.table[value] for value in known.tolist()])[far.argmin(-1)]
    places[far.min(-1) > gap / 4] = -1
    changed = int((far.min(-1) > 0)[back].sum())
    text = (f"is a {values.lossy}, whose compression changed values: they were put right to the "
            "nearest class, or void where none is near")  # fmt: skip
    return places.astype(np.int32)[back].reshape(values.stored.shape), Note(path, text, changed)


def channels(packed: np.ndarray) -> np.ndarray:
    """(n,) 0xRRGGBB to (n, 3)."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], -1).astype(float)


def to_classes(values: np.ndarray, label_map: LabelMap, path: Path, where: str = "") -> np.ndarray:
    """(H, W) values to class indices, int32. Raises Refusal for an unknown value, which says
    `where` in the file it is."""
    known = np.array(sorted(label_map.table))
    places = np.array([label_map.table[value] for value in known.tolist()], np.int32)
    flat = values.reshape(-1)
    mask = np.empty(flat.size, np.int32)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        near = np.searchsorted(known, part).clip(max=len(known) - 1)
        odd = part[known[near] != part]
        if odd.size:
            raise Refusal(unknown(int(odd[0]), label_map, path, where))
        mask[start : start + BLOCK] = places[near]
    return mask.reshape(values.shape)


def unknown(value: int, label_map: LabelMap, path: Path, where: str) -> str:
    """The message for a value that is not in the label map."""
    show = str if label_map.colours is None else lambda colour: str(tuple(unpacked(colour)))
    some = ", ".join(map(show, sorted(label_map.table)[:12]))
    more = ", ..." if len(label_map.table) > 12 else ""
    return f"{path} contains {show(value)}{where}, which has no class; known: {some}{more}"
