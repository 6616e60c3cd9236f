"""python -m data check --fix: writes a repaired copy of a dataset, which itself is not changed.
No file of the copy is linked to one of the dataset.

Faults with an unambiguous repair are repaired, other faulty pairs are left out; both are listed.
"""

import re
import shlex
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cli import Refusal
from data.dataset import write_names
from data.doctor.exam import Exam
from data.doctor.facts import Facts
from data.doctor.misfit import misfit
from data.doctor.readings import Reading
from data.doctor.repair import Job, eight_bits, makes_void, repaired
from data.formats.imports import file_names
from data.formats.pictures import read_picture
from data.formats.splits import CLIP, assign, groups_of
from data.images import encoded
from data.layout import IMAGE_ENDINGS, VOID
from data.shards import is_packed
from files import folder_beside, write_json

THREADS = 4
VAL = 0.15  # share of the pairs that val gets if train and val are not both there
MOST_LOST = 0.2  # share of the pairs that may be left out
REPEATS = "it repeats"  # why a copy is left out whose image and mask are kept
SCORED = ("test", "val")  # splits that keep an image that train contains as well, in this order


def refuse_place(folder: Path, out: Path) -> None:
    if is_packed(folder):
        raise Refusal(
            f"{folder} is packed, and --fix writes a folder: repair the one that it was made from, "
            "and pack that again"
        )
    if Path(out).resolve().is_relative_to(Path(folder).resolve()):
        raise Refusal(
            f"{out} is inside the dataset, which --fix does not change: name another folder"
        )


def write_repaired(exam: Exam, out: Path, group: str | None = None) -> list[str]:
    """Writes the dataset folder `out`, or nothing at all, and returns a line for each change.

    group: a regular expression on stems; splits are then made anew, with images of equal matches in
    one. The caller holds `out`. Raises Refusal if there are too few valid pairs for train and val,
    or if more than MOST_LOST of the pairs would be left out.
    """
    from tqdm import tqdm

    splits = splits_of(exam, group)
    dropped = left_out(exam, splits)
    refuse_loss(exam, dropped)
    changes = [f"{exam.name(exam.listing.pairs[i].image)}: left out because {why}"
               for i, why in sorted(dropped.items())]  # fmt: skip
    for paths, why in (
        (exam.listing.lone_images, "it has no mask"), (exam.listing.lone_masks, "it has no image"),
        (exam.listing.ignored, "its file type is unknown"),
    ):  # fmt: skip
        changes += [f"{exam.name(path)}: left out because {why}" for path in paths]
    jobs = jobs_of(exam, splits, [i for i in range(len(exam.facts)) if i not in dropped], group)
    with folder_beside(out) as part:
        for job in jobs:
            for name in ("images", "masks"):
                (part / job.split / name).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as pool:
            done = pool.map(lambda job: write_pair(exam, job, part), jobs)
            for lines in tqdm(done, total=len(jobs), unit="pair", leave=False, disable=None):
                changes += lines
        changes += write_classes(exam, part, jobs)
        origin = {"made_by": "python -m data check --fix", "source": str(exam.folder)}
        write_json(part / "origin.json", {**origin, "changes": changes})
    return changes


# Which pairs are written


def splits_of(exam: Exam, group: str | None) -> list[str]:
    """The split of each pair: its own, or with `group` a new one, in the shares that there are."""
    own = [pair.split for pair in exam.listing.pairs]
    if not group:
        return own
    shares = {split: own.count(split) / len(own) for split in SCORED if own}
    val, test = shares.get("val") or VAL, shares.get("test", 0.0)
    stems = [pair.image.stem for pair in exam.listing.pairs]
    groups = groups_of(stems, group, 2 + (test > 0))
    return assign(groups, classes_in(exam, range(len(own))), val, test, 0)


def classes_in(exam: Exam, indices: Iterable[int]) -> list[frozenset]:
    return [frozenset(np.flatnonzero(exam.pixels[index, :-1]).tolist()) for index in indices]


def refuse_loss(exam: Exam, dropped: dict[int, str]) -> None:
    """Raises Refusal if too many pairs would be lost; copies of pairs that are kept are no loss."""
    lost = [why.partition(" to ")[0] for why in dropped.values() if not why.startswith(REPEATS)]
    pairs = len(exam.listing.pairs)
    if len(lost) <= MOST_LOST * pairs:
        return
    (why, count), *_ = Counter(lost).most_common(1)
    folder = shlex.quote(str(exam.folder))
    todo = f". Repair these first: python -m data check {folder} lists them"
    if why.endswith("identical"):
        todo = " to one in another split, and all are frames of one video: take val from another"
        if len(clips(exam)) > 1:
            todo = (
                " to one in another split. If these are frames of videos, keep each video in one: "
                f"python -m data check {folder} --fix OUT --group '{CLIP}'"
            )
    raise Refusal(
        f"--fix would leave out {len(lost)} of the {pairs} pairs of {exam.folder}, more than "
        f"{MOST_LOST:.0%}; the most frequent reason, {count} times: {why}{todo}"
    )


def clips(exam: Exam) -> set[str]:
    """What the names of the images have before their numbers; of an image without, the name."""
    stems = [pair.image.stem for pair in exam.listing.pairs]
    return {found[1] if (found := re.fullmatch(CLIP, stem)) else stem for stem in stems}


