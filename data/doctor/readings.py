"""Maps the values of a mask to class ids, using the conventions of all masks of the dataset."""

from typing import NamedTuple

import numpy as np

from data.dataset import Dataset
from data.doctor.facts import MaskFacts
from data.layout import VOID

STRAY = -1  # in memory, the id of values that belong to no class
LEVELS = 6  # grey levels spread over 0..255 are recognised for at most this many classes
MOST = 0.95  # share of the pixels that a colour table or grey levels must match
BINARY = 0.7  # the same for two classes, whose masks may have soft edges
NEAR = 40  # largest RGB distance of a colour from the colour of its class
LONE, LONE_VALUES = 0.08, 4  # lone and lone_values of MaskFacts from which a mask is smoothed


class Reading(NamedTuple):
    """kind: "ids" (class ids, as training reads them), "levels" (grey levels spread over 0..255),
    "shifted" (1..N instead of 0..N-1), "palette" or "colours" (mapped by a colour table) or
    "unknown" (none of these).

    ids: (n,) a class id, VOID or STRAY for each value in MaskFacts. smoothed: there are stray
    values along edges, as JPEG compression and smooth resizing leave them.
    """

    kind: str
    ids: np.ndarray
    smoothed: bool = False


class Conventions(NamedTuple):
    """Conventions that the masks of a dataset share.

    white_void: 255 means void even in masks of only 0 and 255, because dataset.toml has
    `void = 255` or some mask contains the id of another class than the first. all_shifted: no mask
    contains 0, and the highest id of some mask equals `classes`. tables: candidate colour tables,
    packed colour to id; stated: the first of them comes from dataset.toml.
    """

    classes: int
    void: int
    white_void: bool
    all_shifted: bool
    tables: list[dict[int, int]]
    stated: bool


def conventions_of(dataset: Dataset, names: dict, masks: list[MaskFacts]) -> Conventions:
    """names: the content of dataset.toml."""
    classes, void = len(dataset.classes), dataset.void
    plain = [set(m.values.tolist()) for m in masks if not (m.fault or m.coloured)]
    inside = [v - {VOID, void} for v in plain]
    labelled = any(v - {0} and v <= set(range(classes)) for v in inside)
    top = [v for v in inside if classes in v and max(v) == classes]
    tables = [voc_colours(classes)]
    stated = "colours" in names
    if stated:
        tables.insert(0, {pack(colour): i for i, colour in enumerate(dataset.colours)})
    return Conventions(
        classes, void,
        white_void=labelled or names.get("void") == VOID,
        all_shifted=bool(top) and not any(0 in v for v in inside),
        tables=tables, stated=stated,
    )  # fmt: skip


def read(mask: MaskFacts, conventions: Conventions) -> Reading:
    """How the values of one mask are to be interpreted."""
    if mask.coloured:
        return by_colours(mask.values, mask.counts, conventions)
    if mask.palette is not None and (ids := by_palette(mask, conventions)) is not None:
        return Reading("palette", ids)
    values = mask.values.astype(int)
    scored = set(values.tolist()) - {conventions.void, VOID}
    smoothed = mask.format == "JPEG" or (mask.lone >= LONE and mask.lone_values >= LONE_VALUES)
    outside = any(v >= conventions.classes or v < 0 for v in scored)
    if is_shifted(scored, conventions) and not smoothed:
        ids = np.where((values == VOID) | (values == conventions.void), VOID, values - 1)
        return Reading("shifted", ids)
    hidden = conventions.classes == 2 and VOID in values and not conventions.white_void
    if (outside or hidden) and (ids := by_levels(mask, conventions)) is not None:
        many = len(values) > conventions.classes + 1
        return Reading("levels", ids, mask.format == "JPEG" or many)
    ids = np.where((values < 0) | (values >= conventions.classes), STRAY, values)
    ids[(values == VOID) | (values == conventions.void)] = VOID
    if smoothed:
        large = mask.counts >= solid(mask)
        if (large & (ids == STRAY)).any():
            return Reading("unknown", np.full(len(values), STRAY))
        ids = np.where(large, ids, STRAY)
    return Reading("ids", ids, smoothed)


def solid(mask: MaskFacts) -> float:
    """Values of a smoothed mask with fewer pixels than this count as stray."""
    return 0.005 * mask.counts.sum()


