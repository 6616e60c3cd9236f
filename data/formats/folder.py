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
from data.formats.classes import LabelMap, read_as, to_label_map
from data.formats.find import folded, named_list, some, unread
from data.formats.masks import (
    ENDINGS,
    add_label_map_options,
    files_below,
    images_below,
    parse_values,
    read_label_map,
    split_of,
)
from data.formats.values import read_values

ABOUT = """SOURCE: a folder or zip with images and masks that share parts of their names.

An image and a mask are paired if the last * of their patterns matches the same text, extension left
out: photos/*.jpg and masks/*_m.png pair a.jpg with a_m.png. ** stands for any number of folders; if
a name occurs in several, ** must match the same folders: a/images/1.jpg goes with a/masks/1.png.
A folder called
train, val or test in the path gives the split. The classes of the mask values are given by
--values, --classes, or a file in SOURCE: dataset.toml, classes.txt, labels.txt, class_names.txt or
_classes.csv."""

SEPARATE = "python -m data import separate-masks SOURCE DIR"
LISTS = ("classes.txt", "labels.txt", "class_names.txt", "_classes.csv")


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
    if toml := named_list(source, ("dataset.toml",)):
        dataset = read_dataset(toml.parent)
        label_map = to_label_map(enumerate(dataset.classes))
        return label_map._replace(table={255: -1} | label_map.table | {dataset.void: -1})
    if found := named_list(source, LISTS):
        return read_label_map(found)
    values = np.unique(read_values(masks[0]).stored).tolist() if masks else []
    shown = ", ".join(map(str, values[:12])) or "none"
    raise Refusal(
        f"{source} does not name the classes of its masks; values in the first mask: {shown}. "
        f"Add --values 0=background {named_by(values)}, or --classes FILE with one name per line"
    )


def named_by(values: list[int]) -> str:
    """What --values may say of values besides 0: 255 is an object where it stands alone."""
    if set(values) - {0} == {255}:
        return "255=NAME"
    return "1=NAME 255=void"


class MatchedPair(NamedTuple):
    stem: str
    image: Path
    mask: Path
    split: str | None


class Hit(NamedTuple):
    """A file that matches a pattern. below: the path that is searched for the name of a split.
    names: the text matched by each wildcard, the last without its file ending."""

    path: Path
    below: Path
    names: tuple[str, ...]


def pairs(source: Path, images: str, masks: str) -> tuple[list[MatchedPair], list[str]]:
    """Images with their masks, and a message for each file without a partner."""
    mask_hits = matches(source, masks)
    taken = {hit.path for hit in mask_hits}
    image_hits = [hit for hit in matches(source, images) if hit.path not in taken]
    if not image_hits:
        raise Refusal(f"{images} matches only masks; give an --images pattern that matches images")
    partners = Partners(mask_hits)
    paired, broken, used = [], [], set()
    for hit in image_hits:
        found = partners.of(hit)
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
    broken += [f"{hit.path} has no image" for hit in mask_hits if hit.path not in used]
    if not paired:
        refuse_several(image_hits, mask_hits)
    listed = taken | {hit.path for hit in image_hits}
    return paired, broken + unread(path for path in images_below(source) if path not in listed)


class Partners:
    """Finds masks by the text that the wildcards of an image's pattern matched."""

    def __init__(self, masks: list[Hit]):
        self.by = defaultdict(list)
        for hit in masks:
            for key in self.keys(hit):
                self.by[key].append(hit)

    def keys(self, hit: Hit) -> list:
        """All names, then the last alone; each as it is, then as other systems may write it."""
        names, last = hit.names, hit.names[-1]
        return [("all", names), ("all folded", tuple(map(folded, names))),
                ("last", last), ("last folded", folded(last))]  # fmt: skip

    def of(self, hit: Hit) -> list[Hit]:
        return next((self.by[key] for key in self.keys(hit) if key in self.by), [])


def refuse_several(images: list[Hit], masks: list[Hit]) -> None:
    """Raises Refusal if the names of masks begin with that of the first image, or if they share its
    folder: several masks an image, or a pattern that leaves an end of the names out."""
    image = images[0]
    start = re.compile(re.escape(folded(image.path.stem)) + r"[\W_]")
    own = [hit.path for hit in masks if start.match(folded(hit.path.stem))]
    if len(own) == 1:
        end = own[0].stem[len(image.path.stem) :] + own[0].suffix
        raise Refusal(f"no image has a mask of its name. {own[0]} begins with the name of "
                      f"{image.path}: write --masks '**/*{end}'")  # fmt: skip
    folders = image.names[:-1]
    apart = any(folders) or len(images) == 1
    own = own or [hit.path for hit in masks if apart and hit.names[:-1] == folders]
    if len(own) > 1:
        raise Refusal(
            f"{image.path} has several masks: {some(path.name for path in own)} in "
            f"{own[0].parent}. One mask an image is read, with a value for each class: merge them, "
            f"or type {SEPARATE}"
        )
    if len(masks) > len(images):
        raise Refusal(f"{len(masks)} masks for {len(images)} images, and none shares its name with "
                      f"one: if several masks belong to an image, type {SEPARATE}, else give other "
                      "patterns")  # fmt: skip


def stem_of(names: tuple[str, ...]) -> str:
    """All text that the wildcards matched, without the name of a split."""
    folders = [part for name in names[:-1] for part in name.split("/")]
    return "/".join([*(name for name in folders if name and not split_named(name)), names[-1]])


def split_named(folder: str) -> bool:
    return split_of(Path(folder, "file")) is not None


def matches(source: Path, pattern: str) -> list[Hit]:
    """Matching files in the source, else in the current folder. Raises Refusal if none match."""
    for base in (Path(source), Path()):
        hits = matches_below(base, pattern)
        if hits:
            return hits
    if odd := unread(images_below(source)):
        raise Refusal(f"{pattern} matches no image of a kind that is read. {odd[0]}")
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
    for count in range(1, fixed + 1):  # written from above the folder that holds all content
        if parts[:count] == list(base.parts[-count:]) and not (base / parts[0]).exists():
            parts, fixed = parts[count:], fixed - count
            break
    root, form = base / "/".join([*parts[:fixed], ""]), compiled(parts[fixed:])
    depth = 99 if "**" in parts else len(parts) - fixed
    hits = []
    listed = images_below if pattern.endswith("*") else files_below
    for path in listed(root, depth) if root.is_dir() else ():
        found = form.fullmatch(path.relative_to(root).as_posix())
        if not found:
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
