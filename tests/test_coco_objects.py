"""COCO's objects: boxes without an outline, crowds, ids as text, unknown images."""

import json

import numpy as np
import pytest
from sources import photo, read_source, text

from cli import Refusal
from data.formats import Objects

SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]
RUNS = {"size": [20, 24], "counts": [200, 40, 240]}  # columns 10 and 11


def coco(folder, *entries, images=({"id": 1, "file_name": "1.jpg"},)):
    """A source with these annotations of image 1, or of the image that they name."""
    for entry in images:
        photo(folder / entry["file_name"], 0)
    tree = {
        "images": images,
        "annotations": [{"image_id": 1, "category_id": 1, "iscrowd": 0} | e for e in entries],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    text(folder / "a.json", json.dumps(tree))
    return folder


def drawn(folder, *entries, options=()):
    return read_source("coco", coco(folder, *entries), *options).items[0].mask()


@pytest.mark.parametrize(
    "segmentation",
    [[], [[]], None, {}, "", [[8, 8, 40, 40]], [8, 8, 12, 12], [[1, 1], [2, 2, 3, 3]]],
)
def test_a_box_without_an_outline_is_void(tmp_path, segmentation):
    """The pixels that it touches, below what is drawn."""
    box = {"segmentation": segmentation, "bbox": [8.5, 4, 10, 30]}
    mask, objects, _ = drawn(tmp_path, box, {"segmentation": SQUARE, "category_id": 2})
    wanted = np.zeros((20, 24), int)
    wanted[4:, 8:19] = -1
    wanted[2:12, 2:12] = 2
    assert np.array_equal(mask, wanted)
    assert objects == Objects(read=2, drawn=1, boxes=1)


@pytest.mark.parametrize("box", [None, [1, 2, 3], [1, 2, 0, 4], [1, 2, "3", 4], [1, 2, 3, True]])
def test_neither_outline_nor_box(tmp_path, box):
    with pytest.raises(Refusal, match=r"a.json: 1.jpg has an object with neither an outline nor a"):
        drawn(tmp_path, {"segmentation": [], "bbox": box})


def test_a_polygon_that_is_in_no_list(tmp_path):
    mask, objects, _ = drawn(tmp_path, {"segmentation": SQUARE[0]})
    assert mask.sum() == 100 and objects == Objects(1, 1)


def test_objects_that_cover_no_pixel(tmp_path):
    mask, objects, _ = drawn(tmp_path, {"segmentation": [[50, 50, 60, 50, 60, 60]]})
    assert not mask.any() and objects == Objects(read=1, empty=1)


CROWD = {"segmentation": RUNS, "iscrowd": 1}
TEN = [{"segmentation": SQUARE}] * 10


@pytest.mark.parametrize(
    ("others", "options", "is_void"),
    [
        ([], (), False),  # CVAT, datumaro: each mask drawn by brush has iscrowd
        ([{"segmentation": SQUARE}], (), False),  # some drew polygons
        ([{"segmentation": RUNS, "category_id": 2}], (), True),  # a mask without iscrowd
        ([{"segmentation": SQUARE, "iscrowd": 1}], (), True),  # a polygon with it
        (TEN, (), True),  # as in COCO: ten of the kind are drawn one by one
        ([one | {"category_id": 2} for one in TEN], (), False),  # of another kind
        (TEN[1:], (), False),
        ([], ("--crowds", "void"), True),
        (TEN, ("--crowds", "objects"), False),
    ],
)
def test_what_iscrowd_means(tmp_path, others, options, is_void):
    mask, objects, _ = drawn(tmp_path, CROWD, *others, options=options)
    column = mask[15, 10:12].tolist()
    wanted = 2 if {"segmentation": RUNS, "category_id": 2} in others else -1 if is_void else 1
    assert column == [wanted] * 2
    assert objects.crowds == is_void + any(one.get("iscrowd", 0) for one in others)
    notes = read_source("coco", tmp_path, *options).notes
    assert any("masks with iscrowd: 1 are drawn as objects (1)" in note for note in notes) == (
        not is_void and not options
    )


def test_ids_as_text(tmp_path):
    """The number 1 and the text "1" are one image and one category."""
    mask, *_ = drawn(tmp_path, {"image_id": "1", "category_id": "2", "segmentation": SQUARE})
    assert mask[5, 5] == 2
    both = [{"id": 1, "file_name": "1.jpg"}, {"id": "1", "file_name": "2.jpg"}]
    source = coco(tmp_path, {"image_id": "1", "segmentation": SQUARE}, images=both)
    found = read_source("coco", source)
    assert [item.mask().objects.read for item in found.items] == [0, 1]


def test_two_images_of_one_id(tmp_path):
    both = [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}]
    found = read_source("coco", coco(tmp_path, {"segmentation": SQUARE}, images=both))
    assert not found.items and "1.jpg shares its id 1 with another image" in found.broken[0]


def test_a_category_of_two_names(tmp_path):
    source = coco(tmp_path, {"segmentation": SQUARE})
    tree = json.loads((source / "a.json").read_text())
    tree["categories"].append({"id": 2, "name": "cow"})
    text(source / "a.json", json.dumps(tree))
    with pytest.raises(Refusal, match="the category 2 is both 'dog' and 'cow'"):
        read_source("coco", source)


def test_parts_without_an_area_are_told_and_void(tmp_path):
    """Beside a polygon, two corners or a box of four numbers: five pixels around them."""
    mixed = {"segmentation": [*SQUARE, [16, 8, 18, 8]], "bbox": [2, 2, 10, 10]}
    found = read_source("coco", coco(tmp_path, mixed, {"segmentation": [[1, 1, 3, 3]] * 2}, mixed))
    with pytest.raises(Refusal, match="neither an outline nor a box"):  # the second has no bbox
        found.items[0].mask()
    found = read_source("coco", coco(tmp_path, mixed, {"segmentation": SQUARE}))
    wanted = np.zeros((20, 24), int)
    wanted[3:13, 11:23] = -1
    wanted[2:12, 2:12] = 1
    mask, objects, _ = found.items[0].mask()
    assert np.array_equal(mask, wanted) and objects == Objects(2, 2)
    assert found.notes == (
        "a.json: 1 parts of 1 objects have fewer than 3 corners, as a line or a box of 4 numbers "
        "has: they are not drawn, and what is near them is void",
    )


def test_key_points_stand_for_a_missing_box(tmp_path):
    """Those that are set, of which the third number is not 0; five pixels around them."""
    pose = {"segmentation": [], "keypoints": [0, 0, 0, 14, 10, 2, 16, 12, 1]}
    mask, objects, _ = drawn(tmp_path, pose, {"segmentation": SQUARE})
    wanted = np.zeros((20, 24), int)
    wanted[5:17, 9:21] = -1
    wanted[2:12, 2:12] = 1
    assert np.array_equal(mask, wanted) and objects == Objects(2, 1, boxes=1)
