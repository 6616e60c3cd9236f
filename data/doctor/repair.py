"""The repairs of one pair: what becomes of its image and of the values of its mask."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from data.doctor.checks.sixteen_bit_image import DARK
from data.doctor.facts import Facts, stored_values
from data.doctor.files import Pair
from data.doctor.misfit import misfit
from data.doctor.readings import STRAY, Reading
from data.images import read_bytes, read_image, turned
from data.layout import VOID

HOW = {
    "colours": "colours replaced with ids", "palette": "ids derived from the palette's colours",
    "levels": "grey levels replaced with ids", "shifted": "1 subtracted from all ids",
}  # fmt: skip


class Job(NamedTuple):
    """A pair to be written; split, stem: where it is written to.

    moved_void: the id that is void in the source if it is that of a class in the repaired set.
    """

    pair: Pair
    facts: Facts
    reading: Reading
    split: str
    stem: str
    moved_void: int | None = None


def eight_bits(path: Path, brightest: int) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB; a nearly black one is brightened to the full range."""
    if brightest >= DARK:
        return read_image(path)
    raw = np.frombuffer(read_bytes(path), np.uint8)
    deep = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH).astype(np.float32)
    return np.round(deep * (255 / max(1, deep.max()))).astype(np.uint8)


def repaired(job: Job) -> tuple[np.ndarray | None, list[str]]:
    """(mask (H, W) uint8, the repairs applied to it); (None, []) if it needs none."""
    reading, facts = job.reading, job.facts
    steps = [HOW[reading.kind]] if reading.kind in HOW else []
    if not steps and facts.mask.mode not in ("L", "P", "1"):
        steps.append("written as one 8-bit channel")
    if reading.smoothed:
        steps.append("stray values replaced")
    elif (reading.ids == STRAY).any():
        steps.append("unknown ids set to void")
    fit = misfit(facts)
    steps += {"turned": ["EXIF orientation applied"], "scaled": ["resized"]}.get(fit, [])
    if not steps and job.moved_void is not None and job.moved_void in facts.mask.values:
        steps.append(f"void is {VOID} instead of {job.moved_void}")
    if job.pair.mask.suffix.lower() != ".png" and not steps:
        steps.append("written as PNG")
    if not steps:
        return None, []
    ids = as_ids(job.pair.mask, facts, reading)
    if fit == "turned":
        ids = turned(ids, facts.image.orientation)
    if fit == "scaled":
        ids = cv2.resize(ids, facts.image.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return ids, steps


def makes_void(job: Job) -> bool:
    """Whether the repair makes void of values that training does not read as void."""
    facts, reading = job.facts.mask, job.reading
    void = (reading.ids == VOID) | ((reading.ids == STRAY) & (not reading.smoothed))
    return bool((void & (facts.coloured | (facts.values != VOID))).any())


def as_ids(path: Path, facts: Facts, reading: Reading) -> np.ndarray:
    """A mask with its values replaced by class ids, (H, W) uint8."""
    _, pixels, _ = stored_values(path)
    values = facts.mask.values
    at = np.minimum(np.searchsorted(values, pixels), len(values) - 1)
    ids = np.where(values[at] == pixels, reading.ids[at], STRAY).astype(np.int32)
    if reading.smoothed:
        ids = without_strays(ids)
    return np.where(ids == STRAY, VOID, ids).astype(np.uint8)


def without_strays(ids: np.ndarray) -> np.ndarray:
    """Replaces stray and isolated pixels with the id of the nearest other pixel; ids (H, W)."""
    for _ in range(2):
        around = np.pad(ids, 1, mode="edge")
        neighbours = around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]
        stray = (ids == STRAY) | np.logical_and.reduce([ids != other for other in neighbours])
        if stray.all():
            return ids
        _, nearest = cv2.distanceTransformWithLabels(
            stray.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        sure = np.zeros(int(nearest.max()) + 1, np.int32)
        sure[nearest[~stray]] = ids[~stray]
        ids = sure[nearest]
    return ids
