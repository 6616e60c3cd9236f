"""The page of python -m data check --html: what is there and what is wrong, in images."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader

from cli import Refusal
from data.doctor.checks.named import Named, hw
from data.doctor.checks.table import ERROR, Finding, advice
from data.doctor.exam import Exam
from data.doctor.fix import as_ids
from data.doctor.readings import STRAY
from data.drawing import overlay, uri
from data.images import open_image, read_image
from data.statistics import balanced_weights
from files import beside

SIDE = 240  # pixels, the longer side of an image on the page at most
SAMPLES = 8  # of a split
SHOWN = 4  # files of a finding that are shown in images
LISTED = 100  # files of a finding that are named
DOTS = 800  # images in the plot of sizes
PLOT = 300  # its side
STRIDE = 32  # what a model's input is a multiple of
LEAST, MOST = 160, 512  # pixels, the longer side of a proposed input
SEEN = 24  # pixels, the side of a square as large as the smallest class should be in the input
UNEVEN = 3.0  # largest weight by smallest from which balanced weights are proposed
VOID_COLOUR = (160, 160, 160)  # RGB, of a mask without its image


def write_page(exam: Exam, found: list[Finding], out: Path) -> None:
    places = {}
    for index, pair in enumerate(exam.listing.pairs):
        places.setdefault(exam.name(pair.mask), index)
        places[exam.name(pair.image)] = index
    errors = [finding for finding in found if finding.rank == ERROR]
    words = {
        "folder": exam.folder.resolve().name, "pairs": len(exam.facts),
        "errors": len(errors), "remarks": len(found) - len(errors),
        "findings": [shown(exam, finding, places) for finding in found],
        "classes": list(zip(exam.dataset.classes, exam.dataset.colours, strict=True)),
        "samples": {split: samples(exam, split) for split in exam.splits},
        "table": class_table(exam), "splits": exam.splits, "sizes": sizes(exam),
        "plot": plot(exam), "side": PLOT, "proposal": proposal(exam),
        "least": LEAST, "seen": SEEN, "uneven": f"{UNEVEN:g}",
    }  # fmt: skip
    here = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=here, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    with beside(out) as part:
        part.write_text(pages.get_template("check.html.j2").render(words), encoding="utf-8")


# Images


def shown(exam: Exam, finding: Finding, places: dict[str, int]) -> dict:
    """A finding as the page shows it."""
    cards = []
    for named in finding.files:
        if len(cards) < SHOWN and (views := list(views_of(exam, named, places))):
            cards.append({"name": named.name, "note": named.note, "views": views})
    return {
        **finding._asdict(), "count": len(finding.files), "cards": cards,
        "advice": advice(finding),
        "files": finding.files[:LISTED], "more": max(0, len(finding.files) - LISTED),
    }  # fmt: skip


def views_of(exam: Exam, named: Named, places: dict[str, int]) -> Iterator[tuple[str, str]]:
    """(what it is, image's URI) of a file of a finding: image, mask, and what it is like."""
    if (index := places.get(named.name)) is None:
        return
    others = [places[name] for name in named.also if places.get(name, index) != index]
    seen = [index, *others[:1]]
    for at, what in zip(seen, ("image", "the other image"), strict=False):
        image = image_of(exam, at)
        if image is not None:
            yield what, uri(image, SIDE)
        mask = drawn_mask(exam, at, image)
        if mask is not None and (not others or masks_differ(exam, seen)):
            yield "mask", uri(mask, SIDE)


def masks_differ(exam: Exam, seen: list[int]) -> bool:
    return len({exam.facts[index].mask.digest for index in seen}) > 1


def image_of(exam: Exam, index: int) -> np.ndarray | None:
    if exam.facts[index].image.fault:
        return None
    try:
        return read_image(exam.listing.pairs[index].image)
    except Refusal:  # it went since it was looked at
        return None


def drawn_mask(exam: Exam, index: int, image: np.ndarray | None) -> np.ndarray | None:
    """The mask on its image if they fit; else alone; as it is stored if its ids are unknown."""
    facts, reading = exam.facts[index], exam.readings[index]
    path = exam.listing.pairs[index].mask
    if facts.mask.fault:
        return None
    try:
        if reading.kind == "unknown":
            return np.array(open_image(path)[1].convert("RGB"))
        ids = as_ids(path, facts, reading)
    except (Refusal, OSError, ValueError):
        return None
    if image is not None and ids.shape == image.shape[:2]:
        return overlay(image, ids, exam.dataset.colours)
    table = np.tile(np.uint8(VOID_COLOUR), (256, 1))
    table[: len(exam.dataset.colours)] = exam.dataset.colours
    return table[ids]


def samples(exam: Exam, split: str) -> list[tuple[str, str, str]]:
    """(name, image, image with mask) of images from all over a split, sound ones."""
    good = [
        index for index in exam.of(split)
        if exam.facts[index].mask.size == exam.facts[index].image.size
        and not (exam.readings[index].ids == STRAY).any()
    ]  # fmt: skip
    found = []
    for index in good[:: max(1, len(good) // SAMPLES)][:SAMPLES]:
        image = image_of(exam, index)
        mask = drawn_mask(exam, index, image)
        if image is not None and mask is not None:
            name = exam.listing.pairs[index].image.name
            found.append((name, uri(image, SIDE), uri(mask, SIDE)))
    return found


# Figures


def class_table(exam: Exam) -> list[dict]:
    """A row for each class and for void: shares and images, a split each, weight, side."""
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    train = rows.get("train", exam.pixels)
    weights = [*balanced_weights(train[:, :-1].sum(0)), None]
    size = proposal(exam)["size"]
    table = []
    for index, name in enumerate([*exam.dataset.classes, "void"]):
        last = index == len(exam.dataset.classes)
        table.append({
            "name": name, "weight": weights[index],
            "colour": VOID_COLOUR if last else exam.dataset.colours[index],
            "side": None if last else side_of(train, index, size),
            "cells": [
                (counts[:, index].sum() / max(1, counts.sum()), int((counts[:, index] > 0).sum()))
                for counts in rows.values()
            ],
        })  # fmt: skip
    return table


def side_of(pixels: np.ndarray, index: int, size: tuple[int, int]) -> float | None:
    """Pixels in an input of `size` of the side of a square as large as a class is in the median
    image that has it; None if none has."""
    rows = pixels[pixels[:, index] > 0]
    if not len(rows):
        return None
    return float(np.sqrt(np.median(rows[:, index] / rows.sum(1)) * size[0] * size[1]))


def proposal(exam: Exam) -> dict:
    """An input size (H, W) and class weights; the page says how they come about."""
    split = "train" if "train" in exam.splits else (exam.splits or ["train"])[0]
    at = exam.of(split)
    if not len(at):
        return {"size": (LEAST, LEAST), "balanced": False, "median": None, "smallest": None}
    height, width = np.median([exam.facts[index].image.size for index in at], axis=0)
    pixels = exam.pixels[at]
    longest = np.clip(max(height, width) // STRIDE * STRIDE, LEAST, MOST)
    for long in range(LEAST, int(longest) + 1, STRIDE):
        size = tuple(
            max(STRIDE, round(long * side / max(height, width) / STRIDE) * STRIDE)
            for side in (height, width)
        )
        sides = {
            name: side_of(pixels, index, size) or np.inf
            for index, name in enumerate(exam.dataset.classes)
        }
        smallest = min(sides, key=sides.get, default="")
        if not sides or sides[smallest] >= SEEN:
            break
    present = balanced_weights(pixels[:, :-1].sum(0))[pixels[:, :-1].any(0)]
    uneven = len(present) > 1 and present.max() / present.min() > UNEVEN
    return {
        "size": size, "balanced": bool(uneven), "median": hw((int(height), int(width))),
        "smallest": smallest if sides and np.isfinite(sides[smallest]) else None,
        "side": sides.get(smallest), "longest": int(longest),
    }  # fmt: skip


def sizes(exam: Exam) -> list[dict]:
    rows = []
    for split in exam.splits:
        at = exam.of(split)
        pairs = sum(pair.split == split for pair in exam.listing.pairs)
        sides = np.array([exam.facts[index].image.size for index in at]).reshape(-1, 2)
        three = [f(sides, 0).astype(int) for f in (np.min, np.median, np.max)] if len(at) else []
        rows.append({"split": split, "pairs": pairs, "readable": len(at), "three": three})
    return rows


def plot(exam: Exam) -> dict:
    """Width against height of the images, as places in a square of PLOT pixels."""
    seen = [facts.image.size for facts in exam.facts if not facts.image.fault]
    most = max((max(size) for size in seen), default=1)
    counts = {}
    for height, width in seen[:: max(1, len(seen) // DOTS)]:
        place = (round(width / most * PLOT, 1), round(PLOT - height / most * PLOT, 1))
        counts[place] = counts.get(place, 0) + 1
    return {"most": most, "dots": [(*place, 2 + min(6, n**0.5)) for place, n in counts.items()]}
