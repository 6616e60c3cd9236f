"""PASCAL VOC: JPEGImages, SegmentationClass, ImageSets/Segmentation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.masks import (
    SPLIT_OF,
    Meaning,
    add_meaning,
    folder_with,
    given_values,
    images_in,
    meaning,
    pack,
    read_as,
    read_classes,
    read_colours,
    read_ids,
    read_lines,
    to_classes,
    unpacked,
)
from data.images import open_image
from data.layout import VOID

ABOUT = """SOURCE: a folder (or zip) with JPEGImages, SegmentationClass and ImageSets/Segmentation.

Masks are numbers, most with a palette, or VOC's colours; 255 is not scored. The classes are VOC's
21, unless --values, --classes or a labels.txt or labelmap.txt in SOURCE names others."""

# Everingham et al., The PASCAL VOC development kit, 2012, section "segmentation".
NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
).split()
FOLDERS = ("JPEGImages", "SegmentationClass")

add_arguments = add_meaning


def read(source: Path, words) -> Found:
    root = folder_with(opened(source), FOLDERS)
    means = meaning_of(root, words)
    items, broken = listed(root, lambda path: partial(read_voc, path, means))
    return Found(means.classes, items, broken, colours_of(means))


def meaning_of(root: Path, words) -> Meaning:
    means = meaning(enumerate(NAMES))
    if words.values:
        means = given_values(words.values)
    elif words.classes:
        means = read_classes(Path(words.classes))
    else:
        for name in ("labels.txt", "labelmap.txt"):
            if (root / name).exists():
                means = read_classes(root / name)
                break
    if means.colours is not None:
        return means
    return means._replace(table={VOID: -1} | means.table)


def read_voc(path: Path, means: Meaning) -> np.ndarray:
    _, image = open_image(path)
    if means.colours is not None:
        return read_as(path, means)
    if image.mode not in ("RGB", "RGBA"):
        return to_classes(read_ids(path), means, path)
    table = {colour_of(id_): place for id_, place in means.table.items() if id_ <= VOID}
    return to_classes(read_colours(path), Meaning(means.classes, table, []), path)


def colour_of(id_: int) -> int:
    """VOC's colour of a number: its bits, from the lowest, dealt to R, G, B from their highest."""
    bits = [[id_ >> (3 * turn + channel) & 1 for turn in range(8)] for channel in range(3)]
    return pack(*(sum(bit << 7 - turn for turn, bit in enumerate(row)) for row in bits))


def colours_of(means: Meaning) -> list[list[int]]:
    if means.colours is not None:
        return means.colours
    ids = {place: id_ for id_, place in sorted(means.table.items(), reverse=True)}
    return [unpacked(colour_of(ids[place])) for place in range(len(means.classes))]


def listed(root: Path, reader: Callable[[Path], Callable]) -> tuple[list[Item], list[str]]:
    """Items of the lists in ImageSets/Segmentation, or of all masks where there are no lists."""
    images, masks = (images_in(root / name) for name in FOLDERS)
    splits, broken = splits_in(root / "ImageSets" / "Segmentation")
    items = []
    for stem, split in (splits or dict.fromkeys(masks)).items():
        if stem not in masks or stem not in images:
            lacking = root / FOLDERS[stem in images]
            broken.append(f"{stem!r} is listed, but {lacking} has no such file")
            continue
        items.append(Item(stem, images[stem], reader(masks[stem]), split))
    return items, broken


def splits_in(folder: Path) -> tuple[dict[str, str | None], list[str]]:
    """Stem to split; lists of other names than train, val and test give none. The first counts."""
    splits, broken = {}, []
    lists = sorted(folder.glob("*.txt"), key=lambda path: path.stem.casefold() not in SPLIT_OF)
    for path in lists:
        try:
            lines = read_lines(path)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        for line in lines:
            splits.setdefault(line, SPLIT_OF.get(path.stem.casefold()))
    return splits, broken
