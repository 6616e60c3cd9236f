"""Any folder of images and folder of masks, found by patterns."""

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
    LabelMap,
    add_label_map_options,
    files_below,
    parse_values,
    read_as,
    read_ids,
    read_label_map,
    split_of,
    to_label_map,
)

ABOUT = """SOURCE: a folder or zip with images and masks that share parts of their names.

An image and a mask are paired if the last * of their patterns matches the same text, extension left
out: photos/*.jpg and masks/*_m.png pair a.jpg with a_m.png. ** stands for any number of folders; if
a name occurs in several, ** must match the same folders: a/images/1.jpg goes with a/masks/1.png.
A folder called
train, val or test in the path gives the split. The classes of the mask values are given by
--values, --classes, or a file in SOURCE: dataset.toml, classes.txt or labels.txt."""


def add_arguments(parser) -> None:
    add_patterns(parser, "**/images/*", "**/masks/*")
    add_label_map_options(parser)


def add_patterns(parser, images: str, masks: str) -> None:
    for name, default in (("images", images), ("masks", masks)):
        parser.add_argument(
            f"--{name}", metavar="PATTERN", default=default,
            help=f"glob pattern in quotes, in SOURCE or, if nothing matches there, in the current "
            f"folder (default '{default}')",
        )  # fmt: skip


def read(source: Path, args) -> Found:
    source = opened(source, args)
    paired, broken = pairs(source, args.images, args.masks)
    label_map = label_map_of(source, args, [pair.mask for pair in paired])
    items = [
        Item(pair.stem, pair.image, partial(read_as, pair.mask, label_map), pair.split)
        for pair in paired
    ]
    return Found(label_map.classes, items, broken, label_map.colours)


def label_map_of(source: Path, args, masks: list[Path]) -> LabelMap:
    """The label map from the options or from a file in the source. Raises Refusal without any."""
    if args.values:
        return parse_values(args.values)
    if args.classes:
        return read_label_map(Path(args.classes))
    if (source / "dataset.toml").exists():
        dataset = read_dataset(source)
        label_map = to_label_map(enumerate(dataset.classes))
        return label_map._replace(table={255: -1} | label_map.table | {dataset.void: -1})
    for name in ("classes.txt", "labels.txt"):
        if (source / name).exists():
            return read_label_map(source / name)
    values = ", ".join(map(str, np.unique(read_ids(masks[0])).tolist()[:12])) if masks else "none"
    raise Refusal(
        f"{source} does not name the classes of its masks; values in the first mask: {values}. "
        "Add --values 0=background 1=NAME 255=void, or --classes FILE with one name per line"
    )


class MatchedPair(NamedTuple):
    stem: str
    image: Path
    mask: Path
    split: str | None


def pairs(source: Path, images: str, masks: str) -> tuple[list[MatchedPair], list[str]]:
    """Images with their masks, and a message for each file without a partner."""
    mask_hits = matches(source, masks)
    taken = {hit.path for hit in mask_hits}
    image_hits = [hit for hit in matches(source, images) if hit.path not in taken]
    if not image_hits:
        raise Refusal(f"{images} matches only masks; give an --images pattern that matches images")
    by_all, by_last = defaultdict(list), defaultdict(list)
    for hit in mask_hits:
        by_all[hit.names].append(hit)
        by_last[hit.names[-1]].append(hit)
    paired, broken, used = [], [], set()
    for hit in image_hits:
        found = by_all[hit.names] or by_last[hit.names[-1]]
        if len(found) != 1 or found[0].path in used:
            why = "no mask"
            if found:
                why = f"{len(found)} masks:" if len(found) > 1 else "the mask of another image:"
                why += f" {found[0].path}"
            broken.append(f"{hit.path} has {why}")
            used |= {mask.path for mask in found}
            continue
        used.add(found[0].path)
        split = split_of(found[0].below) or split_of(hit.below)
        paired.append(MatchedPair(stem_of(hit.names), hit.path, found[0].path, split))
    if not paired and len(mask_hits) > len(image_hits):
        raise Refusal(
            f"{len(mask_hits)} masks for {len(image_hits)} images, and none shares its name with "
            f"one: if several masks belong to an image, type python -m data import separate-masks "
            f"{source} DIR, else give other patterns"
        )
    broken += [f"{hit.path} has no image" for hit in mask_hits if hit.path not in used]
    return paired, broken


def stem_of(names: tuple[str, ...]) -> str:
    """All text that the wildcards matched, without the name of a split."""
    folders = [part for name in names[:-1] for part in name.split("/")]
    return "/".join([*(name for name in folders if name and not split_named(name)), names[-1]])


def split_named(folder: str) -> bool:
    return split_of(Path(folder, "file")) is not None


class Hit(NamedTuple):
    """A file that matches a pattern. below: the path that is searched for the name of a split.
    names: the text matched by each wildcard, the last without its file ending."""

    path: Path
    below: Path
    names: tuple[str, ...]


def matches(source: Path, pattern: str) -> list[Hit]:
    """Matching files in the source, else in the current folder. Raises Refusal if none match."""
    for base in (Path(source), Path()):
        hits = matches_below(base, pattern)
        if hits:
            return hits
    raise Refusal(
        f"{pattern} matches nothing in {source}: write a pattern like 'images/*' or "
        "'**/masks/*.png', in quotes"
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
    """A regular expression with a group for each * and **; it ignores case."""
    form = ""
    for i, part in enumerate(parts):
        if part == "**":
            form += "((?:[^/]+/)*)"
            continue
        pieces = re.split(r"(\*+|\?)", part)
        wild = {"*": "([^/]*)", "?": "[^/]"}
        forms = [wild.get(piece[:1], re.escape(piece)) for piece in pieces]
        form += "".join(forms) + ("/" if i + 1 < len(parts) else "")
    return re.compile(form, re.IGNORECASE)
