"""Small valid sources of every format, each with four images of 20x24 pixels, and their reading."""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.__main__ import import_options
from data.formats import Drawn, module_of
from data.formats.imports import SplitOptions, write_dataset
from data.formats.selection import select
from files import new_folder

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
SIZE = (20, 24)  # H, W
STEMS = ("a1", "b2", "c3", "d4")


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def ids(seed: int, *values: int) -> np.ndarray:
    """(H, W) uint8: the first value, with one block of each other value in the lower half."""
    mask = np.full(SIZE, values[0], np.uint8)
    for index, value in enumerate(values[1:]):
        mask[10:, 6 * index + seed : 6 * index + 6 + seed] = value
    return mask


def grey(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


# VOC's colours of the ids 0 to 8, from its development kit; the others are not used here.
VOC_COLOURS = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128,
               128, 128, 128, 64, 0, 0] + [0] * 3 * 246 + [224, 224, 192]  # fmt: skip


def palette(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask, "P")
    image.putpalette(VOC_COLOURS)
    image.save(path)


def colours(path: Path, mask: np.ndarray, table: dict[int, tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([[table[v] for v in row] for row in mask], np.uint8)).save(path)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def folder(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.png", seed)
        grey(at / f"masks/{stem}.png", ids(seed, 0, 1, 2))
    text(at / "classes.txt", "ground", "cat", "dog")
    return at


def voc(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"JPEGImages/{stem}.jpg", seed)
        palette(at / f"SegmentationClass/{stem}.png", ids(seed, 0, 8, 255))
    text(at / "ImageSets/Segmentation/train.txt", *STEMS[:3])
    text(at / "ImageSets/Segmentation/val.txt", *STEMS[3:])
    return at


def coco(at: Path) -> Path:
    images, annotations = [], []
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.jpg", seed)
        images.append({"id": seed, "file_name": f"{stem}.jpg", "height": 20, "width": 24})
        box = [1 + seed, 2, 9 + seed, 2, 9 + seed, 12, 1 + seed, 12]
        annotations.append(
            {"id": seed, "image_id": seed, "category_id": 3, "iscrowd": 0, "area": 80.0,
             "bbox": [1 + seed, 2, 8, 10], "segmentation": [box]}
        )  # fmt: skip
    counts = [200, 40, 240]
    annotations.append(
        {"id": 9, "image_id": 0, "category_id": 7, "iscrowd": 1, "area": 40, "bbox": [0, 0, 24, 20],
         "segmentation": {"size": list(SIZE), "counts": counts}}
    )  # fmt: skip
    categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    text(at / "annotations/instances_train.json", json.dumps(tree))
    return at


def coco_panoptic(at: Path) -> Path:
    images, annotations = [], []
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.jpg", seed)
        images.append({"id": seed, "file_name": f"{stem}.jpg", "height": 20, "width": 24})
        table = {0: (0, 0, 0), 1: (1, 1, 0), 2: (2, 0, 1)}
        colours(at / f"annotations/panoptic_train/{stem}.png", ids(seed, 0, 1, 2), table)
        segments = [{"id": 1 + 256, "category_id": 3, "iscrowd": 0, "area": 60},
                    {"id": 2 + 65536, "category_id": 7, "iscrowd": 0, "area": 60}]  # fmt: skip
        annotations.append(
            {"image_id": seed, "file_name": f"{stem}.png", "segments_info": segments}
        )
    categories = [{"id": 3, "name": "cat", "isthing": 1}, {"id": 7, "name": "sky", "isthing": 0}]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    text(at / "annotations/panoptic_train.json", json.dumps(tree))
    return at


def labelme(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.jpg", seed)
        corners = [[2 + seed, 3], [12, 3], [12, 15], [2, 15]]
        shapes = [
            {"label": "cat", "points": corners, "shape_type": "polygon", "flags": {}},
            {"label": "dog", "points": [[14, 4], [20, 9]], "shape_type": "rectangle"},
            {"label": "dog", "points": [[5, 5], [7, 7]], "shape_type": "circle"},
        ]
        raw = base64.b64encode((at / f"{stem}.jpg").read_bytes()).decode()
        tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.jpg",
                "imageData": raw if seed % 2 else None,
                "imageHeight": 20, "imageWidth": 24}  # fmt: skip
        text(at / f"{stem}.json", json.dumps(tree))
    return at


def cityscapes(at: Path) -> Path:
    for seed in range(len(STEMS)):
        split = "val" if seed == 3 else "train"
        name = f"aachen_{seed:06}_000019"
        photo(at / f"leftImg8bit/{split}/aachen/{name}_leftImg8bit.png", seed)
        mask = at / f"gtFine/{split}/aachen/{name}_gtFine_labelIds.png"
        grey(mask, ids(seed, 7, 11, 26))
    return at


def camvid(at: Path) -> Path:
    table = {0: (64, 128, 64), 1: (192, 0, 128), 2: (0, 0, 0)}
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.png", seed)
        colours(at / f"{stem}_L.png", ids(seed, 0, 1, 2), table)
    text(at / "label_colors.txt", "64 128 64\tAnimal", "192 0 128\tArchway", "0 0 0\tVoid")
    return at


def ade20k(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        split = "validation" if seed == 3 else "training"
        photo(at / f"images/{split}/{stem}.jpg", seed)
        grey(at / f"annotations/{split}/{stem}.png", ids(seed, 0, 1, 150))
    return at


def cvat(at: Path) -> Path:
    table = {0: (0, 0, 0), 1: (250, 50, 83), 2: (51, 221, 255)}
    for seed, stem in enumerate(STEMS):
        photo(at / f"JPEGImages/{stem}.jpg", seed)
        colours(at / f"SegmentationClass/{stem}.png", ids(seed, 0, 1, 2), table)
    text(at / "ImageSets/Segmentation/default.txt", *STEMS)
    lines = ("background:0,0,0::", "cat:250,50,83::", "dog:51,221,255::")
    text(at / "labelmap.txt", "# label:color_rgb:parts:actions", *lines)
    return at


def cvat_zip(at: Path) -> Path:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for path in sorted(cvat(at / "in").rglob("*.*")):
            archive.write(path, path.relative_to(at / "in").as_posix())
            path.unlink()
    (at / "export.zip").write_bytes(raw.getvalue())
    return at / "export.zip"


def yolo_seg(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        split = "val" if seed == 3 else "train"
        photo(at / f"images/{split}/{stem}.jpg", seed)
        line = f"{seed % 2} 0.1 0.1 0.6 0.1 0.6 0.{5 + seed} 0.1 0.5"
        text(at / f"labels/{split}/{stem}.txt", line, "1 0.7 0.7 0.9 0.7 0.9 0.9")
    lines = ("path: .", "train: images/train", "val: images/val", "names: [cat, dog]")
    text(at / "data.yaml", *lines)
    return at


def matte(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.jpg", seed)
        grey(at / f"masks/{stem}.png", ids(seed, 0, 255, 128))
    return at


SOURCES = {
    "folder": folder, "voc": voc, "coco": coco, "coco-panoptic": coco_panoptic,
    "labelme": labelme, "cityscapes": cityscapes, "camvid": camvid, "ade20k": ade20k,
    "cvat": cvat, "cvat zip": cvat_zip, "yolo-seg": yolo_seg, "matte": matte,
}  # fmt: skip


def read_source(name: str, source, *options):
    """The Found of a format's import with these options."""
    args = import_options(name).parse_args([str(source), "out", *options])
    args.scratch = Path(tempfile.mkdtemp())
    return module_of(name).read(source, args)


def written(found, out: Path):
    """Writes a Found with all its classes as the dataset folder `out`; returns the account."""
    with new_folder(out) as part:
        return write_dataset(found, part, select(found.classes), SplitOptions())


def mask_of(item) -> np.ndarray:
    """The mask (H, W) of an item, whether or not it counts objects."""
    made = item.mask()
    return made.mask if isinstance(made, Drawn) else made


def named(found) -> dict:
    """Stem to (split, mask of class names, with "-" for void)."""
    names = np.array([*found.classes, "-"])
    return {item.stem: (item.split, names[mask_of(item)].tolist()) for item in found.items}


def real_data(name: str) -> Path:
    """A file or folder of real data; the test is skipped if it is missing."""
    if not (SHARED / name).exists():
        pytest.skip(f"shared/data/{name} is missing")
    return SHARED / name


def save(path: Path, values, mode: str | None = None) -> None:
    """Saves pixel values, (H, W) or (H, W, C), as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).convert(mode).save(path)


def write_pair(source, name, values, image=None):
    """Writes an image and a mask of one value, of a row of values or of an array."""
    mask = np.uint8(np.broadcast_to(values, (6, 8)) if np.ndim(values) < 2 else values)
    for folder in ("images", "masks"):
        (source / folder / name).parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*mask.shape, 3), 100, np.uint8) if image is None else image
    Image.fromarray(image).save(source / "images" / f"{name}.png")
    Image.fromarray(mask).save(source / "masks" / f"{name}.png")


def splits_of(folder):
    """From stem to split, of the images in a dataset folder."""
    return {path.stem: path.parts[-3] for path in folder.glob("*/images/*")}


def run_import(*args, cwd=ROOT):
    """python -m data import with these arguments, as a finished process."""
    command_line = [sys.executable, "-m", "data", "import", *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command_line, cwd=cwd, capture_output=True, text=True, env=environment)
