"""Label Studio's JSON export: tasks with polygons, brush strokes, rectangles and ellipses."""

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item
from data.formats.coco import json_files, source_of
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    unlisted,
)
from data.formats.label_studio_brush import decode
from data.formats.masks import split_of
from data.formats.polygons import items_of, read_tree, shape_in
from data.formats.regions import Layers, add_boxes_option, boxes_note, flat_note
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder or zip with images and Label Studio's export "JSON" (not JSON-MIN), or
such a JSON file. Polygons, brush strokes, rectangles and ellipses are drawn, the smaller on top
where they overlap; key points and lines have no area: the boxes around them become void (the ignore
index: neither trained on nor scored). Images are found by their names, with or without the eight
hexadecimal digits and the hyphen that an upload adds. Tasks that nobody labelled or that were
skipped are left out; where one has several annotations, the one marked as ground truth counts, or
--annotation says which. A folder called train, val or test gives the split."""

AREAS = ("polygon", "brush", "rectangle", "ellipse")
FLAT = ("keypoint", "vector", "line")
UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # what an upload adds to the name of a file


def add_arguments(parser) -> None:
    add_images_option(parser)
    parser.add_argument(
        "--annotation", choices=("first", "last"),
        help="which annotation counts where a task has several",
    )  # fmt: skip
    add_boxes_option(parser)


class Region(NamedTuple):
    """A shape of an annotation. labels: the names of its classes, one if all is well."""

    kind: str
    value: dict
    labels: tuple[str, ...]
    entry: dict


class Task(NamedTuple):
    path: Path
    entry: dict
    regions: list[Region]

    @property
    def name(self) -> str:
        return f"task {self.entry.get('id')}"


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    images = Images(folder_of_images(folder, args))
    tasks, broken, left = [], [], 0
    files, notes = json_files(source, "project-")
    for path in files:
        try:
            entries = entries_of(path)
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        for entry in entries:
            try:
                results = chosen(entry, path, args)
                if results is None:
                    left += 1
                else:
                    tasks.append(Task(path, entry, regions_of(results, path)))
            except Refusal as refusal:
                broken.append(str(refusal))
    if not tasks:
        why = f"no task of {source} is labelled" if left else f"{source} has no JSON file"
        raise Refusal(broken[0] if broken else why)
    named = {label for task in tasks for region in task.regions for label in region.labels}
    classes = [BACKGROUND, *sorted(named - {BACKGROUND})]
    listed = []
    for task in tasks:
        try:
            listed.append((task.path, item_of(task, images, classes, args)))
        except Refusal as refusal:
            broken.append(str(refusal))
    items, twice = listed_once(listed)
    kinds = [region.kind for task in tasks for region in task.regions]
    others, odd = unlisted(images, {item.image for _, item in listed})
    notes += [*boxes_note(kinds.count("rectangle"), args), *flat_note(kinds, FLAT), *others]
    if left:
        notes.append(f"{left} tasks are not labelled, or were skipped, and are left out")
    files = {task.path for task in tasks}
    broken += twice + odd
    return Found(classes, items, broken, None, tuple(notes), len(files), len(kinds))


def entries_of(path: Path) -> list[dict]:
    """The tasks of a JSON file, a list or a single one. Raises Refusal."""
    tree = read_tree(path)
    entries = items_of({"tasks": tree if isinstance(tree, list) else [tree]}, "tasks", path)
    odd = [entry for entry in entries if not entry.keys() & {"annotations", "completions"}]
    if any("predictions" in entry for entry in odd):
        raise Refusal(f"{path} has tasks with predictions but without annotations: accept them in "
                      "Label Studio, and export again")  # fmt: skip
    if odd:
        raise Refusal(f'{path} is no export "JSON" of Label Studio: JSON-MIN lacks what is needed')
    return entries


def chosen(entry: dict, path: Path, args) -> list[dict] | None:
    """The results of the annotation that counts, or None if the task is not labelled."""
    key = "annotations" if "annotations" in entry else "completions"
    found = [a for a in items_of(entry, key, path) if not a.get("was_cancelled")]
    if len(found) > 1:
        found = [a for a in found if a.get("ground_truth")] or found
    if len(found) > 1 and args.annotation:
        found = [found[0 if args.annotation == "first" else -1]]
    if len(found) > 1:
        raise Refusal(
            f"{path}: task {entry.get('id')} has {len(found)} annotations; needed: one. Add "
            "--annotation first or last"
        )
    return items_of(found[0], "result", path) if found else None


def regions_of(results: list[dict], path: Path) -> list[Region]:
    """The shapes. Their labels are in their values, or in another result of the same id."""
    names = {}
    for entry in results:
        for label in labels_of(entry):
            names.setdefault(str(entry.get("id")), {})[label] = None
    found, seen = [], set()
    for entry in results:
        kind = str(entry.get("type")).removesuffix("labels")
        known = (
            kind in (*AREAS, *FLAT, "bitmask") or entry.get("type") == f"{kind}labels" != "labels"
        )
        if not known or not isinstance(entry.get("value"), dict):
            continue  # a choice, a text or the like
        id_ = str(entry.get("id"))
        labels = names.get(id_, {}) if "id" in entry else labels_of(entry)
        if "id" not in entry or (id_, kind) not in seen:  # polygon and polygonlabels of one shape
            found.append(Region(kind, entry["value"], tuple(labels), entry))
        seen.add((id_, kind))
    return found


def labels_of(entry: dict) -> list[str]:
    value, kind = entry.get("value"), entry.get("type")
    if not isinstance(value, dict) or not isinstance(kind, str) or not kind.endswith("labels"):
        return []
    found = value.get(kind)
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def item_of(task: Task, images: Images, classes: list[str], args) -> Item:
    names = image_names(task.entry, task.path)
    for at, name in enumerate(names):
        try:
            image = images.find(name, task.path.parent, task.path)
            break
        except Refusal:
            if at + 1 == len(names):
                raise
    split = split_of(image.relative_to(images.folder))
    mask = partial(draw, task, image, classes, args.boxes)
    return Item(image.stem, image, mask, split)


def image_names(entry: dict, path: Path) -> list[str]:
    """The names that the image of a task may have: as stored, and as it was uploaded."""
    data = entry.get("data") if isinstance(entry.get("data"), dict) else {}
    texts = [text for text in data.values() if isinstance(text, str)]
    keys = ("image", "img", "ocr", "url")
    stated = next((data[key] for key in keys if isinstance(data.get(key), str)), None)
    if stated is None and len(texts) != 1:
        raise Refusal(f"{path}: task {entry.get('id')} does not name one image")
    address = urlsplit(stated or texts[0])
    query = parse_qs(address.query).get("d", [])  # /data/local-files/?d=FOLDER/NAME
    query = query if address.path.rstrip("/").endswith("local-files") else []
    name = (query[0] if query else unquote(address.path)).lstrip("/")
    uploaded = UPLOADED.fullmatch(PurePosixPath(name).name)
    return [name, uploaded[1]] if uploaded else [name]


def draw(task: Task, image: Path, classes: list[str], boxes: str) -> Drawn:
    """The mask (H, W) of the image with its EXIF orientation applied, the smaller on top."""
    sizes = [(r.entry.get("original_height"), r.entry.get("original_width")) for r in task.regions]
    if any(size != sizes[0] for size in sizes):
        raise Refusal(f"{task.path}: {task.name} states several sizes of its image")
    stated = sizes[0] if sizes else (None, None)
    layers = Layers(shape_in(image, stated, task.path), task.path, boxes)
    for number, region in enumerate(task.regions):
        what = f"{task.name}, {region.kind} {number} ({', '.join(region.labels)})"
        if region.entry.get("image_rotation"):
            raise Refusal(f"{task.path}: {task.name} was labelled on a turned image: turn it back")
        if region.kind in FLAT:
            layers.add_flat(points_of(region, layers))
            continue
        if region.kind not in AREAS:
            raise Refusal(f"{task.path}: {what} is of a kind that is not read: draw it as a brush "
                          "stroke or a polygon")  # fmt: skip
        rle, count = outline(region, layers), len(region.labels)
        if count == 1:
            layers.add(classes.index(region.labels[0]), rle, region.kind == "rectangle")
        else:
            layers.skip(f"{what} has {count or 'no'} labels; needed: one. Its pixels are void", rle)
    return layers.drawn(by_area=True)


def outline(region: Region, layers: Layers) -> dict | None:
    """The RLE of a shape, whose coordinates are per cent of the image's width and height."""
    value, (height, width) = region.value, layers.shape
    if region.kind == "brush":
        return layers.pasted(decode(value.get("rle"), layers.shape, layers.source), 0, 0)
    if region.kind == "polygon":
        return layers.polygon(in_pixels(value.get("points"), layers))
    (turn,) = layers.finite(value.get("rotation", 0))
    keys = ("x", "y", "width", "height", "radiusX", "radiusY")
    x, y, *sides = layers.finite(*(value[key] for key in keys if key in value), *[0, 0, 0, 0])[:4]
    x, across = x * width / 100, sides[0] * width / 100
    y, down = y * height / 100, sides[1] * height / 100
    if region.kind == "ellipse":
        return layers.ellipse(x, y, across, down, turn)
    return layers.rectangle(x, y, x + across, y + down, turn, about=(0, 0))


def points_of(region: Region, layers: Layers) -> np.ndarray:
    """(N, 2) x, y in pixels of a key point or a line."""
    points = region.value.get("vertices", region.value.get("points", [region.value]))
    if isinstance(points, list):
        points = [[p.get("x"), p.get("y")] if isinstance(p, dict) else p for p in points]
    return in_pixels(points, layers)


def in_pixels(points, layers: Layers) -> np.ndarray:
    """(N, 2) x, y in pixels of [[x, y], ...] in per cent. Raises Refusal."""
    if not isinstance(points, list) or not all(isinstance(point, list) for point in points):
        raise Refusal(f"{layers.source}: a shape has no list of points")
    pairs = [layers.finite(*point) for point in points]
    if any(len(pair) != 2 for pair in pairs):
        raise Refusal(f"{layers.source}: a shape does not consist of pairs of numbers")
    height, width = layers.shape
    return np.array(pairs).reshape(-1, 2) * (width / 100, height / 100)
