"""Exports of other tools in forms that are seldom: read right, or refused by their true cause."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from sources import SOURCES, folder, grey, ids, mask_of, photo, read_source, run_import, text, voc
from tool_sources import TOOL_SOURCES, huggingface, supervisely

from cli import Refusal

BLOCK = [[2, 2], [12, 2], [12, 12], [2, 12]]
FLAT = [n for corner in BLOCK for n in corner]


def block(value=1):
    mask = np.zeros((20, 24), int)
    mask[2:12, 2:12] = value
    return mask


def coco_of(at, segmentation, **more):
    photo(at / "a.jpg", 0)
    entry = {"image_id": 1, "category_id": 1, "segmentation": segmentation} | more
    tree = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [entry],
            "categories": [{"id": 1, "name": "cat"}]}  # fmt: skip
    text(at / "a.json", json.dumps(tree))
    return at


@pytest.mark.parametrize("segmentation", [BLOCK, [BLOCK], FLAT, [list(map(str, FLAT))]])
def test_coco_polygons_in_other_forms(tmp_path, segmentation):
    found = read_source("coco", coco_of(tmp_path, segmentation))
    assert np.array_equal(mask_of(found.items[0]), block())


def test_fractions_are_not_taken_for_pixels(tmp_path):
    """They would be a dot in the corner of every image."""
    shape = {"label": "cat", "points": [[0.1, 0.1], [0.5, 0.1], [0.5, 0.6]]}
    sources = {
        "coco": coco_of(tmp_path / "coco", [[0.1, 0.1, 0.5, 0.1, 0.5, 0.6]]),
        "via": tmp_path / "via",
        "cvat-xml": tmp_path / "cvat-xml",
    }
    region = {"name": "polygon", "all_points_x": [0.1, 0.5, 0.5], "all_points_y": [0.1, 0.1, 0.6]}
    entry = {"filename": "a.jpg", "regions": [{"shape_attributes": region,
                                               "region_attributes": {"t": "cat"}}]}  # fmt: skip
    text(sources["via"] / "v.json", json.dumps({"a": entry}))
    text(sources["cvat-xml"] / "a.xml", '<annotations><image name="a.jpg" width="24" height="20">'
         '<polygon label="cat" points=".1,.1;.5,.1;.5,.6"/></image></annotations>')  # fmt: skip
    for name, source in sources.items():
        photo(source / "a.jpg", 0)
        with pytest.raises(Refusal, match="all corners of a polygon are from 0 to 1; needed: pix"):
            read_source(name, source).items[0].mask()
    photo(tmp_path / "labelme/a.jpg", 0)
    text(tmp_path / "labelme/a.json", json.dumps({"shapes": [shape], "imagePath": "a.jpg"}))
    (told,) = read_source("labelme", tmp_path / "labelme").items[0].mask().objects.skipped
    assert "all corners of a polygon are from 0 to 1" in told


@pytest.mark.parametrize("head", ["", "data:image/jpeg;base64,"])
def test_labelme_image_data_in_other_forms(tmp_path, head):
    photo(tmp_path / "x/a.jpg", 0)
    raw = base64.encodebytes((tmp_path / "x/a.jpg").read_bytes()).decode()  # in lines
    shutil.rmtree(tmp_path / "x")
    shapes = [{"label": "cat", "points": [[2, 2], [11, 2], [11, 11], [2, 11]]}]
    tree = {"shapes": shapes, "imagePath": "..\\x\\a.jpg", "imageData": head + raw}
    text(tmp_path / "a.json", json.dumps(tree))
    found = read_source("labelme", tmp_path)
    assert np.array_equal(mask_of(found.items[0]), block())  # corners are pixels of it


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"info": {}, "categories": {"label": {}}, "items": [{"id": "a"}]},
         "a.json is of Datumaro: export COCO or CVAT's XML"),
        ([{"id": 1, "data": {"image": "a.jpg"}, "predictions": []}],
         "a.json has tasks with predictions but without annotations: accept them"),
        ([{"id": 1, "image": "a.jpg", "annotation_id": 1, "lead_time": 1.5}], "JSON-MIN lacks"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}],
          "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}]},
         r"none of 1 objects was drawn: 1 without an outline\. .*Classes need outlines"),
    ],
)  # fmt: skip
def test_auto_names_the_cause(tmp_path, tree, message):
    photo(tmp_path / "in/a.jpg", 0)
    text(tmp_path / "in/a.json", json.dumps(tree))
    end = run_import("auto", tmp_path / "in", tmp_path / "out")
    assert end.returncode == 2 and re.search(message, end.stderr), end.stderr


def test_an_address_with_a_query_is_no_local_file(tmp_path):
    source = TOOL_SOURCES["label-studio"](tmp_path)
    path = source / "project-1-at-2024.json"
    tasks = json.loads(path.read_text())
    tasks[0]["data"]["image"] = "https://x.y/z/a1.jpg?X-Amz=1&d=foo"
    text(path, json.dumps(tasks))
    found = read_source("label-studio", source)
    assert len(found.items) == 4 and not found.broken


def test_yolo_nc_must_fit_the_names(tmp_path):
    SOURCES["yolo-seg"](tmp_path)
    text(tmp_path / "data.yaml", "nc: 3", "names: [cat, dog]")
    with pytest.raises(Refusal, match="nc is 3, but names has 2: correct one of them"):
        read_source("yolo-seg", tmp_path)


def test_images_in_lists_of_two_splits_are_told(tmp_path):
    """They stay in the first; a list of all is none of a split."""
    lists = voc(tmp_path) / "ImageSets/Segmentation"
    text(lists / "trainval.txt", "a1", "d4")
    assert not read_source("voc", tmp_path).broken
    text(lists / "val.txt", "d4", "a1")
    found = read_source("voc", tmp_path)
    assert {item.stem: item.split for item in found.items}["a1"] == "train"
    (told,) = found.broken
    assert "lists of other splits that name the same images: a1. The first list" in told


@pytest.mark.parametrize("name", ["voc", "cvat"])
def test_an_export_without_images(tmp_path, name):
    SOURCES[name](tmp_path / "in")
    (tmp_path / "in/JPEGImages").rename(tmp_path / "photos")
    for format_ in (name, "auto"):
        with pytest.raises(Refusal, match="has masks but no JPEGImages: export with images, or"):
            read_source(format_, tmp_path / "in")
    found = read_source(name, tmp_path / "in", "--images", str(tmp_path / "photos"))
    assert len(found.items) == 4


def test_cityscapes_in_the_folders_of_its_zips(tmp_path):
    SOURCES["cityscapes"](tmp_path)
    for name in ("leftImg8bit", "gtFine"):
        (tmp_path / name).rename(tmp_path / "x")
        (tmp_path / f"{name}_trainvaltest").mkdir()
        (tmp_path / "x").rename(tmp_path / f"{name}_trainvaltest" / name)
    found = read_source("cityscapes", tmp_path)
    assert len(found.items) == 4 and not found.broken
    shutil.rmtree(tmp_path / "gtFine_trainvaltest")
    for name in ("cityscapes", "auto"):
        with pytest.raises(Refusal, match=r"has no folder gtFine: unpack gtFine_trainvaltest.zip"):
            read_source(name, tmp_path)


def test_camvid_of_fastai(tmp_path):
    """images/NAME.png, labels/NAME_P.png of ids, and codes.txt with their names."""
    photo(tmp_path / "images/a.png", 0)
    grey(tmp_path / "labels/a_P.png", ids(0, 0, 1, 2))
    text(tmp_path / "codes.txt", "Animal", "Void", "Sky")
    for name in ("camvid", "auto"):
        found = read_source(name, tmp_path)
        assert found.classes == ["Animal", "Sky"] and not found.broken
        wanted = np.select([ids(0, 0, 1, 2) == 1, ids(0, 0, 1, 2) == 2], [-1, 1], 0)
        assert np.array_equal(mask_of(found.items[0]), wanted)


def test_auto_prefers_a_folder_of_labels(tmp_path):
    """Mapillary's: three folders of PNGs with the names of the images."""
    for seed, stem in enumerate("ab"):
        photo(tmp_path / f"training/images/{stem}.jpg", seed)
        for name in ("instances", "labels", "zones"):
            grey(tmp_path / f"training/v1.2/{name}/{stem}.png", ids(0, 0, 1))
    with pytest.raises(Refusal, match=r"--masks '\*\*/labels/\*\*/\*' --values 0=b"):
        read_source("auto", tmp_path)


