"""Cityscapes: leftImg8bit and gtFine or gtCoarse, 19 classes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal, say
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.classes import LabelMap, to_classes
from data.formats.masks import folder_with, images_in, split_of
from data.formats.values import read_ids

ABOUT = """SOURCE: a folder or zip with leftImg8bit and gtFine (or gtCoarse), each with
{train,val,test}/CITY/. The 19 classes of the benchmark are imported; all others become void (the
ignore index: neither trained on nor scored). A test split with blank masks, as in the public
release, is left out."""

# Cordts et al., The Cityscapes dataset, 2016; cityscapesScripts, helpers/labels.py: id in the
# masks, class, colour, in the order of the trainIds.
# fmt: off
CLASSES = (
    ( 7, "road",          (128,  64, 128)),
    ( 8, "sidewalk",      (244,  35, 232)),
    (11, "building",      ( 70,  70,  70)),
    (12, "wall",          (102, 102, 156)),
    (13, "fence",         (190, 153, 153)),
    (17, "pole",          (153, 153, 153)),
    (19, "traffic light", (250, 170,  30)),
    (20, "traffic sign",  (220, 220,   0)),
    (21, "vegetation",    (107, 142,  35)),
    (22, "terrain",       (152, 251, 152)),
    (23, "sky",           ( 70, 130, 180)),
    (24, "person",        (220,  20,  60)),
    (25, "rider",         (255,   0,   0)),
    (26, "car",           (  0,   0, 142)),
    (27, "truck",         (  0,   0,  70)),
    (28, "bus",           (  0,  60, 100)),
    (31, "train",         (  0,  80, 100)),
    (32, "motorcycle",    (  0,   0, 230)),
    (33, "bicycle",       (119,  11,  32)),
)
# fmt: on
NAMES = [name for _, name, _ in CLASSES]
LABEL_IDS = LabelMap(
    NAMES, dict.fromkeys((*range(34), 255), -1) | {c[0]: i for i, c in enumerate(CLASSES)}
)  # 255: licence plate, whose official id is -1
TRAIN_IDS = LabelMap(NAMES, {i: i for i in range(19)} | {19: -1, 255: -1})
INSTANCES = 1000  # instance ids are class id * 1000 + number of the instance
IMAGE_END = "_leftImg8bit"


def read(source: Path, args) -> Found:
    place = opened(source, args)
    source = folder_with(place, ["leftImg8bit"])
    truth = truth_of(source, place)
    masks, kind = images_in(truth), truth.name
    items, broken, known = [], [], set()
    for name, image in images_in(source / "leftImg8bit").items():
        stem = name.removesuffix(IMAGE_END)
        mask = mask_of(masks, f"{stem}_{kind}")
        known.add(f"{stem}_{kind}")
        if mask is None:
            broken.append(f"{image} has no {stem}_{kind}_labelIds.png in {truth}")
            continue
        items.append(Item(Path(stem).name, image, mask, split_of(Path(stem))))
    lost = {name.rpartition("_")[0]: path for name, path in masks.items()}
    broken += [f"{path} has no image" for name, path in lost.items() if name not in known]
    return Found(NAMES, without_blank_test(items), broken, [list(c[2]) for c in CLASSES])


def truth_of(source: Path, place: Path) -> Path:
    """gtFine or gtCoarse beside leftImg8bit, or of a zip that was unpacked to a folder of its
    own below `place`. Raises Refusal."""
    for pattern in (source.glob, lambda name: place.glob(f"*/{name}")):
        for name in ("gtFine", "gtCoarse"):
            found = [path for path in pattern(name) if path.is_dir()]
            if len(found) == 1:
                return found[0]
    raise Refusal(f"{source} has no folder gtFine: unpack gtFine_trainvaltest.zip there")


def mask_of(masks: dict[str, Path], start: str) -> Callable | None:
    for kind, read_ in (
        ("labelIds", read_labels), ("labelTrainIds", read_train), ("instanceIds", read_labels)
    ):  # fmt: skip
        if f"{start}_{kind}" in masks:
            return partial(read_, masks[f"{start}_{kind}"])
    return None


def read_labels(path: Path) -> np.ndarray:
    """The mask of a labelIds or instanceIds file."""
    ids = read_ids(path)
    if ids.dtype != np.uint8:
        ids = np.where(ids < INSTANCES, ids, ids // INSTANCES)
    return to_classes(ids, LABEL_IDS, path)


def read_train(path: Path) -> np.ndarray:
    return to_classes(read_ids(path), TRAIN_IDS, path)


def without_blank_test(items: list[Item]) -> list[Item]:
    first = next((item for item in items if item.split == "test"), None)
    try:
        blank = first is not None and (first.mask() == -1).all()
    except Refusal:
        blank = False
    if not blank:
        return items
    say("the test split is left out: its masks are blank")
    return [item for item in items if item.split != "test"]
