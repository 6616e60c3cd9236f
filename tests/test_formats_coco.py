"""COCO instances and panoptic, compared with pycocotools."""

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from mutations import PNG, chunk, chunks
from PIL import Image
from sources import SOURCES, mask_of, photo, read_source, real_data, text

from cli import Refusal
from data.formats.polygons import decode_counts, to_rle

HERE = Path("a.json")


@pytest.mark.parametrize("name", ["coco_tiny", "coco_nuts"])
def test_coco_masks_equal_those_of_pycocotools(name):
    """Every pixel has the class of the smallest annotation that covers it, by annToMask."""
    from pycocotools.coco import COCO

    source = real_data(name)
    found = read_source("coco", source)
    masks = {item.image.name: mask_of(item) for item in found.items}
    seen = 0
    for path in sorted(source.rglob("*.json")):
        truth = COCO(str(path))
        names = {c["id"]: c["name"] for c in truth.loadCats(truth.getCatIds())}
        for image in truth.loadImgs(truth.getImgIds()):
            wanted = np.zeros((image["height"], image["width"]), int)
            masks_ = [(truth.annToMask(a), a) for a in truth.imgToAnns[image["id"]]]
            for area, entry in sorted(
                masks_, key=lambda d: (not d[1]["iscrowd"], -int(d[0].sum()))
            ):
                id_ = -1 if entry["iscrowd"] else found.classes.index(names[entry["category_id"]])
                wanted[area > 0] = id_
            assert np.array_equal(masks[Path(image["file_name"]).name], wanted)
            seen += 1
    assert seen == len(found.items) > 10
    assert found.broken == [] and found.classes[0] == "background"


def test_coco_splits_by_file_name():
    found = read_source("coco", real_data("coco_tiny"))
    assert sorted(item.split for item in found.items) == ["train"] * 22 + ["val"] * 14


def test_coco_polygon_and_crowd(tmp_path):
    """A polygon above the RLE of a crowd, and category ids with gaps."""
    found = read_source("coco", SOURCES["coco"](tmp_path), "--crowds", "void")
    assert found.classes == ["background", "cat", "dog"]
    mask = mask_of(found.items[0])
    wanted = np.zeros((20, 24), int)
    # Column by column, 200 pixels are skipped and 40 are of the crowd: columns 10 and 11.
    wanted[:, 10:12] = -1
    wanted[2:12, 1:9] = 1
    assert np.array_equal(mask, wanted)


def test_compressed_rle_equals_that_of_pycocotools():
    from pycocotools import mask

    rng = np.random.default_rng(0)
    for _ in range(50):
        area = np.asfortranarray(rng.random((37, 23)) < rng.random() ** 2, np.uint8)
        text_ = mask.encode(area)["counts"].decode()
        back = to_rle({"size": [37, 23], "counts": text_}, (37, 23), HERE)
        assert np.array_equal(mask.decode(back), area)
    assert decode_counts("0", HERE) == [0]


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([400, 81], "an RLE has 481 pixels, the image 480"),
        ([500, -20], "not a list of numbers"),
        (["480"], "not a list of numbers"),
        ("oooooooooooo", "damaged"),
        ("5", "an RLE has 5 pixels"),
        (None, "not a list of numbers"),
    ],
)
def test_rle_beyond_the_image(counts, why):
    with pytest.raises(Refusal, match=why):
        to_rle({"size": [20, 24], "counts": counts}, (20, 24), HERE)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"file_name": "."}, "is not a file name"),
        (
            {"file_name": "../../../../../etc/passwd"},
            "the image ../../../../../etc/passwd is missing",
        ),
        ({"file_name": "/etc/passwd"}, "the image /etc/passwd is missing"),
        ({"file_name": "none.jpg"}, "the image none.jpg is missing"),
    ],
)
def test_coco_invalid_file_names(tmp_path, change, why):
    source = SOURCES["coco"](tmp_path / "in")
    path = source / "annotations/instances_train.json"
    tree = json.loads(path.read_text())
    tree["images"][0] |= change
    path.write_text(json.dumps(tree))
    found = read_source("coco", source)
    assert len(found.items) == 3
    (line,) = found.broken
    assert why in line and "instances_train.json" in line


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"height": 10**9}, "too large"),
        ({"width": "24"}, "is not an image size"),
        ({"height": 10_000, "width": 10_000}, "10000x10000 (HxW), but a1.jpg is 20x24"),
    ],
)
def test_coco_wrong_image_sizes(tmp_path, change, why):
    source = changed(tmp_path, lambda tree: tree["images"][0].update(change))
    with pytest.raises(Refusal, match=re.escape(why)):
        mask_of(read_source("coco", source).items[0])