@pytest.mark.parametrize("name", ["labels", "annotations", "gt"])
def test_auto_knows_pngs_of_one_name(tmp_path, name):
    (folder(tmp_path) / "masks").rename(tmp_path / name)
    wanted = rf"--images '\*\*/images/\*\*/\*' --masks '\*\*/{name}/\*\*/\*', if that is right"
    with pytest.raises(Refusal, match=wanted):
        read_source("auto", tmp_path)


@pytest.mark.parametrize("line", ["ground,cat,dog", "['ground', 'cat', 'dog']"])
def test_names_in_one_line_are_refused(tmp_path, line):
    text(folder(tmp_path) / "classes.txt", line)
    with pytest.raises(Refusal, match=r"classes.txt has all names in one line, .* one name per li"):
        read_source("folder", tmp_path)


def test_supervisely_says_what_is_missing(tmp_path):
    supervisely(tmp_path)
    (tmp_path / "meta.json").rename(tmp_path / "x.txt")
    with pytest.raises(Refusal, match=r"has no meta.json with classes: it lies at the top"):
        read_source("supervisely", tmp_path)


UTF16 = {
    "folder": "classes.txt", "coco": "annotations/instances_train.json", "labelme": "a1.json",
    "cvat": "labelmap.txt", "voc": "ImageSets/Segmentation/train.txt", "yolo-seg": "data.yaml",
    "yolo-seg labels": "labels/train/a1.txt", "camvid": "label_colors.txt",
    "coco-panoptic": "annotations/panoptic_train.json", "cvat-xml": "annotations.xml",
    "via": "via_region_data.json", "label-studio": "project-1-at-2024.json",
    "supervisely": "meta.json", "yolo-semantic": "data.yaml", "sam": "a1.json",
    "roboflow-masks": "train/_classes.csv", "huggingface": "metadata.csv",
    "huggingface names": "id2label.json",
}  # fmt: skip


