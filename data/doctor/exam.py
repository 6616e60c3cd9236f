"""All facts about a dataset, gathered by reading every file once."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from data.dataset import Dataset
from data.doctor.alike import Alike, find_alike
from data.doctor.facts import Facts
from data.doctor.files import WHOLE, Listing, Pair
from data.doctor.readings import STRAY, Reading
from data.layout import SPLITS, VOID

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def split_name(split: str) -> str:
    return "all images" if split == WHOLE else split


@dataclass
class Exam:
    """All facts about a dataset. unnamed: why its class names are placeholders ("dataset.toml is
    missing"), "" if it has names. facts, readings: one for each pair of the listing."""

    folder: Path
    dataset: Dataset
    unnamed: str
    listing: Listing
    facts: list[Facts] = field(repr=False)
    readings: list[Reading] = field(repr=False)

    def name(self, path: Path) -> str:
        """The path relative to the folder, for printing: undecodable bytes are escaped, control
        characters replaced by "?"."""
        name = os.fsencode(path.relative_to(self.folder).as_posix())
        return CONTROL.sub("?", name.decode("utf-8", "backslashreplace"))

    @property
    def entries(self) -> Iterator[tuple[Pair, Facts, Reading]]:
        return zip(self.listing.pairs, self.facts, self.readings, strict=True)

    @cached_property
    def alike(self) -> Alike:
        return find_alike([facts.image for facts in self.facts])

    @cached_property
    def pixels(self) -> np.ndarray:
        """Pixels of each class in each mask, (N, C + 1) int64, void last; 0 for damaged masks."""
        counts = np.zeros((len(self.facts), len(self.dataset.classes) + 1), np.int64)
        for row, facts, reading in zip(counts, self.facts, self.readings, strict=True):
            ids = np.where(reading.ids == VOID, len(row) - 1, reading.ids)
            np.add.at(row, ids[ids != STRAY], facts.mask.counts[ids != STRAY])
        return counts

    @cached_property
    def absent(self) -> list[int]:
        """The ids of the classes that no mask has; [] if there are no masks."""
        counts = self.pixels.sum(0)
        return np.flatnonzero(counts[:-1] == 0).tolist() if counts.any() else []

    @cached_property
    def undeclared_void(self) -> list[int]:
        """Indices of the masks that store 255, read as void; [] if dataset.toml declares a void."""
        return [
            index
            for index, (_, facts, reading) in enumerate(self.entries)
            if VOID in facts.mask.values[reading.ids == VOID] and not facts.mask.coloured
            and not self.dataset.void_declared
        ]  # fmt: skip

    @property
    def splits(self) -> list[str]:
        held = {pair.split for pair in self.listing.pairs}
        return [split for split in (*SPLITS, WHOLE) if split in held]

    def of(self, split: str) -> np.ndarray:
        """Indices of the pairs of a split whose image and mask can both be read."""
        return np.array(
            [
                index
                for index, (pair, facts, _) in enumerate(self.entries)
                if pair.split == split and not (facts.image.fault or facts.mask.fault)
            ],
            int,
        )
