"""Small valid sources of the formats of annotation tools, each with four images of 20x24 pixels."""

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from sources import SIZE, STEMS, grey, ids, photo, text


def separate_masks(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.jpg", seed)
        for value, name in enumerate(("cat", "dog"), 1):
            grey(at / f"masks/{stem}_{name}.png", np.uint8(ids(seed, 0, 1, 2) == value) * 255)
    return at


def folders_of_objects(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}/images/{stem}.png", seed)
        for value in (1, 2):
            mask = np.uint8(ids(seed, 0, 1, 2) == value) * 255
            grey(at / f"{stem}/masks/{stem}{value}.png", mask)
    return at


def cvat_xml(at: Path) -> Path:
    names = "".join(f"<label><name>{name}</name></label>" for name in ("cat", "dog"))
    lines = [f"<annotations><meta><task><labels>{names}</labels></task></meta>"]
    for seed, stem in enumerate(STEMS):
        photo(at / f"images/{stem}.jpg", seed)
        lines += [
            f'<image id="{seed}" name="{stem}.jpg" width="24" height="20">',
            f'<polygon label="cat" points="{2 + seed},3;12,3;12,15;2,15" z_order="0"/>',
            '<box label="dog" xtl="14" ytl="4" xbr="20" ybr="9" z_order="1"/>',
            '<ellipse label="dog" cx="8" cy="9" rx="3" ry="2" z_order="2"/>',
            '<mask label="cat" rle="2, 5, 2" left="20" top="10" width="3" height="3"/></image>',
        ]
    text(at / "annotations.xml", *lines, "</annotations>")
    return at


def via(at: Path) -> Path:
    tree = {}
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.jpg", seed)
        shapes = (
            ("cat", {"name": "polygon", "all_points_x": [2 + seed, 12, 12, 2],
                     "all_points_y": [3, 3, 15, 15]}),
            ("dog", {"name": "rect", "x": 14, "y": 4, "width": 6, "height": 5}),
            ("dog", {"name": "circle", "cx": 7, "cy": 8, "r": 3}),
        )  # fmt: skip
        regions = [{"shape_attributes": shape, "region_attributes": {"class": name}}
                   for name, shape in shapes]  # fmt: skip
        tree[f"{stem}.jpg123"] = {"filename": f"{stem}.jpg", "size": 123, "regions": regions,
                                  "file_attributes": {}}  # fmt: skip
    text(at / "via_region_data.json", json.dumps(tree))
    return at


def packed_brush(mask: np.ndarray) -> list[int]:
    """thi.ng/rle-pack of an RGBA image with this opacity: one run of repeated bytes for each."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[..., 3] = mask
    flat = rgba.ravel().tolist()
    bits = f"{len(flat):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    at = 0
    while at < len(flat):
        end = next((i for i in range(at, len(flat)) if flat[i] != flat[at]), len(flat))
        bits += f"1{3:02b}{end - at - 1:016b}{flat[at]:08b}"
        at = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def result(kind: str, name: str, **value) -> dict:
    return {"type": f"{kind}labels", "original_width": 24, "original_height": 20,
            "image_rotation": 0, "from_name": "tag", "to_name": "image",
            "value": value | {f"{kind}labels": [name]}}  # fmt: skip


def label_studio(at: Path) -> Path:
    tasks = []
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.jpg", seed)
        rle = packed_brush(np.uint8(ids(seed, 0, 0, 255)))
        results = [
            result("polygon", "cat", points=[[10 + seed, 15], [50, 15], [50, 75], [10, 75]]),
            result("rectangle", "dog", x=60, y=20, width=25, height=25, rotation=0),
            result("ellipse", "dog", x=30, y=40, radiusX=12.5, radiusY=10, rotation=0),
            result("brush", "cat", format="rle", rle=rle),
        ]
        annotations = [{"id": seed, "was_cancelled": False, "result": results}]
        name = f"/data/upload/1/0a1b2c3{seed}-{stem}.jpg"
        tasks.append({"id": seed, "annotations": annotations, "data": {"image": name}})
    text(at / "project-1-at-2024.json", json.dumps(tasks))
    return at


def packed_bitmap(mask: np.ndarray) -> str:
    """A bitmap as Supervisely stores it: a palette PNG, 0 transparent, deflated, in base64."""
    image, raw = Image.fromarray(np.uint8(mask), "P"), io.BytesIO()
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(raw, "PNG", transparency=0)
    return base64.b64encode(zlib.compress(raw.getvalue())).decode()


def supervisely(at: Path) -> Path:
    classes = [{"title": title, "shape": "any", "color": "#FF0000"} for title in ("cat", "dog")]
    text(at / "meta.json", json.dumps({"classes": classes, "tags": []}))
    for seed, stem in enumerate(STEMS):
        photo(at / f"set/img/{stem}.jpg", seed)
        corners = [[2 + seed, 3], [12, 3], [12, 15], [2, 15]]
        hole = [[6, 6], [8, 6], [8, 8], [6, 8]]
        bitmap = {"data": packed_bitmap(np.eye(4)), "origin": [15, 10]}
        objects = [
            {"classTitle": "cat", "geometryType": "polygon",
             "points": {"exterior": corners, "interior": [hole]}},
            {"classTitle": "dog", "geometryType": "rectangle",
             "points": {"exterior": [[14, 4], [20, 8]], "interior": []}},
            {"classTitle": "dog", "geometryType": "bitmap", "bitmap": bitmap},
        ]  # fmt: skip
        tree = {"description": "", "size": {"height": 20, "width": 24}, "objects": objects}
        text(at / f"set/ann/{stem}.jpg.json", json.dumps(tree))
    return at


def yolo_semantic(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        split = "val" if seed == 3 else "train"
        photo(at / f"images/{split}/{stem}.jpg", seed)
        grey(at / f"masks/{split}/{stem}.png", ids(seed, 0, 1, 255))
    text(at / "data.yaml", "train: images/train", "val: images/val", "masks_dir: masks",
         "names:", "  0: road", "  1: car")  # fmt: skip
    return at


def roboflow_masks(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        split = "valid" if seed == 3 else "train"
        photo(at / f"{split}/{stem}.jpg", seed)
        grey(at / f"{split}/{stem}_mask.png", ids(seed, 0, 1, 2))
        lines = ("Pixel Value, Class", "0, background", "1, cat", "2, dog")
        text(at / f"{split}/_classes.csv", *lines)
    return at


def sam(at: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.jpg", seed)
        counts = [200 + seed, 40, 240 - seed]
        segments = [{"id": 1, "segmentation": {"size": list(SIZE), "counts": counts}, "area": 40}]
        about = {"image_id": seed, "width": 24, "height": 20, "file_name": f"{stem}.jpg"}
        text(at / f"{stem}.json", json.dumps({"image": about, "annotations": segments}))
    return at


def huggingface(at: Path) -> Path:
    rows = ["file_name,label_file_name"]
    for seed, stem in enumerate(STEMS):
        photo(at / f"{stem}.jpg", seed)
        grey(at / f"{stem}_label.png", ids(seed, 0, 1, 2))
        rows.append(f"{stem}.jpg,{stem}_label.png")
    text(at / "metadata.csv", *rows)
    text(at / "id2label.json", json.dumps({"0": "background", "1": "cat", "2": "dog"}))
    return at


TOOL_SOURCES = {
    "separate-masks": separate_masks, "separate-masks folders": folders_of_objects,
    "cvat-xml": cvat_xml, "via": via, "label-studio": label_studio, "supervisely": supervisely,
    "yolo-semantic": yolo_semantic, "roboflow-masks": roboflow_masks, "sam": sam,
    "huggingface": huggingface,
}  # fmt: skip
