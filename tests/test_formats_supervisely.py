"""Supervisely's projects, pixel by pixel."""

import base64
import json
import zlib

import numpy as np
import pytest
from sources import photo, read_source, text
from test_formats_separate import drawn
from tool_sources import packed_bitmap

from cli import Refusal
from data.formats import Objects


def figure(kind, title, exterior=(), interior=(), **more):
    points = {"exterior": list(exterior), "interior": list(interior)}
    return {"geometryType": kind, "classTitle": title, "points": points, **more}


def supervisely(folder, *figures):
    titles = [{"title": name, "shape": "any"} for name in ("cat", "dog")]
    text(folder / "meta.json", json.dumps({"classes": titles}))
    photo(folder / "train/img/a.png", 0)
    size = {"height": 20, "width": 24}
    text(folder / "train/ann/a.png.json", json.dumps({"size": size, "objects": list(figures)}))
    return folder


def test_supervisely_draws_in_order_with_holes(tmp_path):
    """As its SDK: corners are pixels, and a hole takes its own edge with it."""
    ring = [[6, 6], [9, 6], [9, 9], [6, 9]]
    supervisely(
        tmp_path,
        figure("polygon", "cat", [[2, 3], [12, 3], [12, 15], [2, 15]], [ring]),
        figure("rectangle", "dog", [[11, 4], [14, 5]]),
        figure("bitmap", "cat", bitmap={"data": packed_bitmap(np.eye(3)), "origin": [13, 4]}),
        figure("point", "cat", [[20, 14]]),
        {"geometryType": "graph", "classTitle": "dog", "nodes": {"a": {"loc": [1, 19]}}},
    )
    found = read_source("supervisely", tmp_path)
    mask, objects = drawn(found)["a"]
    wanted = np.full((20, 24), "background", object)
    wanted[9:19, 15:] = wanted[14:, :6] = "-"
    wanted[3:16, 2:13] = "cat"
    wanted[6:10, 6:10] = "background"
    wanted[4:6, 11:15] = "dog"
    for step in range(3):
        wanted[4 + step, 13 + step] = "cat"
    assert (mask == wanted).all()
    assert objects == Objects(5, 3, boxes=2) and found.objects == 5
    assert "shapes that have no area: 1 point, 1 graph;" in found.notes[1]
    assert found.items[0].split == "train"


def test_supervisely_bitmaps_are_cropped_and_checked(tmp_path):
    data = packed_bitmap(np.ones((4, 4)))
    supervisely(tmp_path, figure("bitmap", "cat", bitmap={"data": data, "origin": [-2, 18]}))
    mask, _ = drawn(read_source("supervisely", tmp_path))["a"]
    assert (mask[18:, :2] == "cat").all() and (mask == "cat").sum() == 4
    bomb = base64.b64encode(zlib.compress(b"\0" * 100)).decode()
    for bitmap, message in (
        ({"data": bomb, "origin": [0, 0]}, "not a deflated PNG"),
        ({"data": data, "origin": [0.5, 0]}, "no origin"),
        ({"data": 7, "origin": [0, 0]}, "not a deflated PNG"),
    ):
        supervisely(tmp_path, figure("bitmap", "cat", bitmap=bitmap))
        with pytest.raises(Refusal, match=message):
            read_source("supervisely", tmp_path).items[0].mask()


def test_supervisely_images_without_labels_are_told(tmp_path):
    supervisely(tmp_path)
    photo(tmp_path / "train/img/b.png", 1)
    found = read_source("supervisely", tmp_path)
    assert found.notes == ("images that no label file names, left out: 1 (b.png)",)
    supervisely(tmp_path, figure("alpha_mask", "cat"))
    with pytest.raises(Refusal, match=r"alpha_mask 0 \(cat\) is of a kind that is not read"):
        read_source("supervisely", tmp_path).items[0].mask()
    supervisely(tmp_path, figure("polygon", "bird", [[1, 1], [5, 1], [5, 5]]))
    with pytest.raises(Refusal, match=r"'bird' is not in meta.json"):
        read_source("supervisely", tmp_path).items[0].mask()
