"""What is in a dataset and what is broken in it: python -m data check."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cli import Refusal, Verdict
from data.dataset import Dataset, read_dataset, read_names
from data.doctor.checks.table import ERROR, Finding, advice, findings
from data.doctor.exam import Exam
from data.doctor.facts import Facts, look
from data.doctor.files import WHOLE, Pair, list_files
from data.doctor.readings import guessed_classes, habits, read
from data.layout import VOID, default_colours
from files import quiet

THREADS = 4
AHEAD = 256  # pairs that wait for a thread: images that are decoded at a time do not grow
SHOWN = 5  # files of a finding in the terminal; --json has all


def examine(folder: Path) -> Exam:
    """Looks at every file of a dataset folder once. Raises Refusal when there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal(f"no such folder: {folder}. python -m data check takes a dataset folder")
    listing = list_files(folder)
    facts = list(looked_at(listing.pairs))
    masks = [pair.mask for pair in facts]
    dataset, unnamed = names_of(folder, masks)
    ways = habits(dataset, {} if unnamed else read_names(folder)[0], masks)
    return Exam(folder, dataset, unnamed, listing, facts, [read(mask, ways) for mask in masks])


def looked_at(pairs: list[Pair]) -> Iterator[Facts]:
    from tqdm import tqdm

    with (
        os.fdopen(os.dup(2), "w") as terminal,
        quiet(),  # libpng tells of broken files without naming them
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=len(pairs), unit="pair", leave=False, file=terminal) as bar,
    ):
        for start in range(0, len(pairs), AHEAD):
            for facts in pool.map(look, pairs[start : start + AHEAD]):
                bar.update()
                yield facts


def names_of(folder: Path, masks: list) -> tuple[Dataset, str]:
    """The dataset, its names guessed from the masks where it has none, and why they are guessed."""
    try:
        return read_dataset(folder), ""
    except Refusal as refusal:
        classes = guessed_classes(masks)
        dataset = Dataset(folder, classes, default_colours(len(classes)), VOID)
        return dataset, str(refusal).removeprefix(f"{folder / 'dataset.toml'} ").partition(": ")[0]


def check_dataset(
    folder: Path, fix: Path | None = None, html: Path | None = None, as_json: bool = False
) -> None:
    """Prints what is there and what is wrong. Raises Verdict (exit code 1) for errors.

    fix: a new folder that gets a sound dataset; the verdict is then on that. html: a file that gets
    the page.
    """
    from data.doctor.fix import refuse_target, write_sound

    if fix:
        refuse_target(folder, fix)
    exam = examine(folder)
    found = findings(exam)
    if html:
        from data.doctor.page import write_page

        write_page(exam, found, html)
    changes = write_sound(exam, fix) if fix else []
    after = findings(examine(fix)) if fix else found
    if as_json:
        print(json.dumps(summary(exam, found, changes), indent=1))
    else:
        for line in lines(exam, found, changes):
            print(line)
    errors = [finding for finding in after if finding.rank == ERROR]
    if errors:
        more = "" if html else ". --html shows them in images"
        raise Verdict(f"{counted(errors)} in {fix or folder}{more}")


def counted(errors: list[Finding]) -> str:
    files = sum(len(finding.files) for finding in errors)
    return f"{files} errors of {len(errors)} kinds" if files > 1 else "1 error"


def summary(exam: Exam, found: list[Finding], changes: list[str]) -> dict:
    """For machines: splits, findings and changes."""
    return {
        "classes": exam.dataset.classes,
        "splits": {split: figures(exam, split) for split in exam.splits},
        "findings": [
            {**finding._asdict(), "files": [named._asdict() for named in finding.files]}
            for finding in found
        ],
        "changes": changes,
    }


def figures(exam: Exam, split: str) -> dict:
    """Pairs, sizes (H, W) and shares of a split; sizes and shares of its readable pairs."""
    rows = exam.of(split)
    pixels = exam.pixels[rows].sum(0)
    sides = np.array([exam.facts[row].image.size for row in rows]).reshape(-1, 2)
    by: dict[str, Callable] = {"least": np.min, "median": np.median, "most": np.max}
    names = [*exam.dataset.classes, "void"]
    return {
        "pairs": sum(pair.split == split for pair in exam.listing.pairs),
        "readable": len(rows),
        "size": {k: [int(s) for s in f(sides, 0)] for k, f in by.items()} if len(rows) else None,
        "shares": [
            {"class": name, "share": float(count / max(1, pixels.sum()))}
            for name, count in zip(names, pixels, strict=True)
        ],
    }


def lines(exam: Exam, found: list[Finding], changes: list[str]) -> Iterator[str]:
    """For people."""
    for split in exam.splits:
        yield from split_lines(split, figures(exam, split))
    for finding in found:
        yield ""
        yield from finding_lines(finding)
    if changes:
        yield "\n--fix:"
        yield from (f"  {change}" for change in changes)
    if not found:
        yield "nothing found"


def split_lines(split: str, figures: dict) -> Iterator[str]:
    name = "all" if split == WHOLE else split
    yield f"{name}: {figures['pairs']} pairs, {figures['readable']} readable"
    if figures["size"]:
        low, middle, high = figures["size"].values()
        yield (
            f"  height {low[0]} to {high[0]}, median {middle[0]}; "
            f"width {low[1]} to {high[1]}, median {middle[1]}"
        )
    for row in figures["shares"]:
        yield f"  {row['class']:20} {row['share']:7.2%}"


def finding_lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.rank}: {finding.what} ({finding.check}, {len(finding.files)})"
    for named in finding.files[:SHOWN]:
        yield f"  {named.name} {named.note}"
    if len(finding.files) > SHOWN:
        yield f"  and {len(finding.files) - SHOWN} more; --json names all"
    yield f"  in training: {finding.effect}"
    yield f"  to do: {advice(finding)}"
