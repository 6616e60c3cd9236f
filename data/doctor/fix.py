"""A sound dataset of one that is not: what is certain is repaired, the rest left out, both listed.

The source is only read.
"""

import os
import shutil
import tempfile
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from cli import Refusal
from data.dataset import write_names
from data.doctor.checks.images import DARK
from data.doctor.checks.masks import misfit
from data.doctor.exam import Exam
from data.doctor.facts import Facts, stored_values
from data.doctor.files import Pair
from data.doctor.readings import STRAY, Reading
from data.formats.imports import file_names, link
from data.formats.splits import assign
from data.images import read_bytes, read_image, turned, write_image
from data.layout import VOID
from files import write_json

THREADS = 4
VAL = 0.15  # share that val gets where it has nothing
JUDGES = ("test", "val")  # splits that keep an image which another has as well
HOW = {
    "colours": "ids taken from colours", "palette": "ids taken from the palette's colours",
    "levels": "grey levels made ids", "shifted": "1 subtracted from its ids",
}  # fmt: skip


class Job(NamedTuple):
    """A pair that stays: where it was, what was seen, and where it goes."""

    pair: Pair
    facts: Facts
    reading: Reading
    split: str
    stem: str


def refuse_target(folder: Path, out: Path) -> None:
    folder, out = Path(folder).resolve(), Path(out).resolve()
    if out.is_relative_to(folder):
        raise Refusal(f"{out} is in the dataset itself, which --fix leaves as it is: name another")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refusal(f"{out} exists: choose a new folder, or remove it first")


def write_sound(exam: Exam, out: Path) -> list[str]:
    """Writes the dataset folder `out`, all or nothing, and gives a line for each change.

    Raises Refusal when too little is sound for a train and a val.
    """
    from tqdm import tqdm

    out = Path(out)
    dropped = left_out(exam)
    changes = [f"{exam.name(exam.listing.pairs[i].image)}: left out, {why}"
               for i, why in sorted(dropped.items())]  # fmt: skip
    for paths, why in (
        (exam.listing.lone_images, "has no mask"), (exam.listing.lone_masks, "has no image"),
        (exam.listing.ignored, "is of no known kind"),
    ):  # fmt: skip
        changes += [f"{exam.name(path)}: left out, {why}" for path in paths]
    jobs = jobs_of(exam, [i for i in range(len(exam.facts)) if i not in dropped])
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".part-{out.name}-", dir=out.parent))
    try:
        part.chmod(0o755)
        for job in jobs:
            for name in ("images", "masks"):
                (part / job.split / name).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda job: write_pair(exam, job, part), jobs)
            for lines in tqdm(done, total=len(jobs), unit="pair", leave=False):
                changes += lines
        changes += write_classes(exam, part)
        origin = {"made_by": "python -m data check --fix", "source": str(exam.folder)}
        write_json(part / "origin.json", {**origin, "changes": changes})
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return changes


# What stays


def left_out(exam: Exam) -> dict[int, str]:
    """Why a pair is left out, by its position."""
    dropped = {}
    for index, (_, facts, reading) in enumerate(exam.looked):
        if why := hopeless(facts, reading):
            dropped[index] = why
    for rule in (drop_shared, drop_repeated):
        rule(exam, dropped)
    return dropped


def hopeless(facts: Facts, reading: Reading) -> str:
    """What no repair mends, "" if there is nothing."""
    if facts.image.fault:
        return f"it {facts.image.fault}"
    if facts.mask.fault:
        return f"its mask {facts.mask.fault}"
    if misfit(facts) in ("transposed", "other"):
        return "its mask has another shape"
    return "its mask's values are in no table" if reading.kind == "unknown" else ""


def drop_shared(exam: Exam, dropped: dict[int, str]) -> None:
    """Of images with one stem the one that has the mask's size, or the first if all are alike."""
    place = {pair.image: index for index, pair in enumerate(exam.listing.pairs)}
    for paths in exam.listing.shared:
        group = [place[path] for path in paths if place.get(path, -1) not in {-1, *dropped}]
        fitting = [index for index in group if not misfit(exam.facts[index])]
        alike = any(set(group) <= set(same) for same in (*exam.alike.same, *exam.alike.near))
        kept = fitting[:1] if len(fitting) == 1 or alike else group[:1] if len(group) == 1 else []
        why = "another image has its stem" if kept else "several images share its stem and mask"
        dropped.update((index, why) for index in group if index not in kept)


def drop_repeated(exam: Exam, dropped: dict[int, str]) -> None:
    """An image that val or test has leaves train; of equal pairs in a split the first stays."""
    pairs = exam.listing.pairs
    for kind, groups in (("", exam.alike.same), ("nearly ", exam.alike.near)):
        for group in groups:
            group = [index for index in group if index not in dropped]
            judge = next((s for s in JUDGES if s in {pairs[i].split for i in group}), None)
            own = [index for index in group if judge in (None, pairs[index].split)]
            for index in sorted(set(group) - set(own)):
                dropped[index] = f"it is {kind}{exam.name(pairs[own[0]].image)}"
            for index in () if kind else own[1:]:
                if exam.facts[index].mask.digest == exam.facts[own[0]].mask.digest:
                    dropped[index] = f"it is {exam.name(pairs[own[0]].image)} again"


