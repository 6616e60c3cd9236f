"""CamVid: street scenes, with colour masks (32 classes) or SegNet's masks of 11 class ids."""

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from unicodedata import normalize

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.classes import LabelMap, pack, read_as, to_label_map
from data.formats.find import named_list, some
from data.formats.masks import images_below, read_label_map, split_of
from data.images import open_image

ABOUT = """SOURCE: a folder or zip with images and masks, at any depth. Masks are NAME_L.png, or
NAME.png or NAME_P.png in a folder called masks, labels, trainannot, valannot, train_labels or
similar. Colours other than CamVid's 32 are read from label_colors.txt or class_dict.csv, the names
of ids from codes.txt. The class Void becomes the ignore index: its pixels are neither trained on
nor scored."""

TABLES = ("label_colors.txt", "class_dict.csv")
CODES = "codes.txt"  # fastai's copy: a name a line for the ids of NAME_P.png
MASKS = r"(?P<split>.*?)_?(annot|labels?|masks?)"  # names of mask folders

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
# Badrinarayanan, Kendall, Cipolla, SegNet, 2015: the class ids of its masks; 11 is void.
ELEVEN = (
    "sky building pole road pavement tree signsymbol fence car pedestrian bicyclist void"
).split()


def read(source: Path, args) -> Found:
    source = opened(source, args)
    images, masks = images_and_masks(source)
    if not masks:
        raise Refusal(f"{source} contains no masks: they are called NAME_L.png or are in masks/")
    label_map = label_map_of(source, next(iter(masks.values()))[0])
    items = []
    broken = [*single(images), *single(masks)]
    named = {name: (split, name) for split, name in images}
    for (split, name), mask in masks.items():
        key = (split, name) if (split, name) in images else named.get(name)
        if key not in images:
            broken.append(f"{mask} has no image {name}")
            continue
        reader = partial(read_as, mask, label_map)
        items.append(Item(name, images.pop(key), reader, split or key[0]))
    broken += [f"{image} has no mask" for image in images.values()]
    return Found(label_map.classes, items, broken, label_map.colours)


def images_and_masks(source: Path) -> tuple[dict, dict]:
    """Images and masks, each as a dict from (split, name) to files."""
    images, masks = defaultdict(list), defaultdict(list)
    for path in images_below(source):
        below = path.relative_to(source)
        folder = re.fullmatch(MASKS, below.parent.name, re.IGNORECASE)
        if not folder and not path.stem.endswith("_L"):
            images[split_of(below), normalize("NFC", path.stem)].append(path)
            continue
        split = split_of(below) or (folder and split_of(Path(folder["split"], path.name)))
        masks[split, re.sub("_[LP]$", "", normalize("NFC", path.stem))].append(path)
    return images, masks


def single(files: dict) -> list[str]:
    """Leaves one file for each name, and returns a message for each name that had several."""
    twice = {key: paths for key, paths in files.items() if len(paths) > 1}
    for key in twice:
        del files[key]
    files |= {key: path for key, (path,) in files.items()}
    return [f"{some(paths)} share a name: keep one of them" for paths in twice.values()]


def label_map_of(source: Path, mask: Path) -> LabelMap:
    if table := named_list(source, TABLES) or named_list(mask.parent, TABLES):
        label_map = read_label_map(table)
        if label_map.colours is None:
            raise Refusal(f"{table} has no colours: write lines of the form R G B NAME")
        return label_map
    if codes := named_list(source, (CODES,)):
        return read_label_map(codes)
    _, image = open_image(mask)
    if image.mode in ("RGB", "RGBA"):
        return to_label_map([(pack(*rgb), name) for *rgb, name in COLOURS], rgb=True)
    label_map = to_label_map(enumerate(ELEVEN))
    return label_map._replace(table=label_map.table | {255: -1})
