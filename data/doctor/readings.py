"""How a mask's numbers become class ids, told from what the masks of the whole dataset hold."""

from typing import NamedTuple

import numpy as np

from data.dataset import Dataset
from data.doctor.facts import MaskFacts
from data.layout import VOID

STRAY = -1  # in memory: a number of no class; a repair takes the nearest sure pixel's class
LEVELS = 6  # classes up to which grey levels spread over 0..255 are told apart
MOST = 0.95  # share of pixels that a colour table or grey levels must explain
BINARY = 0.7  # the same for two classes, whose edges may be soft
NEAR = 40  # largest distance of a stray colour from its class's, in RGB
LONE, LONE_VALUES = 0.08, 4  # of lone pixels, from which a mask was smoothed or JPEG-compressed


class Reading(NamedTuple):
    """kind: "ids" as training reads them, "levels" (0..255 for 0..1 or the like), "shifted" (1..N
    for 0..N-1), "palette" or "colours" (by colour table), "unknown" (no way found).

    ids: (n,) for each of the facts' values a class id, VOID, or STRAY. smoothed: stray values along
    the edges, as JPEG and resizing leave them.
    """

    kind: str
    ids: np.ndarray
    smoothed: bool = False


class Habits(NamedTuple):
    """What the masks of the dataset do. white_void: 255 is void in a mask of 0 and 255 alone: some
    mask holds a class but the first, or dataset.toml says `void = 255`. tables: colour tables,
    packed colour to id, that masks may follow; stated: whether the first is the dataset's own word.
    """

    classes: int
    void: int
    white_void: bool
    all_shifted: bool
    tables: list[dict[int, int]]
    stated: bool


def habits(dataset: Dataset, names: dict, masks: list[MaskFacts]) -> Habits:
    """names: what dataset.toml states."""
    classes, void = len(dataset.classes), dataset.void
    plain = [set(m.values.tolist()) for m in masks if not (m.fault or m.coloured)]
    inside = [v - {VOID, void} for v in plain]
    labelled = any(v - {0} and v <= set(range(classes)) for v in inside)
    top = [v for v in inside if classes in v and max(v) == classes]
    tables = [voc_colours(classes)]
    stated = "colours" in names
    if stated:
        tables.insert(0, {pack(colour): i for i, colour in enumerate(dataset.colours)})
    return Habits(
        classes, void,
        white_void=labelled or names.get("void") == VOID,
        all_shifted=bool(top) and not any(0 in v for v in inside),
        tables=tables, stated=stated,
    )  # fmt: skip


def read(mask: MaskFacts, habits: Habits) -> Reading:
    """How one mask is to be read."""
    if mask.coloured:
        return by_colours(mask.values, mask.counts, habits)
    if mask.palette is not None and (ids := by_palette(mask, habits)) is not None:
        return Reading("palette", ids)
    values = mask.values.astype(int)
    scored = set(values.tolist()) - {habits.void, VOID}
    smoothed = mask.format == "JPEG" or (mask.lone >= LONE and mask.lone_values >= LONE_VALUES)
    outside = any(v >= habits.classes or v < 0 for v in scored)
    if is_shifted(scored, habits) and not smoothed:
        ids = np.where((values == VOID) | (values == habits.void), VOID, values - 1)
        return Reading("shifted", ids)
    hidden = habits.classes == 2 and VOID in values and not habits.white_void
    if (outside or hidden) and (ids := by_levels(mask, habits)) is not None:
        return Reading("levels", ids, mask.format == "JPEG" or len(values) > habits.classes + 1)
    ids = np.where((values < 0) | (values >= habits.classes), STRAY, values)
    ids[(values == VOID) | (values == habits.void)] = VOID
    if smoothed:
        large = mask.counts >= solid(mask)
        if (large & (ids == STRAY)).any():
            return Reading("unknown", np.full(len(values), STRAY))
        ids = np.where(large, ids, STRAY)
    return Reading("ids", ids, smoothed)


def solid(mask: MaskFacts) -> float:
    """Pixels below which a value of a smoothed mask is taken for a stray one."""
    return 0.005 * mask.counts.sum()


def is_shifted(scored: set[int], habits: Habits) -> bool:
    if not scored or 0 in scored or max(scored) > habits.classes:
        return False
    return habits.all_shifted or habits.classes in scored


def by_levels(mask: MaskFacts, habits: Habits) -> np.ndarray | None:
    """Ids of grey levels that are spread over 0..255; for two classes of any two levels."""
    values, classes = mask.values.astype(int), habits.classes
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
    if habits.void != VOID:  # stated: as the pixels between the levels of a trimap
        near |= values == habits.void
        ids[values == habits.void] = VOID
    share = mask.counts[near].sum() / mask.counts.sum()
    return ids if share >= (BINARY if classes == 2 else MOST) else None


def by_palette(mask: MaskFacts, habits: Habits) -> np.ndarray | None:
    """Ids of a palette whose colours say other classes than its indices; None if they do not."""
    values = mask.values.astype(int)
    is_void = (values == VOID) | (values == habits.void)
    outside = bool(((values >= habits.classes) & ~is_void).any())
    tables = habits.tables if outside else habits.tables[: int(habits.stated)]
    for table in tables:
        ids = np.array([table.get(int(c), STRAY) for c in mask.palette])
        ids[is_void] = VOID
        if not (ids == STRAY).any() and (ids != values)[~is_void].any():
            return ids
    return None


def by_colours(values: np.ndarray, counts: np.ndarray, habits: Habits) -> Reading:
    """Ids of packed colours by the table that explains most pixels."""
    best, share = None, MOST
    for table in habits.tables:
        ids = nearest_colour(values, table)
        explained = counts[ids != STRAY].sum() / counts.sum()
        if explained > share:
            best, share = ids, explained
    if best is None:
        return Reading("unknown", np.full(len(values), STRAY))
    exact = sum(counts[np.isin(values, list(table))].sum() for table in habits.tables[:1])
    return Reading("colours", best, bool(exact < counts.sum() and len(values) > habits.classes + 1))


def nearest_colour(values: np.ndarray, table: dict[int, int]) -> np.ndarray:
    colours = unpack(np.array(list(table)))
    apart = np.linalg.norm(unpack(values)[:, None] - colours[None], axis=-1)
    ids = np.array(list(table.values()))[apart.argmin(1)]
    return np.where(apart.min(1) <= NEAR, ids, STRAY)


def pack(colour) -> int:
    red, green, blue = (int(part) for part in colour)
    return red << 16 | green << 8 | blue


def unpack(values: np.ndarray) -> np.ndarray:
    """(n,) packed to (n, 3) float."""
    return np.stack([values >> 16, values >> 8 & 255, values & 255], -1).astype(np.float32)


def voc_colours(classes: int) -> dict[int, int]:
    """Packed colour to id of PASCAL VOC's palette: id's bits from the lowest are spread over red,
    green and blue from the highest; (224, 224, 192) is void. Source: VOCdevkit's VOClabelcolormap.m
    """
    table = {}
    for index in range(classes):
        parts = [sum((index >> 3 * k + c & 1) << 7 - k for k in range(3)) for c in range(3)]
        table[pack(parts)] = index
    return table | {pack((224, 224, 192)): VOID}


def guessed_classes(masks: list[MaskFacts]) -> list[str]:
    """Names for a dataset that names none, from the ids its masks hold."""
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
