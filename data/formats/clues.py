"""Which format a folder is of, from the names of its files and the beginning of a few of them."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.formats.find import NO_IMAGES
from data.formats.masks import ENDINGS, SPLIT_OF, files_below
from data.formats.polygons import read_tree
from data.formats.separate_masks import in_masks
from data.formats.values import read_values
from data.formats.yolo_labels import LABEL_LINE
from files import decoded

MOST_FILES = 1_000_000  # that are looked at
MOST_READ = 12  # JSON or text files of a folder that are opened
MOST_PARSED = 64 << 20  # bytes of a JSON file that is parsed; of larger ones the beginning is read
BEGINNING = 1 << 20  # bytes
TELLING = re.compile("instances|panoptic|annotations|via|project|meta", re.IGNORECASE)


class Clue(NamedTuple):
    """A format that a source may be of, and why, for a sentence. options: that it needs."""

    format: str
    reason: str
    options: tuple[str, ...] = ()


class Seen:
    """The files of a source: a folder, or a single file."""

    def __init__(self, source: Path):
        self.root = source if source.is_dir() else source.parent
        paths = islice(files_below(source), MOST_FILES) if source.is_dir() else [source]
        self.files = [path.relative_to(self.root) for path in paths]
        self.names = {path.name for path in self.files}
        self.folders = Counter(part for path in self.files for part in set(path.parts[:-1]))
        self.endings = Counter(path.suffix.lower() for path in self.files)
        self.images = [path for path in self.files if path.suffix.lower() in ENDINGS]
        self.damaged = []  # a message for each JSON file that cannot be read

    def of(self, *endings: str) -> list[Path]:
        """Some files with these endings: one a folder first, those with telling names before."""
        found = [path for path in self.files if path.suffix.lower() in endings]
        found.sort(key=lambda path: (not TELLING.search(path.name), path))
        first = {}
        for path in found:
            first.setdefault(path.parent, path)
        rest = [path for path in found if first[path.parent] != path]
        return [*first.values(), *rest][:MOST_READ]

    def beginning(self, path: Path) -> str:
        """The first megabyte of a file, or "" if it cannot be read."""
        try:
            with open(self.root / path, "rb") as file:
                return decoded(file.read(BEGINNING), "replace")
        except OSError:
            return ""


def clues(seen: Seen) -> list[Clue]:
    """The formats that fit. Folders of masks count only if no format of its own layout fits."""
    found = {}
    for clue in (*of_names(seen), *of_texts(seen), *of_json(seen)):
        found.setdefault(clue.format, clue)
    if "yolo-semantic" in found:
        found.pop("yolo-seg", None)
    return list(found.values()) or list(of_masks(seen))


def of_names(seen: Seen) -> Iterator[Clue]:
    """Layouts with names of their own."""
    if "SegmentationClass" in seen.folders and seen.folders.keys() & {"JPEGImages", "ImageSets"}:
        if "labelmap.txt" in seen.names:
            yield Clue("cvat", "JPEGImages, SegmentationClass and labelmap.txt")
        else:
            yield Clue("voc", "JPEGImages and SegmentationClass")
    if "leftImg8bit" in seen.folders:
        yield Clue("cityscapes", "leftImg8bit and gtFine or gtCoarse")
    if any(path.name.endswith("_seg.png") for path in seen.images):
        yield Clue("ade20k", "NAME_seg.png")
    elif {"images", "annotations"} <= seen.folders.keys() and any(
        path.name.startswith("ADE_") or {"annotations", "training"} <= set(path.parts)
        for path in seen.images
    ):
        yield Clue("ade20k", "images/ and annotations/ with the names of ADE20K")
    stems = {path.stem for path in seen.images}
    if tables := seen.names & {"label_colors.txt", "class_dict.csv", "codes.txt"}:
        yield Clue("camvid", f"{min(tables)} with the colours or names of the classes")
    elif any(path.stem.endswith("_L") and path.stem[:-2] in stems for path in seen.images):
        yield Clue("camvid", "NAME and NAME_L.png")
    elif any(re.fullmatch("(train|val|test)annot", name) for name in seen.folders):
        yield Clue("camvid", "trainannot/ and the like")
    if "_classes.csv" in seen.names and any(p.stem.endswith("_mask") for p in seen.images):
        yield Clue("roboflow-masks", "_classes.csv and NAME_mask.png")
    if tables := seen.names & {"metadata.csv", "metadata.jsonl"}:
        yield Clue("huggingface", f"{min(tables)}")
    elif ".parquet" in seen.endings:
        yield Clue("huggingface", "parquet files")


def of_texts(seen: Seen) -> Iterator[Clue]:
    """YOLO's labels and settings, and CVAT's XML."""
    settings = [path for path in seen.of(".yaml", ".yml") if len(path.parts) < 4]
    texts = [(path, seen.beginning(path)) for path in settings]
    named = [(path, text) for path, text in texts if re.search(r"(?m)^names\s*:", text)]
    for path, text in named:
        if re.search(r"(?m)^masks_dir\s*:", text):
            yield Clue("yolo-semantic", f"{path} with names and masks_dir")
    labels = [path for path in seen.of(".txt") if is_yolo(seen.beginning(path))]
    lists = [name for name in ("classes.txt", "obj.names") if name in seen.names]
    if labels and (named or lists):
        table = f"{named[0][0]} with names" if named else lists[0]
        yield Clue("yolo-seg", f"{table}, and {labels[0]} with a class and numbers in a line")
    for path in seen.of(".xml"):
        text = seen.beginning(path)
        if "<annotations>" in text and re.search("<(image|track) ", text):
            yield Clue("cvat-xml", f"{path} with <annotations>")
            return


def is_yolo(text: str) -> bool:
    """Whether the first line that is not blank is a class id and at least four numbers."""
    return bool(re.fullmatch(LABEL_LINE, text.lstrip().split("\n", 1)[0]))


def of_json(seen: Seen) -> Iterator[Clue]:
    titled = any(path.parts[-2:-1] == ("ann",) for path in seen.of(".json"))
    for path in seen.of(".json"):
        tree = parsed(seen, path)
        if path.name == "meta.json" and isinstance(tree, dict) and "classes" in tree and titled:
            yield Clue("supervisely", f"{path} with classes, and ann/*.json")
        elif kind := kind_of(tree):
            yield Clue(kind[0], f"{path} with {kind[1]}")


def parsed(seen: Seen, path: Path):
    """The content of a JSON file, or None. Of a large one, the keys that its beginning shows."""
    try:
        if (seen.root / path).stat().st_size <= MOST_PARSED:
            return read_tree(seen.root / path)
    except Refusal as refusal:
        seen.damaged.append(str(refusal))
        return None
    except OSError:
        return None
    text = seen.beginning(path)
    keys = dict.fromkeys(re.findall(r'"(images|annotations|categories|segments_info)"\s*:', text))
    if "segments_info" in keys:
        return {"annotations": [{"segments_info": []}]}
    return {"annotations": [{"segmentation": []}]} if keys else None


def kind_of(tree) -> tuple[str, str] | None:
    """The format of a JSON file and what shows it, or None."""
    if isinstance(tree, list):
        task = tree[0] if tree and isinstance(tree[0], dict) else {}
        if "data" in task and task.keys() & {"annotations", "completions", "predictions"}:
            return "label-studio", "tasks that have annotations and data"
        if {"annotation_id", "lead_time"} <= task.keys():
            return "label-studio", "tasks"
        return None
    if not isinstance(tree, dict):
        return None
    if "shapes" in tree and tree.keys() & {"imagePath", "imageData", "imageHeight"}:
        return "labelme", "shapes and imagePath"
    if "_via_img_metadata" in tree or has(tree.values(), "regions", "filename"):
        return "via", "regions of images"
    listed = tree.get("annotations")
    if {"items", "categories"} <= tree.keys():
        return "coco", "items, as Datumaro writes them"
    if not isinstance(listed, list):
        return None
    if isinstance(tree.get("image"), dict):
        return "sam", "an image and annotations"
    if has(listed, "segments_info"):
        return "coco-panoptic", "annotations that have segments_info"
    if has(listed, "segmentation"):
        return "coco", "annotations that have a segmentation"
    if has(listed, "bbox", "category_id"):
        return "coco", "annotations that have boxes"
    return None


def has(entries, *keys: str) -> bool:
    """Whether one of the first entries is an object with these keys."""
    some = list(islice(entries, 100))
    return any(isinstance(entry, dict) and all(key in entry for key in keys) for entry in some)


def of_masks(seen: Seen) -> Iterator[Clue]:
    """Folders of images and of masks: one mask an image, or several."""
    masks = [path for path in seen.images if in_masks(path)]
    images = [path for path in seen.images if not in_masks(path)]
    if not masks or not images:
        yield from of_twins(seen)
        return
    of_stem = [Counter(path.stem for path in paths) for paths in (images, masks)]
    several = any(of_stem[1][stem] > count for stem, count in of_stem[0].items())
    if several or len(masks) > len(images):
        what = f"{len(masks)} masks for {len(images)} images, in {masks[0].parent}/ and the like"
        yield Clue("separate-masks", what)
        return
    standard = {"images", "masks"} <= seen.folders.keys()
    options = () if standard else patterns(place_of(images[0]), place_of(masks[0]))
    what = f"{images[0].parent}/ and {masks[0].parent}/ with one mask an image"
    yield Clue("matte" if is_matte(seen.root / masks[0]) else "folder", what, options)


def of_twins(seen: Seen) -> Iterator[Clue]:
    """Images and PNGs of the same names, in other folders or in the same one."""
    places = {}
    for path in seen.images:
        places.setdefault((path.parent, path.suffix), set()).add(path.stem)
    likely = sorted(places.items(), key=lambda place: not NO_IMAGES.fullmatch(place[0][0].name))
    for (folder, ending), stems in places.items():
        for (other, png), twins in likely:
            apart = NO_IMAGES.fullmatch(other.name) and not NO_IMAGES.fullmatch(folder.name)
            other_kind = png.lower() == ".png" and (apart or ending.lower() != ".png")
            if other_kind and len(stems & twins) > len(stems) / 2:
                what = f"{other}/*{png} with the names of {folder}/*{ending}"
                pair = ("**", "**") if folder == other else (folder.as_posix(), other.as_posix())
                yield Clue("folder", what, patterns(*pair, f"*{ending}", f"*{png}"))
                return


def place_of(path: Path) -> str:
    """The innermost folder that is not that of a split, at any place, as a pattern."""
    named = [part for part in path.parts[:-1] if part.casefold() not in SPLIT_OF]
    return f"**/{named[-1]}/**" if named else path.parent.as_posix()


def patterns(images: str, masks: str, image: str = "*", mask: str = "*") -> tuple[str, ...]:
    return ("--images", f"{images}/{image}", "--masks", f"{masks}/{mask}")


def is_matte(mask: Path) -> bool:
    """Whether a mask is grey with so many values that it cannot be of classes."""
    try:
        values = np.unique(read_values(mask).stored)
    except (Refusal, OSError):
        return False
    return values.size > 64 and values.min() == 0 and values.max() == 255
