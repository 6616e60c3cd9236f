"""The HTML page of python -m data check --html: findings and figures with images."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader

from cli import Refusal
from data.doctor.checks.check import ERROR, Finding, Named, advice
from data.doctor.exam import Exam, split_name
from data.doctor.proposal import LEAST, SEEN, UNEVEN, command, proposal, side_of
from data.doctor.readings import STRAY
from data.doctor.repair import as_ids
from data.drawing import uri
from data.images import open_image, read_image
from data.layout import VOID
from data.statistics import balanced_weights
from files import beside

SIDE = 240  # pixels; the longer side of an image on the page is at most this
SAMPLES = 8  # images shown per split
SHOWN = 4  # cases of a finding that are shown with images
LISTED = 100  # cases of a finding that are listed by name
DOTS = 800  # images in the plot of sizes
PLOT = 300  # side of the plot
OPACITY = 0.7  # of the class colours on an image
GREY = 128  # drawn behind a mask that does not fit its image
STRIPES = (235, 90)  # grey levels of the stripes that mark void pixels


def write_page(exam: Exam, found: list[Finding], out: Path) -> None:
    places, made = {}, proposal(exam)
    for index, pair in enumerate(exam.listing.pairs):
        places.setdefault(exam.name(pair.mask), index)
        places[exam.name(pair.image)] = index
    errors = [finding for finding in found if finding.rank == ERROR]
    values = {
        "folder": printable(exam.folder.resolve().name), "pairs": len(exam.facts),
        "quoted": shlex.quote(printable(exam.folder)),
        "errors": len(errors), "warnings": len(found) - len(errors),
        "findings": [shown(exam, finding, places) for finding in found],
        "classes": list(zip(exam.dataset.classes, swatches(exam.dataset.colours), strict=True)),
        "samples": {split_name(split): samples(exam, split) for split in exam.splits},
        "table": class_table(exam, made["size"]), "sizes": sizes(exam),
        "splits": [(split_name(split), len(exam.of(split))) for split in exam.splits],
        "plot": plot(exam), "side": PLOT, "proposal": made,
        "command": command(made, printable(exam.folder)),
        "least": LEAST, "seen": SEEN, "uneven": f"{UNEVEN:g}",
    }  # fmt: skip
    here = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=here, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    with beside(out) as part:
        part.write_text(pages.get_template("check.html.j2").render(values), encoding="utf-8")


def printable(path: Path | str) -> str:
    """With undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


# Images


def shown(exam: Exam, finding: Finding, places: dict[str, int]) -> dict:
    """The values of a finding for the template."""
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
    """(label, data URI) of the images and masks of a case, with the first other file involved."""
    if (index := places.get(named.name)) is None:
        return
    others = [places[name] for name in named.also if places.get(name, index) != index]
    seen = [index, *others[:1]]
    for at, label in zip(seen, ("image", "other image"), strict=False):
        image = image_of(exam, at)
        if image is not None:
            yield label, uri(image, SIDE)
        mask = drawn_mask(exam, at, image)
        if mask is not None and (not others or masks_differ(exam, seen)):
            known = exam.readings[at].kind != "unknown"
            yield "mask" if known else "mask as stored", uri(mask, SIDE)


def masks_differ(exam: Exam, seen: list[int]) -> bool:
    return len({exam.facts[index].mask.digest for index in seen}) > 1


def image_of(exam: Exam, index: int) -> np.ndarray | None:
    if exam.facts[index].image.fault:
        return None
    try:
        return read_image(exam.listing.pairs[index].image)
    except Refusal:  # the file was removed after it was checked
        return None


def drawn_mask(exam: Exam, index: int, image: np.ndarray | None) -> np.ndarray | None:
    """The mask on its image, or on plain grey if they do not fit; as stored if ids are unknown."""
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
    if image is None or ids.shape != image.shape[:2]:
        image = np.full((*ids.shape, 3), GREY, np.uint8)
    return coloured(image, ids, exam.dataset.colours)


def coloured(image: np.ndarray, ids: np.ndarray, colours: list) -> np.ndarray:
    """The image in grey, with each class but the first in its colour and void striped."""
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = np.reshape(colours, (-1, 3)) * OPACITY
    faded = cv2.LUT(grey, np.uint8(np.arange(256) * (1 - OPACITY)))
    drawn = np.where((ids > 0)[..., None], faded + table[ids], grey)
    if (ids == VOID).any():
        width = max(2, max(ids.shape) // 40)
        place = np.arange(2 * width)
        tile = np.add.outer(place, place) // width % 2
        repeats = [side // len(tile) + 1 for side in ids.shape]
        stripes = np.tile(np.uint8(STRIPES)[tile], repeats)[: ids.shape[0], : ids.shape[1]]
        drawn[ids == VOID] = stripes[ids == VOID, None]
    return drawn


def swatches(colours: list) -> list[list[int]]:
    """The class colours as they look in a drawing, on mid-grey."""
    return [[round(OPACITY * part + (1 - OPACITY) * GREY) for part in rgb] for rgb in colours]


def samples(exam: Exam, split: str) -> list[tuple[str, str, str]]:
    """(name, image, mask on image) of valid pairs, spread evenly over a split; data URIs."""
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


def class_table(exam: Exam, size: tuple[int, int]) -> list[dict]:
    """A row for each class and for void; cells: (share of pixels, number of images) per split.

    size: (H, W) of the input for which the sides of the classes are given.
    """
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    train = rows.get("train", exam.pixels)
    weights = [*balanced_weights(train[:, :-1].sum(0)), None]
    colours = swatches(exam.dataset.colours)
    table = []
    for index, name in enumerate([*exam.dataset.classes, "void"]):
        last = index == len(exam.dataset.classes)
        table.append({
            "name": name, "weight": weights[index],
            "colour": None if last else colours[index],
            "side": None if last else side_of(train, index, size),
            "cells": [
                (counts[:, index].sum() / max(1, counts.sum()), int((counts[:, index] > 0).sum()))
                for counts in rows.values()
            ],
        })  # fmt: skip
    return table


def sizes(exam: Exam) -> list[dict]:
    rows = []
    for split in exam.splits:
        at = exam.of(split)
        pairs = sum(pair.split == split for pair in exam.listing.pairs)
        sides = np.array([exam.facts[index].image.size for index in at]).reshape(-1, 2)
        three = [f(sides, 0).astype(int) for f in (np.min, np.median, np.max)] if len(at) else []
        rows.append(
            {"split": split_name(split), "pairs": pairs, "readable": len(at), "three": three}
        )
    return rows


def plot(exam: Exam) -> dict:
    """Dots (x, y, radius) for the sizes of the images in a square of PLOT pixels, width along x."""
    seen = [facts.image.size for facts in exam.facts if not facts.image.fault]
    most = max((max(size) for size in seen), default=1)
    counts = {}
    for height, width in seen[:: max(1, len(seen) // DOTS)]:
        place = (round(width / most * PLOT, 1), round(PLOT - height / most * PLOT, 1))
        counts[place] = counts.get(place, 0) + 1
    return {"most": most, "dots": [(*place, 2 + min(6, n**0.5)) for place, n in counts.items()]}