CODINGS = ("utf-16", "utf-8-sig", "utf-32")


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        (name, coding)
        for name, file in UTF16.items()
        for coding in CODINGS
        if not (file.endswith(".xml") and coding == "utf-32")  # which parsers of XML do not know
    ],
)
def test_text_of_windows_is_read(tmp_path, name, coding):
    """With its mark, in every text file that an importer reads, and by auto as well."""
    format_ = name.split()[0]
    source = (SOURCES | TOOL_SOURCES)[format_](tmp_path)
    before = read_source(format_, source)
    path = source / UTF16[name]
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode(coding))
    options = [format_] if format_ == "folder" else [format_, "auto"]
    for reader in options:
        found = read_source(reader, source)
        assert (found.classes, len(found.items), found.broken) == (before.classes, 4, [])
        for one, other in zip(found.items, before.items, strict=True):
            assert np.array_equal(mask_of(one), mask_of(other)) and one.split == other.split


def test_huggingface_tables_with_semicolons(tmp_path):
    path = huggingface(tmp_path) / "metadata.csv"
    path.write_text(path.read_text().replace(",", ";"))
    assert len(read_source("huggingface", tmp_path).items) == 4


def test_auto_tells_of_json_that_cannot_be_read(tmp_path):
    path = SOURCES["coco"](tmp_path) / "annotations/instances_train.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(Refusal, match=r"no format .*instances_train.json cannot be read: Expec"):
        read_source("auto", tmp_path)


def test_values_of_masks_that_are_named_by_nobody(tmp_path):
    """What is typed next is what the mask holds: 255 alone is an object, not void."""
    (folder(tmp_path) / "classes.txt").unlink()
    with pytest.raises(
        Refusal, match=r"first mask: 0, 1, 2\. Add --values 0=background 1=NAME 255=v"
    ):
        read_source("folder", tmp_path)
    grey(tmp_path / "masks/a1.png", ids(0, 0, 255))
    with pytest.raises(
        Refusal, match=r"first mask: 0, 255\. Add --values 0=background 255=NAME, or"
    ):
        read_source("folder", tmp_path)


def test_yolo_without_any_names(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    with pytest.raises(Refusal, match=r"has no names of classes: write names: .* in data.yaml"):
        read_source("yolo-seg", tmp_path)
