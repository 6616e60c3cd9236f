"""YOLO labels, and the EXIF orientation in COCO and YOLO."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from sources import SOURCES, mask_of, photo, read_source, text, written

from cli import Refusal


def test_yolo_polygons(tmp_path):
    """Vertices are relative to width and height; the smaller polygon is on top."""
    photo(tmp_path / "images/train/a.jpg", 0)  # 20 x 24
    photo(tmp_path / "images/val/b.jpg", 1)
    whole, part = "0 0 0 1 0 1 1 0 1", "1 0.25 0.1 0.5 0.1 0.5 0.5 0.25 0.5"
    text(tmp_path / "labels/train/a.txt", part, whole)
    text(tmp_path / "data.yaml", "names:", "  0: cat", "  1: dog")
    found = read_source("yolo-seg", tmp_path)
    assert found.classes == ["background", "cat", "dog"]
    wanted = np.ones((20, 24), int)
    wanted[2:10, 6:12] = 2
    assert np.array_equal(mask_of(found.items[0]), wanted)
    assert not mask_of(found.items[1]).any()
    assert [item.split for item in found.items] == ["train", "val"]


@pytest.mark.parametrize(
    "lines",
    [
        ["train: images/one", "val: images/two"],
        ["path: .", "train: [images/one]", "val: ./images/two"],
        ["path: images", "train: one", "val: two"],
        ["train: ../images/one", "val: ../images/two"],  # as some tools write it
        ["train: one.txt", "val: two.txt"],
        ["path: /home/x/set", "train: images/one", "val: images/two"],
    ],
)
def test_yolo_splits_from_data_yaml(tmp_path, lines):
    for index, folder in enumerate(("one", "two")):
        photo(tmp_path / f"images/{folder}/{folder}.jpg", index)
        text(tmp_path / f"{folder}.txt", f"./images/{folder}/{folder}.jpg")
    photo(tmp_path / "images/test/c.jpg", 2)
    text(tmp_path / "args.yaml", "epochs: 3")
    text(tmp_path / "data.yaml", "names: [cat]", *lines)
    found = read_source("yolo-seg", tmp_path)
    splits = {item.stem: item.split for item in found.items}
    assert splits == {"one": "train", "two": "val", "c": "test"}


@pytest.mark.parametrize("line", ["names: !!int ''", "names: !!bool x", "names: {0: cat, 2: dog}"])
def test_yolo_invalid_names(tmp_path, line):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "data.yaml", line)
    with pytest.raises(Refusal, match=r"data\.yaml"):
        read_source("yolo-seg", tmp_path)


@pytest.mark.parametrize("name", ["coco", "yolo-seg"])
def test_images_with_exif_orientation(tmp_path, name):
    """A dark square in an image with EXIF orientation 6, displayed rotated 90 degrees clockwise.

    COCO coordinates refer to the stored image, YOLO coordinates to the displayed one.
    """
    displayed = np.full((24, 20, 3), 255, np.uint8)
    displayed[2:8, 12:18] = 0
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in/images").mkdir(parents=True)
    for stem in "ab":
        stored = Image.fromarray(np.rot90(displayed).copy())
        stored.save(tmp_path / f"in/images/{stem}.png", exif=exif)
    if name == "coco":  # in the stored image the square is at x 2 to 8, y 2 to 8
        images = [
            {"id": i, "file_name": f"{'ab'[i]}.png", "height": 20, "width": 24} for i in (0, 1)
        ]
        square = [[2, 2, 8, 2, 8, 8, 2, 8]]
        annotations = [{"image_id": i, "category_id": 1, "segmentation": square} for i in (0, 1)]
        tree = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "dark"}],
        }
        text(tmp_path / "in/a.json", json.dumps(tree))
    else:
        square = f"0 {12 / 20} {2 / 24} {18 / 20} {2 / 24} {18 / 20} {8 / 24} {12 / 20} {8 / 24}"
        for stem in "ab":
            text(tmp_path / f"in/labels/{stem}.txt", square)
        text(tmp_path / "in/data.yaml", "names: [dark]")
    found = read_source(name, tmp_path / "in")
    written(found, tmp_path / "out")
    masks = list((tmp_path / "out").rglob("masks/*.png"))
    assert len(masks) == 2
    for path in masks:
        assert np.array_equal(np.array(Image.open(path)) == 1, displayed[..., 0] == 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_yolo_labels_that_are_a_pipe(tmp_path):
    """Reading a pipe would block forever."""
    source = SOURCES["yolo-seg"](tmp_path)
    (source / "labels/train/a1.txt").unlink()
    os.mkfifo(source / "labels/train/a1.txt")
    with pytest.raises(Refusal, match=r"a1\.txt is not a regular file"):
        mask_of(read_source("yolo-seg", source).items[0])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("2 0 0 1 0 1 1", "the class '2' is not valid; needed: 0 to 1"),
        ("0 0 0 1 0 1", "5 numbers after the class"),
        ("0 0 0 1 0 1 x", "could not convert"),
        ("0 0 0 1 0 1 nan", "has the number nan"),
        ("0 0 0 1 0 1 1e9", r"has the number 1e\+09; needed: fractions"),
        ("0 6 2 12 2 12 10", "has the number 12; needed: fractions"),  # pixels
        ("0 0.5 0.5 0.2 0.2\n0 0 0 1 0 1 1", "in 1 of 2 lines, a box without an outline"),
        ("0 0 0 1 0 1 1 0.9", "7 numbers after the class, one too many or too few, such as a conf"),
        ("0,0.1,0.1,0.5,0.1,0.5,0.5", "has commas; needed: numbers with points, apart by spaces"),
        ("0.5 0 0 1 0 1 1", "the class '0.5' is not valid; needed"),
    ],
)
def test_yolo_invalid_lines(tmp_path, line, why):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "labels/a.txt", line)
    text(tmp_path / "data.yaml", "names: [cat, dog]")
    with pytest.raises(Refusal, match=why):
        mask_of(read_source("yolo-seg", tmp_path).items[0])


@pytest.mark.parametrize(
    "line",
    [
        "0.0 0.25 0.1 0.5 0.1 0.5 0.5 0.25 0.5",
        "  0 2.5e-1 1E-1 .5 .1 0.5 5.0e-01 +0.25 0.5  \r\n\r\n",
        "\ufeff0 0.25 0.1 0.5 0.1 0.5 0.5 0.25 0.5",
    ],
)
def test_yolo_numbers_in_other_forms(tmp_path, line):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "labels/b/a.txt", line)  # not at home: known by its first line
    text(tmp_path / "data.yaml", "names: [cat]")
    for name in ("yolo-seg", "auto"):
        found = read_source(name, tmp_path)
        wanted = np.zeros((20, 24), int)
        wanted[2:10, 6:12] = 1
        assert np.array_equal(mask_of(found.items[0]), wanted)


def test_yolo_numbers_a_little_outside_are_cut(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "labels/a.txt", "0 0.5 -0.01 1.0001 -0.01 1.0001 0.5 0.5 0.5")
    text(tmp_path / "data.yaml", "names: [cat]")
    wanted = np.zeros((20, 24), int)
    wanted[:10, 12:] = 1
    assert np.array_equal(mask_of(read_source("yolo-seg", tmp_path).items[0]), wanted)


def test_yolo_poses_are_refused(tmp_path):
    """A box and key points may be as many numbers as a polygon has."""
    photo(tmp_path / "images/a.jpg", 0)
    text(tmp_path / "labels/a.txt", "0 0.5 0.5 0.2 0.2 0.4 0.4 0.6 0.6")
    text(tmp_path / "data.yaml", "names: [cat]", "kpt_shape: [2, 2]")
    with pytest.raises(Refusal, match=r"data.yaml has kpt_shape: its labels are poses"):
        read_source("yolo-seg", tmp_path)
