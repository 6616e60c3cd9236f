"""Writes a source of any format as a dataset folder: python -m data import."""

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cli import Refusal
from data.dataset import write_names
from data.formats import Drawn, Found, Item, module_of
from data.formats.account import Account, Written, account_of, refuse_nothing
from data.formats.archives import in_source
from data.formats.pictures import read_picture
from data.formats.selection import Selection, select
from data.formats.splits import assign, clips_note, groups_of
from data.images import encoded, orientation_of, stored_size, turned
from data.layout import VOID, default_colours
from files import new_folder

THREADS = 4
MOST_NAME = 200  # bytes; file systems allow 255 including the ending


class SplitOptions(NamedTuple):
    """How images without a split are assigned to one. val, test: fractions. group: a regular
    expression on the stem; images with equal matches share a split."""

    val: float = 0.15
    test: float = 0.0
    seed: int = 0
    group: str | None = None


def import_source(name: str, args, renamed: dict[str, str], options: SplitOptions) -> Account:
    """Imports `args.source` of the format `name` as the new folder `args.folder`, or nothing.

    args: the parsed options of the format. Raises Refusal if the folder is not empty, if no item is
    valid or if nothing was drawn.
    """
    with new_folder(args.folder) as part:
        args.scratch = part / "scratch"  # what importers unpack; it goes with the folder
        try:
            with reading(args.source):
                found = module_of(name).read(args.source, args)
            selection = select(found.classes, renamed, args.only)
            account = write_dataset(found, part, selection, options)
        except Refusal as refusal:
            raise Refusal(in_source(str(refusal), args)) from refusal
        shutil.rmtree(args.scratch, ignore_errors=True)
    notes, broken = ([in_source(line, args) for line in lines]
                     for lines in (account.notes, account.broken))  # fmt: skip
    return replace(account, folder=str(args.folder), notes=notes, broken=broken)


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turns the errors of the file system into a Refusal that names the file."""
    try:
        yield
    except OSError as error:
        path = error.filename or source
        raise Refusal(f"{path} cannot be read: {error.strerror or error}") from error


def write_dataset(found: Found, part: Path, selection: Selection, options: SplitOptions) -> Account:
    """Writes a dataset into the folder `part`.

    Raises Refusal if no item is valid or if nothing was drawn.
    """
    from tqdm import tqdm

    stems = file_names([item.stem for item in found.items])
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = pool.map(
            lambda pair: try_item(*pair, part, selection),
            zip(found.items, stems, strict=True),
        )
        results = list(tqdm(jobs, total=len(stems), unit="image", leave=False, disable=None))
    broken = [*found.broken, *(r for r in results if isinstance(r, str))]
    valid = [
        (item, stem, result)
        for item, stem, result in zip(found.items, stems, results, strict=True)
        if not isinstance(result, str)
    ]
    if not valid:
        first = f" Broken items: {len(broken)}; the first: {broken[0]}" if broken else ""
        more = "".join(f" {note[:1].upper()}{note[1:]}." for note in found.notes)
        raise Refusal(f"no item in the source is valid.{more}{first}")
    splits, notes = assign_splits(valid, options)
    found = found._replace(notes=(*found.notes, *notes))
    written = [result for *_, result in valid]
    account = account_of(part, selection.classes, found, written, splits, broken)
    refuse_nothing(account, written)
    for (_, stem, result), split in zip(valid, splits, strict=True):
        place(part, stem, result.name, split)
    shutil.rmtree(part / "all")
    void = VOID if account.pixels[VOID] else None
    write_names(part, selection.classes, colours_of(found, selection), void)
    return account


def colours_of(found: Found, selection: Selection) -> list[list[int]]:
    colours = default_colours(len(selection.classes))
    if not found.colours:
        return colours
    return [
        colour if old is None else list(found.colours[old])
        for old, colour in zip(selection.kept, colours, strict=True)
    ]


def try_item(item: Item, stem: str, part: Path, selection: Selection) -> Written | str:
    """What was written, or a message if the item is broken."""
    try:
        return write_item(item, stem, part / "all", selection)
    except Refusal as broken:
        return str(broken)


def write_item(item: Item, stem: str, folder: Path, selection: Selection) -> Written:
    picture, made = read_picture(item.image), item.mask()
    drawn = made if isinstance(made, Drawn) else Drawn(made)
    mask = fitting(drawn.mask, picture.pixels.shape[:2], picture.header, item)
    low, high = int(mask.min()), int(mask.max())
    if low < -1 or high >= len(selection.table) - 1:
        raise Refusal(f"{item.image}: its mask has id {low if low < -1 else high}, "
                      f"but there are {len(selection.table) - 1} classes")  # fmt: skip
    ids = selection.table[mask]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    name = stem + (item.image.suffix.lower() if picture.as_is else ".png")
    if picture.as_is:
        link(item.image, folder / "images" / name)
    else:
        (folder / "images" / name).write_bytes(encoded(picture.pixels, ".png"))
    (folder / "masks" / f"{stem}.png").write_bytes(encoded(ids, ".png"))
    counts = np.bincount(ids.ravel(), minlength=256)
    pixels = {int(id_): int(counts[id_]) for id_ in np.flatnonzero(counts)}
    return Written(name, pixels, drawn.objects, (*picture.notes, *drawn.notes))


def fitting(mask: np.ndarray, size: tuple[int, int], header: Image.Image, item: Item) -> np.ndarray:
    """The mask with its image's EXIF orientation applied. size: (H, W) of the oriented image."""
    orientation = orientation_of(header)
    stored = stored_size(header)
    if orientation != 1 and mask.shape == stored and (not item.turned or mask.shape != size):
        mask = turned(mask, orientation)
    if mask.shape != size:
        came, needed = ("x".join(map(str, shape)) for shape in (mask.shape, size))
        raise Refusal(f"{item.image} is {needed} (HxW), but its mask is {came}")
    return mask


def link(source: Path, target: Path) -> None:
    """Creates a hard link if the file system supports it, else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def assign_splits(valid: list, options: SplitOptions) -> tuple[list[str], list[str]]:
    """A split for each (item, stem, Written): that of the source, else one by hash; and notes.

    If the source has training images but no validation images, it is treated as unsplit.
    """
    own = {item.split for item, _, _ in valid}
    if "val" in own:
        fixed = [item.split for item, _, _ in valid]
    else:
        fixed = [item.split if item.split == "test" else None for item, _, _ in valid]
    free = [entry for entry, split in zip(valid, fixed, strict=True) if split is None]
    test = 0.0 if "test" in own else options.test
    val = 0.0 if "val" in own else options.val
    splits = 1 + (val > 0) + (test > 0)
    stems = [stem for _, stem, _ in free]
    notes = clips_note(stems) if splits > 1 and not options.group else []
    groups = groups_of(stems, options.group, splits)
    made = iter(assign(groups, [written.ids() for *_, written in free], val, test, options.seed))
    return [split or next(made) for split in fixed], notes


def place(part: Path, stem: str, image: str, split: str) -> None:
    for folder, name in (("images", image), ("masks", f"{stem}.png")):
        target = part / split / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / "all" / folder / name, target)


def file_names(stems: list[str]) -> list[str]:
    """Names for every file system: short, without separators, unique ignoring case."""
    taken, names = set(), []
    for stem in stems:
        stem = stem.encode("utf-8", "replace")[:MOST_NAME].decode("utf-8", "ignore")
        safe = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", stem).strip(". ") or "image"
        name, count = safe, 1
        while name.casefold() in taken:
            count += 1
            name = f"{safe}_{count}"
        taken.add(name.casefold())
        names.append(name)
    return names
