"""CamVid: street scenes with masks in 32 colours, or with the 11 classes of SegNet."""

import re
from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.masks import (
    ENDINGS,
    Meaning,
    files_below,
    meaning,
    pack,
    read_as,
    read_classes,
    split_of,
)
from data.images import open_image

ABOUT = """SOURCE: a folder (or zip) with images and their masks, anywhere below it: NAME_L.png,
or NAME.png in a folder called masks, labels, trainannot, valannot, train_labels or the like. The
colours stand in label_colors.txt or class_dict.csv, if not CamVid's 32. Void is not scored."""

TABLES = ("label_colors.txt", "class_dict.csv")
MASKS = r"(?P<split>.*?)_?(annot|labels?|masks?)"  # how a folder of masks is called

# fmt: off
COLOURS = (  # Brostow, Fauqueur, Cipolla, Semantic object classes in video, 2009: label_colors.txt
    (64, 128, 64, "Animal"), (192, 0, 128, "Archway"), (0, 128, 192, "Bicyclist"),
    (0, 128, 64, "Bridge"), (128, 0, 0, "Building"), (64, 0, 128, "Car"),
    (64, 0, 192, "CartLuggagePram"), (192, 128, 64, "Child"), (192, 192, 128, "Column_Pole"),
    (64, 64, 128, "Fence"), (128, 0, 192, "LaneMkgsDriv"), (192, 0, 64, "LaneMkgsNonDriv"),
    (128, 128, 64, "Misc_Text"), (192, 0, 192, "MotorcycleScooter"), (128, 64, 64, "OtherMoving"),
    (64, 192, 128, "ParkingBlock"), (64, 64, 0, "Pedestrian"), (128, 64, 128, "Road"),
    (128, 128, 192, "RoadShoulder"), (0, 0, 192, "Sidewalk"), (192, 128, 128, "SignSymbol"),
    (128, 128, 128, "Sky"), (64, 128, 192, "SUVPickupTruck"), (0, 0, 64, "TrafficCone"),
    (0, 64, 64, "TrafficLight"), (192, 64, 128, "Train"), (128, 128, 0, "Tree"),
    (192, 128, 192, "Truck_Bus"), (64, 0, 64, "Tunnel"), (192, 192, 0, "VegetationMisc"),
    (0, 0, 0, "Void"), (64, 192, 0, "Wall"),
)
# fmt: on
# Badrinarayanan, Kendall, Cipolla, SegNet, 2015: the numbers of its masks; 11 is not scored.
ELEVEN = (
    "sky building pole road pavement tree signsymbol fence car pedestrian bicyclist void"
).split()


def read(source: Path, words) -> Found:
    source = opened(source)
    images, masks = sorted_out(source)
    if not masks:
        raise Refusal(f"{source} holds no masks: they are called NAME_L.png or lie in masks/")
    means = meaning_of(source, next(iter(masks.values())))
    items, broken = [], []
    named = {name: (split, name) for split, name in images}
    for (split, name), mask in masks.items():
        key = (split, name) if (split, name) in images else named.get(name)
        if key not in images:
            broken.append(f"{mask} has no image {name}")
            continue
        reader = partial(read_as, mask, means)
        items.append(Item(name, images.pop(key), reader, split or key[0]))
    broken += [f"{image} has no mask" for image in images.values()]
    return Found(means.classes, items, broken, means.colours)


def sorted_out(source: Path) -> tuple[dict, dict]:
    """(split, name) to file, of the images and of the masks."""
    images, masks = {}, {}
    for path in files_below(source):
        if path.suffix.lower() not in ENDINGS:
            continue
        below = path.relative_to(source)
        folder = re.fullmatch(MASKS, below.parent.name, re.IGNORECASE)
        if not folder and not path.stem.endswith("_L"):
            images[split_of(below), path.stem] = path
            continue
        split = split_of(below) or (folder and split_of(Path(folder["split"], path.name)))
        masks[split, path.stem.removesuffix("_L")] = path
    return images, masks


def meaning_of(source: Path, mask: Path) -> Meaning:
    for table in (folder / name for folder in (source, mask.parent) for name in TABLES):
        if table.exists():
            means = read_classes(table)
            if means.colours is None:
                raise Refusal(f"{table} has no colours: its lines look like R G B NAME")
            return means
    _, image = open_image(mask)
    if image.mode in ("RGB", "RGBA"):
        return meaning([(pack(*rgb), name) for *rgb, name in COLOURS], rgb=True)
    means = meaning(enumerate(ELEVEN))
    return means._replace(table=means.table | {255: -1})
