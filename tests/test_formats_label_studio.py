"""Label Studio's JSON: shapes in per cent, its run-length encoding, names and annotations."""

import json

import numpy as np
import pytest
from sources import photo, read_source, text
from test_formats_separate import drawn
from test_formats_tools import around
from tool_sources import packed_brush, result

from cli import Refusal
from data.formats import Objects
from data.formats.label_studio_brush import decode


def task(*results, name="/data/upload/1/0a1b2c3d-a.png", **more):
    annotations = [{"id": 1, "was_cancelled": False, "result": list(results)}]
    return {"id": 7, "data": {"image": name}, "annotations": annotations, **more}


def export(folder, *tasks):
    photo(folder / "images/a.png", 0)
    text(folder / "project-1.json", json.dumps(tasks))
    return folder


def test_shapes_in_per_cent(tmp_path):
    """Of 24 pixels across and 20 down; a rectangle turns about its upper left corner."""
    export(tmp_path, task(
        result("polygon", "cat", points=[[25, 10], [75, 10], [75, 50], [25, 50]]),
        result("rectangle", "dog", x=50, y=20, width=12.5, height=20),
        result("rectangle", "dog", x=50, y=75, width=25, height=10, rotation=90),
        result("keypoint", "dog", x=75, y=75, width=1),
        result("vector", "dog", vertices=[{"x": 0, "y": 0}, {"x": 0, "y": 10}]),
    ))  # fmt: skip
    found = read_source("label-studio", tmp_path)
    assert found.classes == ["background", "cat", "dog"] and not found.broken
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[10:, 13:23] = wanted[:7, :5] = "-"  # 5 pixels around (18, 15) and (0, 0) to (0, 2)
    wanted[2:10, 6:18] = "cat"
    wanted[4:8, 12:15] = "dog"
    wanted[15:, 10:12] = "dog"  # 6 by 2 at (12, 15): 2 to the left and 6 down, cropped
    assert (mask == wanted).all()
    assert objects == Objects(5, 3, boxes=2) and found.objects == 5
    assert "2 rectangles are drawn filled" in found.notes[0]
    assert "shapes that have no area: 1 keypoint, 1 vector;" in found.notes[1]


def test_a_kind_that_is_not_read_is_told(tmp_path):
    """Newer releases have masks as pictures; texts and choices have no shape of their own."""
    text_ = {"type": "textarea", "value": {"x": 1, "y": 1, "width": 9, "text": ["a"]}}
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    good = result("polygon", "cat", points=[[25, 10], [75, 10], [75, 50]])
    found = read_source("label-studio", export(tmp_path, task(good, text_, choice)))
    assert drawn(found)["a"][1] == Objects(1, 1) and found.objects == 1
    for kind in (result("bitmask", "cat", imageDataURL="data:"), result("cube", "cat", x=1)):
        found = read_source("label-studio", export(tmp_path, task(good, kind)))
        with pytest.raises(Refusal, match=r"task 7, \w+ 1 \(cat\) is of a kind that is not read"):
            found.items[0].mask()


@pytest.mark.parametrize("turn", [0, 40])
def test_ellipses(tmp_path, turn):
    shape = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 15, "rotation": turn}
    mask, _ = drawn(
        read_source("label-studio", export(tmp_path, task(result("ellipse", "cat", **shape))))
    )["a"]
    inside, outside = around(12, 10, 6, 3, turn)
    assert (mask[inside] == "cat").all() and not (mask[outside] == "cat").any()


def test_brush_strokes(tmp_path):
    stroke = np.zeros((20, 24), np.uint8)
    stroke[3:9, 4:7] = 255
    stroke[5, 5] = 0
    brush = result("brush", "cat", format="rle", rle=packed_brush(stroke))
    mask, objects = drawn(read_source("label-studio", export(tmp_path, task(brush))))["a"]
    assert ((mask == "cat") == (stroke > 0)).all() and objects.drawn == 1


def bytes_of(bits: str) -> list[int]:
    bits = bits.replace(" ", "")
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def test_the_bits_of_a_brush_stroke(tmp_path):
    """2 pixels, 8 bytes: seven zeros repeated, then one byte as it is."""
    sizes = "0010 0011 0111 1111"  # 3, 4, 8 and 16 bits
    head = f"{8:032b} 00111 {sizes}"
    good = bytes_of(f"{head} 1 00 110 00000000 0 00 000 11111111")
    assert decode(good, (1, 2), tmp_path).tolist() == [[False, True]]
    for damaged, message in (
        (good[:-2], "truncated"),
        (bytes_of(f"{head} 1 01 1111 00000000"), "more bytes than its image"),
        (bytes_of(f"{12:032b} 00111 {sizes}"), "3 pixels, its image 2"),
        (bytes_of(f"{8:032b} 01111 {sizes}"), "words of 16 bits"),
        ([256], "not a list of bytes"),
        ("x", "not a list of bytes"),
        ([], "truncated"),
    ):
        with pytest.raises(Refusal, match=message):
            decode(damaged, (1, 2), tmp_path)


