"""ADE20K: the scene parsing set with 150 classes, and the full releases of 2017 and 2020."""

import json
import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.classes import LabelMap, to_classes
from data.formats.find import missing
from data.formats.masks import files_below, folder_with, holds, images_in, read_text, split_of
from data.formats.values import read_ids
from data.images import decoded, open_image

ABOUT = """SOURCE: a folder or zip with ADEChallengeData2016 (images/, annotations/) or with a full
release (NAME.jpg, NAME_seg.png, and NAME_atr.txt in 2017 or NAME.json in 2020). The former has 150
classes; its 0, "other", becomes void (the ignore index: neither trained on nor scored). The full
releases have thousands of classes: choose some with --only. Object parts are not read."""

# Zhou et al., Scene parsing through ADE20K, 2017, objectInfo150.txt: the first name of each class,
# in the order of the mask values, which start at 1.
NAMES = (
    """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
railing, cushion, base, box, column, signboard, chest, counter, sand, sink, skyscraper,
fireplace, refrigerator, grandstand, path, stairs, runway, case, pool, pillow, screen door
screen, stairway, river, bridge, bookcase, blind, coffee, toilet, flower, book, hill, bench,
countertop, stove, palm, kitchen, computer, swivel, boat, bar, arcade, hovel, bus, towel,
light, truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt,
apparel, pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
fountain, conveyer, canopy, washer, plaything, swimming, stool, barrel, basket, waterfall,
tent, bag, minibike, cradle, oven, ball, food, step, tank, trade, microwave, pot, animal,
bicycle, lake, dishwasher, screen silver screen projection screen, blanket, sculpture, hood,
sconce, vase, traffic, tray, ashcan, fan, pier, crt, plate, monitor, bulletin, shower,
radiator, glass, clock, flag
""".strip()
    .replace("\n", " ")
    .split(", ")
)
SEG = "_seg.png"
MOST_CLASS = 255 // 10 * 256 + 255  # the largest value that R and G can encode


def read(source: Path, args) -> Found:
    source = opened(source, args)
    challenge = ("images", "annotations")
    if holds(source, challenge) or not any(map(is_seg, files_below(source))):
        return scene_parsing(folder_with(source, challenge))
    return full(source)


def scene_parsing(root: Path) -> Found:
    label_map = LabelMap(NAMES, {i: i - 1 for i in range(len(NAMES) + 1)})
    images, masks = images_in(root / "images"), images_in(root / "annotations")
    items = [
        Item(
            Path(name).name,
            image,
            partial(read_scene, masks[name], label_map),
            split_of(Path(name)),
        )
        for name, image in images.items()
        if name in masks
    ]
    broken = [f"{path} has no mask" for name, path in images.items() if name not in masks]
    broken += [f"{path} has no image" for name, path in masks.items() if name not in images]
    return Found(NAMES, items, broken)


def read_scene(path: Path, label_map: LabelMap) -> np.ndarray:
    return to_classes(read_ids(path), label_map, path)


def short(names: list[str]) -> list[str]:
    """The first synonym of each name, or all of them if another name begins with the same one."""
    synonyms = [[word.strip() for word in re.split("[;,]", name)] for name in names]
    firsts = Counter(first for first, *_ in synonyms)
    return [row[0] if firsts[row[0]] == 1 else " ".join(row) for row in synonyms]


def is_seg(path: Path) -> bool:
    return path.name.endswith(SEG)


def full(source: Path) -> Found:
    listed, broken = [], []
    for seg in filter(is_seg, files_below(source)):
        try:
            listed.append((seg, image_of(seg), names_of(seg)))
        except Refusal as refusal:
            broken.append(str(refusal))
    all_names = sorted({name for *_, (_, names) in listed for name in names.values()})
    if not all_names:
        first = f" Broken files: {len(broken)}; the first: {broken[0]}" if broken else ""
        raise Refusal(f"{source} has no named objects.{first}")
    place = {name: index for index, name in enumerate(all_names)}
    items = []
    for seg, image, (by_class, names) in listed:
        table = {0: -1} | {number: place[name] for number, name in names.items()}
        mask = partial(read_full, seg, by_class, LabelMap(all_names, table))
        items.append(Item(image.stem, image, mask, split_of(seg.relative_to(source))))
    return Found(short(all_names), items, broken)


def image_of(seg: Path) -> Path:
    stem = seg.name.removesuffix(SEG)
    for ending in (".jpg", ".JPG", ".jpeg", ".png"):
        if (image := seg.with_name(stem + ending)).exists():
            return image
    raise Refusal(f"{seg} has no image: {missing(seg.with_name(f'{stem}.jpg'))}")


def names_of(seg: Path) -> tuple[bool, dict[int, str]]:
    """Whether the mask values are classes (2020) or objects (2017), and value to name."""
    stem = seg.name.removesuffix(SEG)
    of_2020, of_2017 = seg.with_name(f"{stem}.json"), seg.with_name(f"{stem}_atr.txt")
    if of_2020.exists():
        return True, objects_of_2020(of_2020)
    if of_2017.exists():
        return False, objects_of_2017(of_2017)
    raise Refusal(f"{seg} has neither {of_2020.name} nor {of_2017.name}")


def objects_of_2020(path: Path) -> dict[int, str]:
    try:
        objects = json.loads(read_text(path))["annotation"]["object"]
        named = [
            (thing["name_ndx"], thing["name"])
            for thing in objects
            if thing["parts"]["part_level"] == 0
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(f"{path} is damaged: {error!r}") from error
    for number, name in named:
        if not (type(number) is int and 0 < number <= MOST_CLASS and isinstance(name, str)):
            raise Refusal(f"{path} is damaged: object {name!r} has the value {number!r}")
    return dict(named)


def objects_of_2017(path: Path) -> dict[int, str]:
    """The lines are: number # level (0: a whole object) # occluded # class # ..."""
    names = {}
    for line in read_text(path).splitlines():
        fields = [field.strip() for field in line.split("#")]
        if len(fields) < 4 or not (re.fullmatch(r"\d{1,4}", fields[0]) and fields[3]):
            raise Refusal(f"{path} is damaged: {line[:60]!r}")
        if fields[1] == "0":
            names[int(fields[0])] = fields[3]
    return names


def read_full(path: Path, by_class: bool, label_map: LabelMap) -> np.ndarray:
    """R and G encode the class, R // 10 * 256 + G; the rank of B is the number of the object."""
    _, image = open_image(path)
    red, green, blue = np.moveaxis(decoded(path, image, "RGB").astype(np.int32), -1, 0)
    if by_class:
        return to_classes(red // 10 * 256 + green, label_map, path)
    rank = np.cumsum(np.bincount(blue.ravel(), minlength=256)[1:] > 0)
    return to_classes(np.where(blue > 0, rank[blue - 1], 0), label_map, path)