def changed(folder, change, name="coco"):
    """A valid source whose JSON file was modified by `change`."""
    source = SOURCES[name](folder / "in")
    (path,) = source.rglob("*.json")
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return source


def test_coco_annotations_that_would_be_lost(tmp_path):
    """An image without one of its annotations would be imported with a wrong mask in silence."""
    source = changed(tmp_path, lambda tree: tree["annotations"][1].pop("image_id"))
    (line,) = read_source("coco", source).broken
    assert line.endswith("instances_train.json: annotations of unknown images: 1, image_id None")
    shutil.rmtree(source)
    source = changed(tmp_path, lambda tree: tree["annotations"].insert(2, None))
    with pytest.raises(Refusal, match=r"is damaged: entry 2 of 'annotations' is no object"):
        read_source("coco", source)


@pytest.mark.parametrize(
    ("segmentation", "why"),
    [
        # 400,000 edges across the image: pycocotools allocates 80 bytes per pixel of the outline.
        ([[0, 0, 300, 300] * 100_000], "has a perimeter of"),
        ([[0, 0, 1e9, 0, 0, 1]], "extends far beyond the image"),
        ([[0, 0, 1, 0, 0]], "pairs of numbers"),
        ([[[0, 0, 1], [0, 1, 2]]], "pairs of numbers"),
        ([{}], "pairs of numbers"),
        ("x", "neither polygons nor RLE"),
    ],
)
def test_coco_invalid_segmentations(tmp_path, segmentation, why):
    def change(tree):
        tree["annotations"][1]["segmentation"] = segmentation

    with pytest.raises(Refusal, match=why):
        mask_of(read_source("coco", changed(tmp_path, change)).items[1])


@pytest.mark.parametrize("value", [3, None, {"x": 1}, "x"])
def test_coco_annotations_that_are_no_list(tmp_path, value):
    source = changed(tmp_path, lambda tree: tree.update(annotations=value))
    with pytest.raises(Refusal, match="has no list 'annotations'"):
        read_source("coco", source)


def test_coco_category_ids_are_local_to_a_file(tmp_path):
    source = SOURCES["coco"](tmp_path)
    path = source / "annotations/instances_train.json"
    tree = json.loads(path.read_text())
    tree["categories"] = [{"id": 3, "name": "bird"}, {"id": 7, "name": "dog"}]
    for entry in tree["images"]:
        entry["file_name"] = f"val_{entry['file_name']}"
        photo(source / "images" / entry["file_name"], entry["id"])
    path.with_name("instances_val.json").write_text(json.dumps(tree))
    found = read_source("coco", source)
    assert found.classes == ["background", "bird", "cat", "dog"]
    ids = {item.split: np.unique(mask_of(item)).tolist() for item in found.items[1::4]}
    assert ids == {"train": [0, 2], "val": [0, 1]}


def test_coco_images_with_one_name_in_several_folders(tmp_path):
    """The folder in the name, of the JSON file or of the split decides; otherwise it is refused."""
    category = [{"id": 1, "name": "cat"}]
    for index, folder in enumerate(("train", "val", "other")):
        photo(tmp_path / folder / "a.jpg", index)
    for path, name in {
        "train/_annotations.coco.json": "a.jpg",
        "here/val.json": "a.jpg",
        "here/x.json": "other/a.jpg",
        "here/ambiguous.json": "a.jpg",
    }.items():
        images = [{"id": 1, "file_name": name, "height": 20, "width": 24}]
        tree = {"images": images, "annotations": [], "categories": category}
        text(tmp_path / path, json.dumps(tree))
    found = read_source("coco", tmp_path)
    seen = {(item.image.parent.name, item.split) for item in found.items}
    assert seen == {("train", "train"), ("val", "val"), ("other", None)}
    (line,) = found.broken
    assert "ambiguous.json: a.jpg is ambiguous" in line


