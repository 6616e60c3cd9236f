"""A folder of images and a folder of masks, wherever they lie."""

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.dataset import read_dataset
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.masks import (
    ENDINGS,
    Meaning,
    add_meaning,
    files_below,
    given_values,
    meaning,
    read_as,
    read_classes,
    read_ids,
    split_of,
)

ABOUT = """SOURCE: a folder (or zip) with images and masks that share names.

What the last * of a pattern matches pairs an image with its mask; ** stands for any folders. A
folder called train, val or test in the path gives the split. What the numbers in the masks mean is
said by --values, --classes, or a file in SOURCE: dataset.toml, classes.txt or labels.txt."""


def add_arguments(parser) -> None:
    add_patterns(parser, "**/images/*", "**/masks/*")
    add_meaning(parser)


def add_patterns(parser, images: str, masks: str) -> None:
    for name, default in (("images", images), ("masks", masks)):
        parser.add_argument(
            f"--{name}", metavar="PATTERN", default=default,
            help=f"in quotes; below SOURCE, else below the current folder (default '{default}')",
        )  # fmt: skip


def read(source: Path, words) -> Found:
    source = opened(source)
    paired, broken = pairs(source, words.images, words.masks)
    means = meaning_of(source, words, [pair.mask for pair in paired])
    items = [
        Item(pair.stem, pair.image, partial(read_as, pair.mask, means), pair.split)
        for pair in paired
    ]
    return Found(means.classes, items, broken, means.colours)


def meaning_of(source: Path, words, masks: list[Path]) -> Meaning:
    """What the numbers in the masks mean, as said by the options or by a file in the source."""
    if words.values:
        return given_values(words.values)
    if words.classes:
        return read_classes(Path(words.classes))
    if (source / "dataset.toml").exists():
        dataset = read_dataset(source)
        means = meaning(enumerate(dataset.classes))
        return means._replace(table={255: -1} | means.table | {dataset.void: -1})
    for name in ("classes.txt", "labels.txt"):
        if (source / name).exists():
            return read_classes(source / name)
    held = ", ".join(map(str, np.unique(read_ids(masks[0])).tolist()[:12])) if masks else "nothing"
    raise Refusal(
        f"{source} does not say what its masks mean; the first holds {held}. "
        "Say it: --values 0=background 1=NAME 255=void, or --classes FILE with a name a line"
    )


class MatchedPair(NamedTuple):
    stem: str
    image: Path
    mask: Path
    split: str | None


def pairs(source: Path, images: str, masks: str) -> tuple[list[MatchedPair], list[str]]:
    """Images with their masks, and a line for each file that has no partner."""
    theirs = matches(source, masks)
    taken = {hit.path for hit in theirs}
    ours = [hit for hit in matches(source, images) if hit.path not in taken]
    if not ours:
        raise Refusal(f"{images} matches masks alone; write an --images that matches images")
    by_all, by_last = defaultdict(list), defaultdict(list)
    for hit in theirs:
        by_all[hit.names].append(hit)
        by_last[hit.names[-1]].append(hit)
    paired, broken, used = [], [], set()
    for hit in ours:
        found = by_all[hit.names] or by_last[hit.names[-1]]
        if len(found) != 1 or found[0].path in used:
            why = "no mask" if not found else f"{len(found)} masks" if len(found) > 1 else "a rival"
            broken.append(f"{hit.path} has {why}{' ' + str(found[0].path) if found else ''}")
            used |= {mask.path for mask in found}
            continue
        used.add(found[0].path)
        split = split_of(found[0].below) or split_of(hit.below)
        paired.append(MatchedPair(stem_of(hit.names), hit.path, found[0].path, split))
    broken += [f"{hit.path} has no image" for hit in theirs if hit.path not in used]
    return paired, broken


def stem_of(names: tuple[str, ...]) -> str:
    """All that the pattern left open, less the name of a split."""
    folders = [part for name in names[:-1] for part in name.split("/")]
    return "/".join([*(name for name in folders if name and not split_named(name)), names[-1]])


def split_named(folder: str) -> bool:
    return split_of(Path(folder, "file")) is not None


class Hit(NamedTuple):
    """A file that a pattern matches. below: the path that splits are read from. names: what each
    * matched, an ending taken off."""

    path: Path
    below: Path
    names: tuple[str, ...]


def matches(source: Path, pattern: str) -> list[Hit]:
    """Files below the source, else below the current folder. Raises Refusal when there are none."""
    for base in (Path(source), Path()):
        hits = matches_below(base, pattern)
        if hits:
            return hits
    raise Refusal(
        f"{pattern} matches nothing in {source}: patterns look like 'images/*' or "
        "'**/masks/*.png', and stand in quotes"
    )


def matches_below(base: Path, pattern: str) -> list[Hit]:
    if "*" not in pattern:
        pattern = f"{pattern.rstrip('/')}/*"  # a folder
    if pattern.endswith("**"):
        pattern += "/*"
    parts = pattern.split("/")
    fixed = next(i for i, part in enumerate(parts) if "*" in part or "?" in part)
    root, form = base / "/".join([*parts[:fixed], ""]), compiled(parts[fixed:])
    depth = 99 if "**" in parts else len(parts) - fixed
    hits = []
    for path in files_below(root, depth) if root.is_dir() else ():
        found = form.fullmatch(path.relative_to(root).as_posix())
        if not found or (pattern.endswith("*") and path.suffix.lower() not in ENDINGS):
            continue
        *folders, last = (name.rstrip("/") for name in found.groups())
        if Path(last).suffix.lower() in ENDINGS:
            last = str(Path(last).with_suffix(""))
        below = Path(*parts[:fixed], path.relative_to(root))
        hits.append(Hit(path, below, (*folders, last)))
    return hits


def compiled(parts: list[str]) -> re.Pattern:
    """A group for each * and **; endings in capitals match too."""
    form = ""
    for i, part in enumerate(parts):
        if part == "**":
            form += "((?:[^/]+/)*)"
            continue
        words = re.split(r"(\*+|\?)", part)
        forms = [{"*": "([^/]*)", "?": "[^/]"}.get(word[:1], re.escape(word)) for word in words]
        form += "".join(forms) + ("/" if i + 1 < len(parts) else "")
    return re.compile(form, re.IGNORECASE)