def is_shifted(scored: set[int], conventions: Conventions) -> bool:
    if not scored or 0 in scored or max(scored) > conventions.classes:
        return False
    return conventions.all_shifted or conventions.classes in scored


def by_levels(mask: MaskFacts, conventions: Conventions) -> np.ndarray | None:
    """Ids for grey levels spread over 0..255, or over 0..V for two classes and a mask of only 0 and
    V; None if they do not match."""
    values, classes = mask.values.astype(int), conventions.classes
    if not 2 <= classes <= LEVELS or values.min() < 0 or values.max() > 255:
        return None
    top = 255
    if classes == 2 and len(values) == 2 and values[0] == 0:
        top = int(values[1])
    step = top / (classes - 1)
    ids = np.clip(np.round(values / step), 0, classes - 1).astype(int)
    near = np.abs(values - ids * step) <= step / 8
    if not ids[near].any():
        return None
    if conventions.void != VOID:  # dataset.toml declares it, such as the middle level of a trimap
        near |= values == conventions.void
        ids[values == conventions.void] = VOID
    share = mask.counts[near].sum() / mask.counts.sum()
    return ids if share >= (BINARY if classes == 2 else MOST) else None


def by_palette(mask: MaskFacts, conventions: Conventions) -> np.ndarray | None:
    """Ids for a palette whose colours show other classes than its indices; None if they agree."""
    values = mask.values.astype(int)
    is_void = (values == VOID) | (values == conventions.void)
    outside = bool(((values >= conventions.classes) & ~is_void).any())
    tables = conventions.tables if outside else conventions.tables[: int(conventions.stated)]
    for table in tables:
        ids = np.array([table.get(int(c), STRAY) for c in mask.palette])
        ids[is_void] = VOID
        if not (ids == STRAY).any() and (ids != values)[~is_void].any():
            return ids
    return None


def by_colours(values: np.ndarray, counts: np.ndarray, conventions: Conventions) -> Reading:
    """Ids for packed colours, by the colour table that matches most pixels."""
    best, most = None, MOST
    for table in conventions.tables:
        ids = nearest_colour(values, table)
        share = counts[ids != STRAY].sum() / counts.sum()
        if share > most:
            best, most = ids, share
    if best is None:
        return Reading("unknown", np.full(len(values), STRAY))
    exact = sum(counts[np.isin(values, list(table))].sum() for table in conventions.tables[:1])
    many = len(values) > conventions.classes + 1
    return Reading("colours", best, bool(exact < counts.sum() and many))


def nearest_colour(values: np.ndarray, table: dict[int, int]) -> np.ndarray:
    colours = unpack(np.array(list(table)))
    apart = np.linalg.norm(unpack(values)[:, None] - colours[None], axis=-1)
    ids = np.array(list(table.values()))[apart.argmin(1)]
    return np.where(apart.min(1) <= NEAR, ids, STRAY)


def pack(colour) -> int:
    red, green, blue = (int(channel) for channel in colour)
    return red << 16 | green << 8 | blue


def unpack(values: np.ndarray) -> np.ndarray:
    """(n,) packed to (n, 3) float."""
    return np.stack([values >> 16, values >> 8 & 255, values & 255], -1).astype(np.float32)


def voc_colours(classes: int) -> dict[int, int]:
    """PASCAL VOC's palette, packed colour to id; (224, 224, 192) is void.

    The bits of the id, from the lowest on, become the bits of red, green and blue in turn, from the
    highest on. Source: VOClabelcolormap.m of VOCdevkit.
    """
    table = {}
    for index in range(classes):
        rgb = [sum((index >> 3 * k + c & 1) << 7 - k for k in range(3)) for c in range(3)]
        table[pack(rgb)] = index
    return table | {pack((224, 224, 192)): VOID}


def guessed_classes(masks: list[MaskFacts]) -> list[str]:
    """Placeholder names for a dataset without class names, from the ids in its masks."""
    scored = [
        set(mask.values[mask.counts >= solid(mask)].tolist()) - {VOID}
        for mask in masks
        if not (mask.fault or mask.coloured)
    ]
    highest = max((max(values, default=0) for values in scored), default=1)
    two = all(len(values) <= 2 for values in scored) and highest > 1
    count = 2 if two or not 2 <= highest < VOID - 1 else int(highest) + 1
    if count > 64:  # grey levels rather than ids
        count = 2
    return ["background", *(f"class_{index}" for index in range(1, count))]
