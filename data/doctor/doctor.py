"""python -m data check: reports what a dataset contains and what is wrong with it."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cli import Refusal, Verdict, plain
from data.dataset import Dataset, read_dataset, read_names
from data.doctor.checks.check import ERROR, Finding, advice
from data.doctor.checks.table import findings
from data.doctor.exam import Exam, split_name
from data.doctor.facts import Facts, look
from data.doctor.files import Pair, list_files
from data.doctor.proposal import command, proposal, reason
from data.doctor.readings import conventions_of, guessed_classes, read
from data.layout import VOID, default_colours
from data.shards import is_packed
from files import held, make_room, quiet

THREADS = 4
AHEAD = 256  # pairs that are queued for the threads at once, which bounds the memory
SHOWN = 5  # cases of a finding that the terminal shows; --json lists all


def examine(folder: Path) -> Exam:
    """Reads every file of a dataset folder once. Raises Refusal if there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal(f"no such folder: {folder}. python -m data check takes a dataset folder")
    listing = list_files(folder)
    facts = list(looked_at(listing.pairs))
    masks = [pair.mask for pair in facts]
    dataset, unnamed = names_of(folder, masks)
    conventions = conventions_of(dataset, {} if unnamed else read_names(folder)[0], masks)
    readings = [read(mask, conventions) for mask in masks]
    return Exam(folder, dataset, unnamed, listing, facts, readings)


def looked_at(pairs: list[Pair]) -> Iterator[Facts]:
    from tqdm import tqdm

    with (
        os.fdopen(os.dup(2), "w") as terminal,
        quiet(),  # libpng reports damaged files without their names
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=len(pairs), unit="pair", leave=False, file=terminal, disable=None) as bar,
    ):
        for start in range(0, len(pairs), AHEAD):
            for facts in pool.map(look, pairs[start : start + AHEAD]):
                bar.update()
                yield facts


def names_of(folder: Path, masks: list) -> tuple[Dataset, str]:
    """(the dataset, why it has no class names); "" if it has, else they are placeholders."""
    try:
        return read_dataset(folder), ""
    except Refusal as refusal:
        classes = guessed_classes(masks)
        dataset = Dataset(folder, classes, default_colours(len(classes)), VOID)
        return dataset, reason_of(refusal, folder)


def reason_of(refusal: Refusal, folder: Path) -> str:
    """The name of the file that was refused and a predicate about it."""
    name, _, text = str(refusal).removeprefix(f"{folder}{os.sep}").partition(" ")
    if name.endswith(":"):
        return f"{name[:-1]} is invalid: {text}"
    return f"{name} {text.partition(': ')[0]}"


def check_dataset(
    folder: Path, fix: Path | None = None, html: Path | None = None, as_json: bool = False,
    group: str | None = None,
) -> None:  # fmt: skip
    """Prints what a dataset contains and what is wrong. Raises Verdict (exit code 1) for errors.

    fix: a new folder for a repaired copy, to which the verdict then applies; group: as in
    `write_repaired`. html: a file for the page.
    """
    from data.doctor.fix import refuse_place, write_repaired

    with ExitStack() as stack:
        if fix:
            refuse_place(folder, fix)
            stack.enter_context(held(fix))
            make_room(fix)
        exam = examine(folder)
        found = findings(exam)
        if html:
            from data.doctor.page import write_page

            write_page(exam, found, html)
        changes = write_repaired(exam, fix, group) if fix else []
    outcome = examine(fix) if fix else exam
    after = findings(outcome) if fix else found
    if as_json:
        print(json.dumps(summary(exam, found, changes), indent=1))
    else:
        for line in (*lines(exam, found, changes), *closing(outcome, after, html)):
            print(plain(line))
    errors = [finding for finding in after if finding.rank == ERROR]
    if errors:
        more = "" if html else "; --html FILE shows them with images"
        raise Verdict(f"{counted(errors)} in {fix or folder}{more}")


def counted(errors: list[Finding]) -> str:
    cases = sum(len(finding.files) for finding in errors)
    checks = f"{len(errors)} {'checks' if len(errors) > 1 else 'check'}"
    return f"{cases} errors from {checks}" if cases > 1 else "1 error"


def summary(exam: Exam, found: list[Finding], changes: list[str]) -> dict:
    """The output of --json: classes, splits, findings and changes."""
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
    """Number of pairs of a split; sizes (H, W) and each class's share of pixels, if readable."""
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
    """The text output."""
    for split in exam.splits:
        yield from split_lines(split, figures(exam, split))
    for finding in found:
        yield ""
        yield from finding_lines(finding)
    if changes:
        yield from ("", "--fix:")
        yield from (f"  {change}" for change in changes)
    if not found:
        yield from ("", "no errors or warnings")


def closing(exam: Exam, found: list[Finding], html: Path | None) -> Iterator[str]:
    """What to do next: how to train on a dataset, or to repair it, and where the page is."""
    if len(exam.of("train")):
        made = proposal(exam)
        yield from ("", f"suggested: {reason(made)}")
        if any(finding.rank == ERROR for finding in found) and not is_packed(exam.folder):
            words = ("python", "-m", "data", "check", str(exam.folder), "--fix", "OUT")
            yield f"  first repair the errors: {shlex.join(words)}"
        else:
            yield f"  {command(made, str(exam.folder))}"
    if html:
        yield from ("", f"page: {html}")


def split_lines(split: str, figures: dict) -> Iterator[str]:
    yield f"{split_name(split)}: {figures['pairs']} pairs, {figures['readable']} readable"
    if figures["size"]:
        least, median, most = figures["size"].values()
        sides = zip(("height", "width"), least, median, most, strict=True)
        yield "  " + "; ".join(spread(*side) for side in sides)
    yield "  share of pixels:"
    wide = max(len(row["class"]) for row in figures["shares"])
    for row in figures["shares"]:
        yield f"    {row['class']:{wide}}  {row['share']:7.2%}"


def spread(side: str, least: int, median: int, most: int) -> str:
    return f"{side} {least}" + f" to {most}, median {median}" * (least != most)


def finding_lines(finding: Finding) -> Iterator[str]:
    cases = f"{len(finding.files)} {'cases' if len(finding.files) > 1 else 'case'}"
    yield f"{finding.rank}: {finding.what} ({finding.check}, {cases})"
    for named in finding.files[:SHOWN]:
        yield f"  {named.name} {named.note}"
    if len(finding.files) > SHOWN:
        yield f"  and {len(finding.files) - SHOWN} more; --json lists all"
    yield f"  effect: {finding.effect}"
    yield f"  remedy: {advice(finding)}"
