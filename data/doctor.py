"""What is in a dataset and what is broken in it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cli import Refusal, Verdict
from data.dataset import SPLITS, Dataset, read_dataset
from data.pictures import read_pair


def check_dataset(folder: Path) -> None:
    """Prints every split. Raises Verdict (exit code 1) when anything is broken."""
    try:
        dataset = read_dataset(folder)
    except Refusal as broken:
        raise Verdict(f"broken: {broken}") from None
    faults = []
    for split in SPLITS:
        if split != "test" or (dataset.folder / split).exists():
            faults += check_split(dataset, split)
    for fault in faults:
        print(f"broken: {fault}")
    if faults:
        raise Verdict(f"{len(faults)} broken in {folder}")


def check_split(dataset: Dataset, split: str) -> list[str]:
    """Prints pairs, sizes and class shares of the sound pairs; gives the faults of the others."""
    try:
        pairs = dataset.pairs(split)
    except Refusal as broken:
        return [str(broken)]

    def read(pair):
        try:
            _, mask = read_pair(pair, dataset)
            return mask.shape, np.bincount(mask.ravel(), minlength=256)
        except Refusal as broken:
            return str(broken)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read, pairs))
    sound = [result for result in results if not isinstance(result, str)]
    print(f"{split}: {len(pairs)} pairs, {len(sound)} sound")
    if sound:
        sides = np.array([shape for shape, _ in sound])
        low, middle, high = sides.min(0), np.median(sides, 0).astype(int), sides.max(0)
        print(f"  height {low[0]} to {high[0]}, median {middle[0]}", end="; ")
        print(f"width {low[1]} to {high[1]}, median {middle[1]}")
        counts = np.sum([count for _, count in sound], axis=0)
        for index, name in enumerate([*dataset.classes, "void"]):
            share = counts[255 if index == len(dataset.classes) else index] / counts.sum()
            print(f"  {name:20} {share:7.2%}")
    return [result for result in results if isinstance(result, str)]