def jobs_of(exam: Exam, kept: list[int]) -> list[Job]:
    """The pairs that stay, with the split and the name they get."""
    pairs = [exam.listing.pairs[index] for index in kept]
    splits = [pair.split for pair in pairs]
    if not {"train", "val"} <= set(splits):
        free = [at for at, split in enumerate(splits) if split != "test"]
        names = [exam.name(pairs[at].image) for at in free]
        present = [frozenset(np.flatnonzero(exam.pixels[kept[at], :-1]).tolist()) for at in free]
        for at, split in zip(free, assign(names, present, VAL, 0.0, 0), strict=True):
            splits[at] = split
    if not {"train", "val"} <= set(splits):
        raise Refusal(
            f"{exam.folder} has {len(pairs)} sound pairs, too few for a train and a val. "
            "python -m data check says what is wrong; add images"
        )
    stems = dict(zip(kept, [""] * len(kept), strict=True))
    for split in set(splits):
        inside = [index for index, own in zip(kept, splits, strict=True) if own == split]
        plain = [ascii_of(exam.listing.pairs[index].image.stem) for index in inside]
        stems.update(zip(inside, file_names(plain), strict=True))
    return [
        Job(pair, exam.facts[index], exam.readings[index], split, stems[index])
        for pair, index, split in zip(pairs, kept, splits, strict=True)
    ]


def ascii_of(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


# Repairs


def write_pair(exam: Exam, job: Job, part: Path) -> list[str]:
    """Writes image and mask, links what is sound already, and gives a line for each change."""
    pair, facts = job.pair, job.facts
    name, changes = exam.name(pair.image), []
    images, masks = part / job.split / "images", part / job.split / "masks"
    if facts.image.depth == 16 or facts.image.mode == "CMYK":
        image = eight_bits(pair.image, facts.image.brightest)
        write_image(images / f"{job.stem}.png", image)
        changes.append(f"{name}: written as 8-bit RGB")
    else:
        link(pair.image, images / f"{job.stem}{pair.image.suffix.lower()}")
    ids, steps = repaired(job)
    if steps:
        write_image(masks / f"{job.stem}.png", ids)
        changes.append(f"{exam.name(pair.mask)}: {', '.join(steps)}")
    else:
        link(pair.mask, masks / f"{job.stem}.png")
    if job.stem != pair.image.stem or pair.mask.name != f"{pair.image.stem}.png":
        changes.append(f"{exam.name(pair.mask)}: renamed to {job.stem}.png")
    if job.stem != pair.image.stem:
        changes.append(f"{name}: renamed to {job.stem}")
    if job.split != pair.split:
        changes.append(f"{name}: moved to {job.split}")
    return changes


def eight_bits(path: Path, brightest: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB; what is nearly black is stretched."""
    if brightest >= DARK:
        return read_image(path)
    raw = np.frombuffer(read_bytes(path), np.uint8)
    deep = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH).astype(np.float32)
    return np.round(deep * (255 / max(1, deep.max()))).astype(np.uint8)


def repaired(job: Job) -> tuple[np.ndarray | None, list[str]]:
    """(mask (H, W) uint8, what was done to it); (None, []) if it is sound as it is."""
    reading, facts = job.reading, job.facts
    steps = [HOW[reading.kind]] if reading.kind in HOW else []
    if not steps and facts.mask.mode not in ("L", "P", "1"):
        steps.append("written as one channel")
    if reading.smoothed:
        steps.append("stray values replaced")
    elif (reading.ids == STRAY).any():
        steps.append("ids of no class made void")
    fit = misfit(facts)
    steps += {"turned": ["turned as EXIF turns its image"], "scaled": ["resized"]}.get(fit, [])
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


def as_ids(path: Path, facts: Facts, reading: Reading) -> np.ndarray:
    """A mask's numbers as class ids, (H, W) uint8."""
    _, pixels, _ = stored_values(path)
    values = facts.mask.values
    at = np.minimum(np.searchsorted(values, pixels), len(values) - 1)
    ids = np.where(values[at] == pixels, reading.ids[at], STRAY).astype(np.int32)
    if reading.smoothed:
        ids = without_strays(ids)
    return np.where(ids == STRAY, VOID, ids).astype(np.uint8)


def without_strays(ids: np.ndarray) -> np.ndarray:
    """Stray pixels, and those unlike all their neighbours, get the nearest other pixel's id."""
    for _ in range(2):
        around = np.pad(ids, 1, mode="edge")
        beside = around[1:-1, :-2], around[1:-1, 2:], around[:-2, 1:-1], around[2:, 1:-1]
        stray = (ids == STRAY) | np.logical_and.reduce([ids != other for other in beside])
        if stray.all():
            return ids
        _, nearest = cv2.distanceTransformWithLabels(
            stray.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        sure = np.zeros(int(nearest.max()) + 1, np.int32)
        sure[nearest[~stray]] = ids[~stray]
        ids = sure[nearest]
    return ids


def write_classes(exam: Exam, part: Path) -> list[str]:
    """dataset.toml or labels.txt as it was; guessed names where there were none."""
    if exam.unnamed:
        write_names(part, exam.dataset.classes, exam.dataset.colours)
        names = ", ".join(exam.dataset.classes)
        return [f"dataset.toml: written with guessed names, rename them: {names}"]
    name = "dataset.toml" if (exam.folder / "dataset.toml").exists() else "labels.txt"
    shutil.copyfile(exam.folder / name, part / name)
    return []