@pytest.mark.parametrize(
    "name",
    ["/data/upload/1/0a1b2c3d-a.png", "https://x.org/b/a.png?sig=1", "s3://bucket/images/a.png",
     "/data/local-files/?d=images/a.png", "a.png"],
)  # fmt: skip
def test_names_of_images(tmp_path, name):
    found = read_source("label-studio", export(tmp_path, task(name=name)))
    assert [item.image.name for item in found.items] == ["a.png"] and not found.broken


def test_what_is_labelled(tmp_path):
    """Skipped and untouched tasks are left out and told; an empty annotation is background."""
    skipped = task()
    skipped["annotations"][0]["was_cancelled"] = True
    untouched = task() | {"annotations": []}
    found = read_source("label-studio", export(tmp_path, task(), skipped, untouched))
    assert len(found.items) == 1 and not found.items[0].mask().mask.any()
    assert found.notes == ("2 tasks are not labelled, or were skipped, and are left out",)
    with pytest.raises(Refusal, match=r"no task of .* is labelled"):
        read_source("label-studio", export(tmp_path, skipped))


def test_several_annotations_ask(tmp_path):
    box = {"x": 0, "y": 0, "height": 50}
    both = task(result("rectangle", "cat", width=25, **box))
    second = {"id": 2, "result": [result("rectangle", "cat", width=50, **box)]}
    both["annotations"].append(second)
    with pytest.raises(Refusal, match=r"task 7 has 2 annotations.*--annotation first or last"):
        read_source("label-studio", export(tmp_path, both))
    for option, pixels in (("first", 60), ("last", 120)):
        found = read_source("label-studio", tmp_path, "--annotation", option)
        assert (drawn(found)["a"][0] == "cat").sum() == pixels
    second["ground_truth"] = True
    found = read_source("label-studio", export(tmp_path, both))
    assert (drawn(found)["a"][0] == "cat").sum() == 120


def test_labels_of_another_result(tmp_path):
    """A shape and its label may be two results of one id."""
    points = [[25, 10], [75, 10], [75, 50], [25, 50]]
    shape = result("polygon", "x", points=points) | {"type": "polygon", "id": "k"}
    shape["value"] = {"points": points}
    label = result("polygon", "cat") | {"type": "labels", "id": "k"}
    label["value"] = {"points": points, "labels": ["cat"]}
    mask, objects = drawn(read_source("label-studio", export(tmp_path, task(shape, label))))["a"]
    assert (mask == "cat").sum() == 8 * 12 and objects.read == 1
    _, objects = drawn(read_source("label-studio", export(tmp_path, task(shape))))["a"]
    assert objects.drawn == 0 and "has no labels; needed: one" in objects.skipped[0]


def test_what_is_not_right_is_refused(tmp_path):
    good = result("polygon", "cat", points=[[25, 10], [75, 10], [75, 50]])
    for changed, message in (
        ({"image_rotation": 90}, "labelled on a turned image"),
        ({"original_width": 25}, "states 20x25"),
        ({"value": {"points": [[1]], "polygonlabels": ["cat"]}}, "pairs of numbers"),
        ({"value": {"points": 1, "polygonlabels": ["cat"]}}, "no list of points"),
    ):
        found = read_source("label-studio", export(tmp_path, task(good | changed)))
        with pytest.raises(Refusal, match=message):
            found.items[0].mask()
    text(tmp_path / "project-1.json", json.dumps([{"image": "a.png", "tag": []}]))
    with pytest.raises(Refusal, match="JSON-MIN lacks"):
        read_source("label-studio", tmp_path)


def test_two_tasks_of_one_image_are_told(tmp_path):
    names = ("/data/upload/1/0a1b2c3d-a.png", "/data/upload/1/ffffffff-a.png")
    found = read_source("label-studio", export(tmp_path, *(task(name=name) for name in names)))
    assert not found.items and "is listed 2 times" in found.broken[0]


def test_of_two_images_of_a_name_the_path_decides(tmp_path):
    export(tmp_path, task(name="/data/local-files/?d=more/a.png"))
    photo(tmp_path / "more/a.png", 1)
    found = read_source("label-studio", tmp_path)
    assert [item.image.parent.name for item in found.items] == ["more"]
    assert "images that no label file names, left out: 1 (a.png)" in found.notes