def left_out(exam: Exam, splits: list[str]) -> dict[int, str]:
    """The pairs that are left out, as index -> reason."""
    dropped = {}
    for index, (_, facts, reading) in enumerate(exam.entries):
        if why := unrepairable(facts, reading):
            dropped[index] = why
    drop_shared(exam, dropped)
    drop_repeated(exam, splits, dropped)
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


def drop_repeated(exam: Exam, splits: list[str], dropped: dict[int, str]) -> None:
    """Drops train images that val or test has too, and repeated pairs of a split but the first."""
    pairs = exam.listing.pairs
    for kind, groups in (("", exam.alike.same), ("nearly ", exam.alike.near)):
        for group in groups:
            group = [index for index in group if index not in dropped]
            keeper = next((s for s in SCORED if s in {splits[i] for i in group}), None)
            own = [index for index in group if keeper in (None, splits[index])]
            for index in sorted(set(group) - set(own)):
                dropped[index] = f"it is {kind}identical to {exam.name(pairs[own[0]].image)}"
            for index in () if kind else own[1:]:
                if exam.facts[index].mask.digest == exam.facts[own[0]].mask.digest:
                    dropped[index] = f"{REPEATS} {exam.name(pairs[own[0]].image)}"


def jobs_of(exam: Exam, splits: list[str], kept: list[int], group: str | None) -> list[Job]:
    """The pairs to be written, with names and, where train or val has none left, with new splits.
    Raises Refusal if there are too few."""
    pairs = [exam.listing.pairs[index] for index in kept]
    splits = [splits[index] for index in kept]
    if not {"train", "val"} <= set(splits):
        free = [at for at, split in enumerate(splits) if split != "test"]
        names = [exam.name(pairs[at].image) for at in free]
        if group:
            names = groups_of([pairs[at].image.stem for at in free], group, 2)
        present = classes_in(exam, (kept[at] for at in free))
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
    void = moved_void(exam, kept)
    return [
        Job(pair, exam.facts[index], exam.readings[index], split, stems[index], void)
        for pair, index, split in zip(pairs, kept, splits, strict=True)
    ]


def moved_void(exam: Exam, kept: list[int]) -> int | None:
    """The id that dataset.toml declares as void, if 1 is subtracted from ids and it is a class."""
    void = exam.dataset.void
    shifted = any(exam.readings[index].kind == "shifted" for index in kept)
    return void if shifted and void < len(exam.dataset.classes) else None


def ascii_of(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()


# Repairs


def write_pair(exam: Exam, job: Job, part: Path) -> list[str]:
    """Writes image and mask, or copies what needs no repair; returns a line for each change.

    No links: an edit of the copy must not change the source. A copy of an image takes a tenth of
    the time in which it is checked (measured: 2 ms for 600 kB, 20 ms).
    """
    pair, facts = job.pair, job.facts
    name, changes = exam.name(pair.image), []
    images, masks = part / job.split / "images", part / job.split / "masks"
    deep = facts.image.depth == 16 or facts.image.mode == "CMYK"
    if deep or pair.image.suffix.lower() not in IMAGE_ENDINGS:
        if deep:
            image, notes = eight_bits(pair.image, facts.image.brightest), ()
        else:
            image, _, _, notes = read_picture(pair.image)
        (images / f"{job.stem}.png").write_bytes(encoded(image, ".png"))
        changes.append(f"{name}: written as {'8-bit RGB' if deep else 'PNG'}")
        changes += [f"{name}: {note.text}" for note in notes]
    else:
        shutil.copyfile(pair.image, images / f"{job.stem}{pair.image.suffix.lower()}")
    ids, steps = repaired(job)
    if steps:
        (masks / f"{job.stem}.png").write_bytes(encoded(ids, ".png"))
        changes.append(f"{exam.name(pair.mask)}: {', '.join(steps)}")
    else:
        shutil.copyfile(pair.mask, masks / f"{job.stem}.png")
    if job.stem != pair.image.stem or pair.mask.name != f"{pair.image.stem}.png":
        changes.append(f"{exam.name(pair.mask)}: renamed to {job.stem}.png")
    if job.stem != pair.image.stem:
        changes.append(f"{name}: renamed to {job.stem}")
    if job.split != pair.split:
        changes.append(f"{name}: moved to {job.split}")
    return changes


def write_classes(exam: Exam, part: Path, jobs: list[Job]) -> list[str]:
    """Copies dataset.toml or labels.txt, or writes placeholder names if there are none.

    Void that repairs made is declared, if dataset.toml declares none and no mask had 255, of which
    nobody knows what it means.
    """
    dataset, moved = exam.dataset, jobs[0].moved_void
    if exam.unnamed:
        write_names(part, exam.dataset.classes, exam.dataset.colours)
        names = ", ".join(exam.dataset.classes)
        return [f"dataset.toml: written with placeholder names, please rename them: {names}"]
    if moved is not None:
        write_names(part, dataset.classes, dataset.colours, VOID, dataset.mirror)
        return [f"dataset.toml: void is {VOID} instead of {moved}, which is a class now"]
    made = any(map(makes_void, jobs))
    if made and not dataset.void_declared and not exam.undeclared_void:
        write_names(part, dataset.classes, dataset.colours, VOID, dataset.mirror)
        return [f"dataset.toml: void = {VOID} added, for what was made void"]
    name = "dataset.toml" if (exam.folder / "dataset.toml").exists() else "labels.txt"
    shutil.copyfile(exam.folder / name, part / name)
    return []
