"""Pairs images with masks by file name, or as they are packed; no image is opened."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cli import Refusal
from data.dataset import OTHER_ENDINGS
from data.layout import IMAGE_ENDINGS, SPLITS, is_junk
from data.shards import Member, PackedPairs, is_packed, shard_counts

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
    without a counterpart. ignored: files of unknown type, and images of a kind that is not read
    beside one of their name that is, such as a camera's raw file.
    """

    pairs: list[Pair]
    missing: list[tuple[Path, str]]
    misnamed: list[Pair]
    shared: list[list[Path]]
    lone_images: list[Path]
    lone_masks: list[Path]
    ignored: list[Path]


@dataclass(frozen=True)
class Stored:
    """The image or the mask of a record of a packed dataset, in place of a path.

    It is read again at each access, so that a dataset need not fit into memory.
    """

    pairs: PackedPairs
    split: str
    index: int
    part: int  # 0: the image, 1: the mask

    @property
    def member(self) -> Member:
        return self.pairs[self.index][self.part]

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def stem(self) -> str:
        return self.member.stem

    @property
    def suffix(self) -> str:
        return self.member.suffix

    def read_bytes(self) -> bytes:
        try:
            return self.member.read_bytes()
        except Refusal as refusal:
            raise Refusal(f"{self} is damaged in its shard: pack the dataset again") from refusal

    def relative_to(self, folder: Path) -> PurePosixPath:
        """The path that it had before it was packed."""
        return PurePosixPath(self.split, ("images", "masks")[self.part], self.name)

    def __str__(self) -> str:
        return str(self.member)


def list_files(folder: Path) -> Listing:
    listing = Listing([], [], [], [], [], [], [])
    if is_packed(folder):
        list_packed(folder, listing)
        return listing
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


def list_packed(folder: Path, listing: Listing) -> None:
    """Raises Refusal for shards that are not whole."""
    there = shard_counts(folder)
    for split in SPLITS:
        if split in there:
            pairs = PackedPairs(folder, split)
            for index in range(len(pairs)):
                image, mask = (Stored(pairs, split, index, part) for part in (0, 1))
                listing.pairs.append(Pair(split, image, mask))
        elif split != "test":
            listing.missing.append((folder / split, "is missing: there are no shards of it"))


def list_split(folder: Path, split: str, listing: Listing) -> None:
    images, masks = folder / "images", folder / "masks"
    for part in (images, masks):
        if not part.is_dir():
            listing.missing.append((part, "is missing"))
    found, others = images_in(images)
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


def images_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """(images, other files), by `sorted_out`."""
    found, others = sorted_out(folder, IMAGE_ENDINGS + OTHER_ENDINGS)
    read = {path.stem for path in found if path.suffix.lower() in IMAGE_ENDINGS}
    beside = [p for p in found if p.suffix.lower() in OTHER_ENDINGS and p.stem in read]
    return [path for path in found if path not in beside], others + beside


def sorted_out(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """(files with one of the endings, other files), both sorted by name, without hidden ones."""
    known, others = [], []
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return known, others
    for path in paths:
        if not is_junk(path.name):
            (known if path.suffix.lower() in endings else others).append(path)
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
