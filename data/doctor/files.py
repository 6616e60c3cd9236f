"""Pairs images with masks by file name; no file is opened."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data.layout import IMAGE_ENDINGS, SPLITS

MASKS = (*IMAGE_ENDINGS, ".tif", ".tiff", ".gif")  # formats that masks are saved in by mistake
WHOLE = "."  # stands for the split of a folder that has images/ and masks/ but no splits


class Pair(NamedTuple):
    split: str
    image: Path
    mask: Path


class Listing(NamedTuple):
    """The files of a dataset folder.

    missing: (folder, what is missing). misnamed: pairs whose mask is not named STEM.png after its
    image. shared: groups of images in one split with the same stem. lone_images, lone_masks: those
    without a counterpart. ignored: files of unknown type.
    """

    pairs: list[Pair]
    missing: list[tuple[Path, str]]
    misnamed: list[Pair]
    shared: list[list[Path]]
    lone_images: list[Path]
    lone_masks: list[Path]
    ignored: list[Path]


def list_files(folder: Path) -> Listing:
    listing = Listing([], [], [], [], [], [], [])
    if not (folder / "train").is_dir() and (folder / "images").is_dir():
        listing.missing.append(
            (folder / "train", "is missing: images/ and masks/ are not divided into splits")
        )
        list_split(folder, WHOLE, listing)
        return listing
    for split in SPLITS:
        if split != "test" or (folder / split).exists():
            list_split(folder / split, split, listing)
    return listing


def list_split(folder: Path, split: str, listing: Listing) -> None:
    images, masks = folder / "images", folder / "masks"
    for part in (images, masks):
        if not part.is_dir():
            listing.missing.append((part, "is missing"))
    found, others = sorted_out(images, IMAGE_ENDINGS)
    annotated, unknown = sorted_out(masks, MASKS)
    listing.ignored.extend(others + unknown)
    if images.is_dir() and not found:
        listing.missing.append((images, "contains no image"))
    exact = {path.name: path for path in annotated}
    folded = defaultdict(list)
    for path in annotated:
        folded[fold(path.stem)].append(path)
    used = set()
    for path in found:
        mask = exact.get(f"{path.stem}.png") or nearest(path.stem, folded[fold(path.stem)])
        if mask is None:
            listing.lone_images.append(path)
            continue
        used.add(mask)
        listing.pairs.append(Pair(split, path, mask))
        if mask.name != f"{path.stem}.png":
            listing.misnamed.append(listing.pairs[-1])
    listing.shared.extend(group for group in by(found, lambda path: path.stem) if len(group) > 1)
    listing.lone_masks.extend(path for path in annotated if path not in used)


def sorted_out(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """(files with one of the endings, other files that are not hidden), both sorted by name."""
    known, others = [], []
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return known, others
    for path in paths:
        if path.suffix.lower() in endings:
            known.append(path)
        elif not path.name.startswith(".") and path.name != "Thumbs.db":
            others.append(path)
    return known, others


def fold(name: str) -> str:
    """A key that is equal for names that some file systems do not distinguish: they differ only in
    case or in the Unicode form of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def nearest(stem: str, paths: list[Path]) -> Path | None:
    """The mask whose name is closest to an image's stem, from candidates with the same `fold`."""
    return min(paths, key=lambda path: (path.stem != stem, path.suffix != ".png"), default=None)


def by(paths: list[Path], key) -> Iterator[list[Path]]:
    """The paths grouped by a key, in order of first appearance."""
    groups = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return iter(groups.values())
