"""Which files belong together: names alone, nothing is opened."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data.layout import IMAGE_ENDINGS, SPLITS

MASKS = (*IMAGE_ENDINGS, ".tif", ".tiff", ".gif")  # what a mask may have been saved as by mistake
WHOLE = "."  # the split of a folder that has images/ and masks/ but no splits


class Pair(NamedTuple):
    split: str
    image: Path
    mask: Path


class Listing(NamedTuple):
    """What a dataset folder holds. Paths are below it.

    missing: (split folder, what it lacks). misnamed: pairs whose mask is found under another name
    than an image's stem and .png. shared: images of one stem. ignored: files of no known kind.
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
        listing.missing.append((folder / "train", "is missing: images/ and masks/ have no splits"))
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
    drawn, strange = sorted_out(masks, MASKS)
    listing.ignored.extend(others + strange)
    if images.is_dir() and not found:
        listing.missing.append((images, "holds no image"))
    exact = {path.name: path for path in drawn}
    folded = defaultdict(list)
    for path in drawn:
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
    listing.lone_masks.extend(path for path in drawn if path not in used)


def sorted_out(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """(files with one of the endings, other files but hidden ones), by name."""
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
    """Equal for names that some file systems take for one: case, and how accents are written."""
    return unicodedata.normalize("NFC", name).casefold()


def nearest(stem: str, paths: list[Path]) -> Path | None:
    """Of masks under nearly an image's name the one that differs least."""
    return min(paths, key=lambda path: (path.stem != stem, path.suffix != ".png"), default=None)


def by(paths: list[Path], key) -> Iterator[list[Path]]:
    """The paths grouped, in order of appearance."""
    groups = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return iter(groups.values())
