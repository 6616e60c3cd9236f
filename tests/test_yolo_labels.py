"""YOLO: label files wherever they lie, and names that YAML does not read as text."""

import numpy as np
import pytest
from sources import photo, read_source, run_import, text

from cli import Refusal

LINE = "0 0.25 0.1 0.5 0.1 0.5 0.5 0.25 0.5"  # rows 2 to 9, columns 6 to 11 of 20 x 24


def yolo(folder, images, labels, line=LINE):
    for seed, name in enumerate(images):
        photo(folder / name, seed)
    for name in labels:
        text(folder / name, line)
    text(folder / "data.yaml", "names: [cat]")
    return folder


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["images/train/a.jpg", "images/val/b.jpg"],
         ["labels/train_labels/a.txt", "labels/val_labels/b.txt"]),
        (["images/train/a.jpg", "images/val/a.jpg"],  # the split decides
         ["labels/train_labels/a.txt", "labels/val_labels/a.txt"]),
        (["images/train/a.jpg", "images/val/b.jpg"], ["labels/a.txt", "labels/b.txt"]),
        (["images/a.jpg", "images/b.jpg"], ["images/a.txt", "images/b.txt"]),
        (["images/a.jpg", "images/b.jpg"], ["labels/a.TXT", "Labels/B.txt"]),
        (["train/a.jpg", "val/b.jpg"], ["train/a.txt", "val/b.txt"]),
        (["top/Images/a.jpg", "top/Images/b.jpg"], ["top/Labels/a.txt", "top/labels/b.txt"]),
    ],
)  # fmt: skip
def test_label_files_elsewhere(tmp_path, images, labels):
    found = read_source("yolo-seg", yolo(tmp_path, images, labels))
    assert not found.broken and found.label_files == len(found.items) == 2
    wanted = np.zeros((20, 24), int)
    wanted[2:10, 6:12] = 1
    for item in found.items:
        assert np.array_equal(item.mask().mask, wanted)


@pytest.mark.parametrize(
    ("images", "labels", "left", "why"),
    [
        # Two label files may be meant.
        (["images/a.jpg", "images/b.jpg"], ["x/a.txt", "y/a.txt", "x/b.txt"], {"b": 1},
         "images/a.jpg: its label file is ambiguous: "),
        # One label file for two images.
        (["images/x/a.jpg", "images/y/a.jpg"], ["labels/a.txt"], {}, "label file is ambiguous: "),
        # The label's own image is missing; that of the other folder has none.
        (["images/x/a.jpg", "images/x/b.jpg", "images/y/c.jpg"],
         ["labels/x/b.txt", "labels/y/a.txt"], {"a": 0, "b": 1, "c": 0},
         "label files that match no image: 1 (labels/y/a.txt)"),
        # A label of val is none of an image of train.
        (["images/train/a.jpg", "images/train/b.jpg"], ["train_labels/b.txt", "val_labels/a.txt"],
         {"a": 0, "b": 1}, "label files that match no image: 1 (val_labels/a.txt)"),
        (["images/a.jpg", "images/a.png", "images/b.jpg"], ["labels/a.txt", "labels/b.txt"],
         {"b": 1}, "labels/a.txt belongs to several images, which are left out: "),
    ],
)  # fmt: skip
def test_label_files_that_are_not_clear(tmp_path, images, labels, left, why):
    found = read_source("yolo-seg", yolo(tmp_path, images, labels))
    assert any(why in line for line in found.broken)
    assert {item.stem: item.mask().objects.read for item in found.items} == left


def test_texts_that_are_no_labels(tmp_path):
    source = yolo(tmp_path, ["images/a.jpg"], ["labels/a.txt"])
    text(source / "README.txt", "0 1 2")
    text(source / "labels/classes.txt", "cat")
    assert not read_source("yolo-seg", source).broken


def test_no_label_at_all(tmp_path):
    end = run_import("yolo-seg", yolo(tmp_path / "in", ["images/a.jpg"], []), tmp_path / "out")
    assert end.returncode == 2
    assert "error: no image has a label: 0 label files for 1 images." in end.stderr


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[no, yes]", ["no", "yes"]),
        ("[02146, 0x10, 1e3, null, ~]", ["02146", "0x10", "1e3", "null", "~"]),
        ("{0: 0, 1: 1}", ["0", "1"]),
        ('{"1": dog, "0": cat}', ["cat", "dog"]),
        ("my.names", ["cat", "dog"]),
    ],
)
def test_names_are_text(tmp_path, line, wanted):
    source = yolo(tmp_path, ["images/a.jpg"], ["labels/a.txt"])
    text(tmp_path / "my.names", "cat", "dog")
    text(tmp_path / "data.yaml", f"names: {line}")
    assert read_source("yolo-seg", source).classes == ["background", *wanted]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{0: cat, 2: dog}", "names has 0, 2 but not 1: name the classes 0, 1, 2 ... without"),
        ("{0: cat, 0: dog}", "the key '0' occurs twice"),
        ("coco.names", "names is 'coco.names', and there is no such file"),
        ("[[a]]", "needed: a list of texts"),
        ("[]", "has no names: write names"),
    ],
)
def test_names_that_are_not_clear(tmp_path, line, why):
    source = yolo(tmp_path, ["images/a.jpg"], ["labels/a.txt"])
    text(tmp_path / "data.yaml", f"names: {line}")
    with pytest.raises(Refusal, match=why):
        read_source("yolo-seg", source)


def test_classes_with_numbers_and_an_inner_folder(tmp_path):
    source = yolo(tmp_path / "in/top", ["images/a.jpg"], ["labels/a.txt"]).parent
    assert read_source("yolo-seg", source).classes == ["background", "cat"]
    (source / "top/data.yaml").unlink()
    text(source / "top/classes.txt", "1 dog", "0 cow")
    assert read_source("yolo-seg", source).classes == ["background", "cow", "dog"]


def test_several_settings(tmp_path):
    source = yolo(tmp_path, ["images/a.jpg"], ["labels/a.txt"])
    (source / "data.yaml").rename(source / "one.yaml")
    text(source / "two.yaml", "names: [dog]")
    with pytest.raises(Refusal, match=r"one.yaml, .*two.yaml name different classes: keep one"):
        read_source("yolo-seg", source)


def test_lists_of_another_machine(tmp_path):
    """An image in a list is found by its name; lines that name none are told."""
    source = yolo(tmp_path, ["images/a.jpg", "images/b.jpg"], ["labels/a.txt", "labels/b.txt"])
    text(source / "data.yaml", "train: t.txt", "val: v.txt", "names: [cat]")
    text(source / "t.txt", "/home/ann/set/images/a.jpg", "D:\\set\\images\\gone.jpg")
    text(source / "v.txt", "D:\\set\\images\\b.jpg")
    found = read_source("yolo-seg", source)
    assert {item.stem: item.split for item in found.items} == {"a": "train", "b": "val"}
    assert found.notes == (
        "lines of lists that name no single image: 1 (t.txt: D:\\set\\images\\gone.jpg)",
    )
