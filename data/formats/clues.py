"""Which format a folder is of, from the names of its files and the beginning of a few of them."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cli import Refusal
from data.formats.camvid import CODES, MASKS, TABLES
from data.formats.find import BESIDE, some
from data.formats.mask_clues import Clue, of_masks
from data.formats.masks import ENDINGS, files_below
from data.formats.polygons import read_tree
from data.formats.separate_masks import in_masks
from data.formats.yolo_labels import LABEL_LINE
from files import decoded

MOST_FILES = 1_000_000  # that are looked at
MOST_READ = 12  # JSON or text files of a folder that are opened
MOST_PARSED = 64 << 20  # bytes of a JSON file that is parsed; of larger ones the beginning is read
BEGINNING = 1 << 20  # bytes
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
TELLING = re.compile("instances|panoptic|annotations|via|project|meta", re.IGNORECASE)


class Seen:
    """The files of a source: a folder, or a single file."""

    def __init__(self, source: Path):
        self.root = source if source.is_dir() else source.parent
        paths = islice(files_below(source), MOST_FILES) if source.is_dir() else [source]
        self.files = [path.relative_to(self.root) for path in paths]
        self.names = {path.name for path in self.files}
        self.folders = Counter(part for path in self.files for part in set(path.parts[:-1]))
        self.endings = Counter(path.suffix.lower() for path in self.files)
        endings = {*ENDINGS} - {*BESIDE}
        self.images = [path for path in self.files if path.suffix.lower() in endings]
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
    return list(found.values()) or list(of_masks(seen.images, seen.root))


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
    if (tables := seen.names & {*TABLES, CODES}) and any(map(is_camvid, seen.images)):
        yield Clue("camvid", f"{min(tables)} with the colours or names of the classes")
    elif any(path.stem.endswith("_L") and path.stem[:-2] in stems for path in seen.images):
        yield Clue("camvid", "NAME and NAME_L.png")
    elif any(re.fullmatch("(train|val|test)annot", name) for name in seen.folders):
        yield Clue("camvid", "trainannot/ and the like")
    if "_classes.csv" in seen.names and any(p.stem.endswith("_mask") for p in seen.images):
        yield Clue("roboflow-masks", "_classes.csv and NAME_mask.png")
    tables = [path for path in seen.of(".csv", ".jsonl") if path.stem == "metadata"]
    if named := [path for path in tables if "file_name" in seen.beginning(path)]:
        yield Clue("huggingface", f"{named[0]} with file_name")
    elif ".parquet" in seen.endings:
        yield Clue("huggingface", "parquet files")


def is_camvid(path: Path) -> bool:
    """Whether a file is a mask by its name or folder, as CamVid's are."""
    return path.stem.endswith(("_L", "_P")) or any(
        re.fullmatch(MASKS, part, re.IGNORECASE) for part in path.parts[:-1]
    )


def of_texts(seen: Seen) -> Iterator[Clue]:
    """YOLO's labels and settings, and CVAT's XML."""
    settings = [path for path in seen.of(".yaml", ".yml") if len(path.parts) < 4]
    texts = [(path, seen.beginning(path)) for path in settings]
    named = [(path, text) for path, text in texts if re.search(r"(?m)^names\s*:", text)]
    for path, text in named:
        if re.search(r"(?m)^masks_dir\s*:", text):
            yield Clue("yolo-semantic", f"{path} with names and masks_dir")
    read = [(path, seen.beginning(path)) for path in seen.of(".txt")]
    labels = [path for path, text in read if is_yolo(text) and has_outlines(text)]
    lists = sorted(seen.names & {"classes.txt", "obj.names"})
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


def has_outlines(text: str) -> bool:
    """Whether a line of a label file of YOLO has more than a box."""
    return any(len(line.split()) > 5 for line in text.split("\n"))


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


def left_over(seen: Seen, source: Path) -> str:
    """What a source of no known format holds, and the way out, in sentences."""
    endings = ", ".join(f"{n} {ending or 'no ending'}" for ending, n in seen.endings.most_common(8))
    folders = ", ".join(f"{name}/" for name, _ in seen.folders.most_common(8)) or "none"
    typed = shlex.join(["python", "-m", "data", "import", "folder", str(source), "DIR"])
    if packed := [path for path in seen.files if path.suffix.lower() in PACKED]:
        way = f"Unpack {some(packed)}, or if one holds images and labels, name it in place of "
        way += f"{source}"
    elif seen.damaged:
        way = seen.damaged[0]
    elif boxes := next(of_boxes(seen), ""):
        way = boxes
    elif not seen.images:
        way = "It has no images"
    elif all(map(in_masks, seen.images)):
        way = "It has masks but no images: add them, in a folder called images"
    else:
        way = f"If some of its images are masks, type {typed} --images 'PATTERN' --masks 'PATTERN'"
    return (
        f"files {endings or 'none'}; folders {folders}. {way}. python -m data import --help names "
        "all formats"
    )


def of_boxes(seen: Seen) -> Iterator[str]:
    """What label files lack that seem to be of a known format, in a sentence."""
    outlines = "has no outlines, which segmentation needs: export polygons or masks"
    for path in seen.of(".txt"):
        if is_yolo(text := seen.beginning(path)):
            named = "has YOLO's polygons, but nothing names the classes: add classes.txt"
            yield f"{path} {named if has_outlines(text) else outlines}"
    for path in seen.of(".xml"):
        text = seen.beginning(path)
        if "<annotation>" in text and "<bndbox>" in text and "<polygon>" not in text:
            yield f"{path} {outlines}"
    for path in seen.of(".json"):
        tree = parsed(seen, path)
        if isinstance(tree, dict) and isinstance(tree.get("images"), list):
            yield f"{path} {outlines}"