@pytest.mark.parametrize("name", ["coco", "coco-panoptic"])
def test_an_image_that_two_files_list(tmp_path, name):
    """It is in neither train nor val but reported with both files; the others are imported."""
    source = SOURCES[name](tmp_path / "in")
    (path,) = source.rglob("*_train.json")
    tree = json.loads(path.read_text())
    val = path.with_name(path.name.replace("train", "val"))
    # val gets the first image, which train keeps as well, and the last, which train loses.
    for file, kept in ((path, {0, 1, 2}), (val, {0, 3})):
        images = [image for image in tree["images"] if image["id"] in kept]
        annotations = [entry for entry in tree["annotations"] if entry["image_id"] in kept]
        file.write_text(json.dumps({**tree, "images": images, "annotations": annotations}))
    if name == "coco-panoptic":
        shutil.copytree(path.with_suffix(""), val.with_suffix(""))
    found = read_source(name, source)
    splits = {item.image.name: item.split for item in found.items}
    assert splits == {"b2.jpg": "train", "c3.jpg": "train", "d4.jpg": "val"}
    (line,) = found.broken
    first = source / "images/a1.jpg"
    assert line.startswith(f"{first} is listed 2 times, in {path} and {val}: list it only once")


def test_an_image_that_one_file_lists_twice(tmp_path):
    def change(tree):
        tree["images"].append({**tree["images"][0], "id": 7})

    found = read_source("coco", changed(tmp_path, change))
    assert [item.image.name for item in found.items] == ["b2.jpg", "c3.jpg", "d4.jpg"]
    assert re.search(r"a1.jpg is listed 2 times, in \S+_train.json: list it", found.broken[0])


def test_coco_annotations_of_no_listed_image(tmp_path):
    def change(tree):
        for image in tree["images"]:
            image["id"] = f"x{image['id']}"

    found = read_source("coco", changed(tmp_path, change))
    assert not found.items and "no annotation belongs to a listed image" in found.broken[0]


def test_panoptic_png_much_larger_than_its_image(tmp_path):
    """A header with 80 million pixels is refused before anything is decoded."""
    source = SOURCES["coco-panoptic"](tmp_path)
    png = source / "annotations/panoptic_train/d4.png"
    (kind, body), *others = chunks(png.read_bytes())
    parts = [(kind, body[:4] + (3342356).to_bytes(4) + body[8:]), *others]
    png.write_bytes(PNG + b"".join(chunk(*part) for part in parts))
    start = time.process_time()
    with pytest.raises(Refusal, match=r"d4.png states 3342356x24 \(HxW\), but d4.jpg is 20x24"):
        mask_of(read_source("coco-panoptic", source).items[3])
    assert time.process_time() - start < 1


def test_panoptic_masks():
    """Compared with Pillow: the segment id is R + 256 G + 65536 B."""
    source = real_data("coco_panoptic") / "sample_data"
    found = read_source("coco-panoptic", source / "panoptic_examples.json")
    tree = json.loads((source / "panoptic_examples.json").read_text())
    names = {c["id"]: c["name"] for c in tree["categories"]}
    assert len(found.items) == len(tree["annotations"]) == 2
    for item, entry in zip(found.items, tree["annotations"], strict=True):
        png = np.array(Image.open(source / "panoptic_examples" / entry["file_name"]), np.int64)
        ids = png[..., 0] + 256 * png[..., 1] + 65536 * png[..., 2]
        wanted = np.full(ids.shape, -1)
        for segment in entry["segments_info"]:
            if not segment["iscrowd"]:
                wanted[ids == segment["id"]] = found.classes.index(names[segment["category_id"]])
        assert np.array_equal(mask_of(item), wanted)
