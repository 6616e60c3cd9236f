"""PASCAL VOC: JPEGImages, SegmentationClass, ImageSets/Segmentation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item, Note
from data.formats.archives import opened
from data.formats.classes import (
    LabelMap,
    in_classes,
    pack,
    read_as,
    to_label_map,
    unpacked,
    with_void,
)
from data.formats.masks import (
    SPLIT_OF,
    add_label_map_options,
    folder_with,
    images_in,
    parse_values,
    read_label_map,
    read_lines,
)
from data.formats.values import Values, read_values
from data.images import open_image
from data.layout import VOID

ABOUT = """SOURCE: a folder or zip with JPEGImages, SegmentationClass and ImageSets/Segmentation.

Masks are palette or grey images of class ids, or RGB images in VOC's colours; 255 is void (the
ignore index: neither trained on nor scored). The classes are VOC's 21, unless others are named
by --values, --classes, or a labels.txt or labelmap.txt in SOURCE."""

# Everingham et al., The PASCAL VOC development kit, 2012, section "segmentation".
NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
).split()
FOLDERS = ("JPEGImages", "SegmentationClass")

SORTED = "stores indices that are no classes, in a palette of VOC's colours: these were read"

add_arguments = add_label_map_options


def read(source: Path, args) -> Found:
    root = folder_with(opened(source, args), FOLDERS)
    label_map = label_map_of(root, args)
    items, broken = listed(root, lambda path: partial(read_voc, path, label_map))
    return Found(label_map.classes, items, broken, colours_of(label_map))


def label_map_of(root: Path, args) -> LabelMap:
    label_map = to_label_map(enumerate(NAMES))
    if args.values:
        label_map = parse_values(args.values)
    elif args.classes:
        label_map = read_label_map(Path(args.classes))
    else:
        for name in ("labels.txt", "labelmap.txt"):
            if (root / name).exists():
                label_map = read_label_map(root / name)
                break
    if label_map.colours is not None:
        return label_map
    return with_void(label_map)


def read_voc(path: Path, label_map: LabelMap) -> np.ndarray | Drawn:
    _, image = open_image(path)
    if label_map.colours is not None:
        return read_as(path, label_map)
    values = None if image.mode == "RGB" else read_values(path)
    if values and (image.mode != "RGBA" or values.alpha):
        return in_classes(by_palette(values, image, label_map, path), label_map, path)
    table = {colour_of(id_): place for id_, place in label_map.table.items() if id_ <= VOID}
    return read_as(path, LabelMap(label_map.classes, table, []))


def by_palette(values: Values, image, label_map: LabelMap, path: Path) -> Values:
    """The values of a palette whose entries were sorted anew: the ids that VOC gives its colours,
    where the indices are no classes. Raises Refusal where both are."""
    if image.mode != "P" or not image.palette or image.palette.mode != "RGB":
        return values
    flat, table = bytes(image.palette.palette), label_map.table
    own = {colour_of(id_): id_ for id_ in table if id_ <= VOID}
    used = np.unique(values.stored).tolist()
    ids = [own.get(int.from_bytes(flat[3 * value : 3 * value + 3])) for value in used]
    if ids == used or None in ids:
        return values
    if set(used) <= table.keys():
        raise Refusal(
            f"{path} stores the ids {used}, but its palette has VOC's colours of {ids}: save it as "
            "grey values, or in colour"
        )
    sorted_ = np.array(ids)[np.searchsorted(used, values.stored)]
    return values._replace(stored=sorted_, notes=(*values.notes, Note(path, SORTED)))


def colour_of(id_: int) -> int:
    """VOC's colour of an id: its bits, lowest first, go to R, G, B in turn, highest bit first."""
    bits = [[id_ >> (3 * turn + channel) & 1 for turn in range(8)] for channel in range(3)]
    return pack(*(sum(bit << 7 - turn for turn, bit in enumerate(row)) for row in bits))


def colours_of(label_map: LabelMap) -> list[list[int]]:
    if label_map.colours is not None:
        return label_map.colours
    ids = {place: id_ for id_, place in sorted(label_map.table.items(), reverse=True)}
    return [unpacked(colour_of(ids[place])) for place in range(len(label_map.classes))]


def listed(root: Path, reader: Callable[[Path], Callable]) -> tuple[list[Item], list[str]]:
    """Items of the lists in ImageSets/Segmentation, or of all masks if there are no lists."""
    images, masks = (images_in(root / name) for name in FOLDERS)
    splits, broken = splits_in(root / "ImageSets" / "Segmentation")
    items = []
    for stem, split in (splits or dict.fromkeys(masks)).items():
        if stem not in masks or stem not in images:
            folder = root / FOLDERS[stem in images]
            broken.append(f"{stem!r} is listed, but {folder} has no such file")
            continue
        items.append(Item(stem, images[stem], reader(masks[stem]), split))
    return items, broken


def splits_in(folder: Path) -> tuple[dict[str, str | None], list[str]]:
    """From stem to split, None for lists not named train, val or test; the first list counts."""
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
