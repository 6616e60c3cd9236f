"""python -m data check --fix: writes a repaired copy of a dataset, which itself is not changed.

Faults with an unambiguous repair are repaired, other faulty pairs are left out; both are listed.
"""

import shutil
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
from data.images import encoded, read_bytes, read_image, turned
from data.layout import VOID
from files import folder_beside, write_json

THREADS = 4
VAL = 0.15  # share of the pairs that val gets if train and val are not both there
SCORED = ("test", "val")  # splits that keep an image that train contains as well, in this order
HOW = {
    "colours": "colours replaced with ids", "palette": "ids derived from the palette's colours",
    "levels": "grey levels replaced with ids", "shifted": "1 subtracted from all ids",
}  # fmt: skip


class Job(NamedTuple):
    """A pair to be written; split, stem: where it is written to."""

    pair: Pair
    facts: Facts
    reading: Reading
    split: str
    stem: str


def refuse_inside(folder: Path, out: Path) -> None:
    if Path(out).resolve().is_relative_to(Path(folder).resolve()):
        raise Refusal(
            f"{out} is inside the dataset, which --fix does not change: name another folder"
        )


def write_repaired(exam: Exam, out: Path) -> list[str]:
    """Writes the dataset folder `out`, or nothing at all, and returns a line for each change.

    The caller holds `out`. Raises Refusal if there are too few valid pairs for train and val.
    """
    from tqdm import tqdm

    dropped = left_out(exam)
    changes = [f"{exam.name(exam.listing.pairs[i].image)}: left out because {why}"
               for i, why in sorted(dropped.items())]  # fmt: skip
    for paths, why in (
        (exam.listing.lone_images, "it has no mask"), (exam.listing.lone_masks, "it has no image"),
        (exam.listing.ignored, "its file type is unknown"),
    ):  # fmt: skip
        changes += [f"{exam.name(path)}: left out because {why}" for path in paths]
    jobs = jobs_of(exam, [i for i in range(len(exam.facts)) if i not in dropped])
    with folder_beside(out) as part:
        for job in jobs:
            for name in ("images", "masks"):
                (part / job.split / name).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda job: write_pair(exam, job, part), jobs)
            for lines in tqdm(done, total=len(jobs), unit="pair", leave=False, disable=None):
                changes += lines
        changes += write_classes(exam, part)
        origin = {"made_by": "python -m data check --fix", "source": str(exam.folder)}
        write_json(part / "origin.json", {**origin, "changes": changes})
    return changes


# Which pairs are written


def left_out(exam: Exam) -> dict[int, str]:
    """The pairs that are left out, as index -> reason."""
    dropped = {}
    for index, (_, facts, reading) in enumerate(exam.entries):
        if why := unrepairable(facts, reading):
            dropped[index] = why
    for rule in (drop_shared, drop_repeated):
        rule(exam, dropped)
    return dropped


def unrepairable(facts: Facts, reading: Reading) -> str:
    """Why a pair cannot be repaired, "" if it can."""
    if facts.image.fault:
        return f"it {facts.image.fault}"
    if facts.mask.fault:
        return f"its mask {facts.mask.fault}"
    if misfit(facts) in ("transposed", "other"):
        return "its mask has a different shape"
    return "the values of its mask match no class" if reading.kind == "unknown" else ""


def drop_shared(exam: Exam, dropped: dict[int, str]) -> None:
    """Of images with the same stem, keeps the only one that fits the mask, or the first one if all
    are duplicates; else drops all of them."""
    place = {pair.image: index for index, pair in enumerate(exam.listing.pairs)}
    for paths in exam.listing.shared:
        group = [place[path] for path in paths if place.get(path, -1) not in {-1, *dropped}]
        fitting = [index for index in group if not misfit(exam.facts[index])]
        alike = any(set(group) <= set(same) for same in (*exam.alike.same, *exam.alike.near))
        kept = fitting[:1] if len(fitting) == 1 or alike else group[:1] if len(group) == 1 else []
        why = "another image has its name" if kept else "several images share its name and mask"
        dropped.update((index, why) for index in group if index not in kept)


def drop_repeated(exam: Exam, dropped: dict[int, str]) -> None:
    """Drops train images that val or test has too, and repeated pairs of a split but the first."""
    pairs = exam.listing.pairs
    for kind, groups in (("", exam.alike.same), ("nearly ", exam.alike.near)):
        for group in groups:
            group = [index for index in group if index not in dropped]
            keeper = next((s for s in SCORED if s in {pairs[i].split for i in group}), None)
            own = [index for index in group if keeper in (None, pairs[index].split)]
            for index in sorted(set(group) - set(own)):
                dropped[index] = f"it is {kind}identical to {exam.name(pairs[own[0]].image)}"
            for index in () if kind else own[1:]:
                if exam.facts[index].mask.digest == exam.facts[own[0]].mask.digest:
                    dropped[index] = f"it repeats {exam.name(pairs[own[0]].image)}"


def jobs_of(exam: Exam, kept: list[int]) -> list[Job]:
    """The pairs to be written, with new splits and names. Raises Refusal if there are too few."""
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
            f"{exam.folder} has {len(pairs)} valid {'pair' if len(pairs) == 1 else 'pairs'}, too "
            f"few for train and val: add images. python -m data check {exam.folder} lists what is "
            "wrong"
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
    """Writes image and mask, or links those that need no repair; returns a line for each change."""
    pair, facts = job.pair, job.facts
    name, changes = exam.name(pair.image), []
    images, masks = part / job.split / "images", part / job.split / "masks"
    if facts.image.depth == 16 or facts.image.mode == "CMYK":
        image = eight_bits(pair.image, facts.image.brightest)
        (images / f"{job.stem}.png").write_bytes(encoded(image, ".png"))
        changes.append(f"{name}: written as 8-bit RGB")
    else:
        link(pair.image, images / f"{job.stem}{pair.image.suffix.lower()}")
    ids, steps = repaired(job)
    if steps:
        (masks / f"{job.stem}.png").write_bytes(encoded(ids, ".png"))
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


def write_classes(exam: Exam, part: Path) -> list[str]:
    """Copies dataset.toml or labels.txt, or writes placeholder names if there are none."""
    if exam.unnamed:
        write_names(part, exam.dataset.classes, exam.dataset.colours)
        names = ", ".join(exam.dataset.classes)
        return [f"dataset.toml: written with placeholder names, please rename them: {names}"]
    name = "dataset.toml" if (exam.folder / "dataset.toml").exists() else "labels.txt"
    shutil.copyfile(exam.folder / name, part / name)
    return []
