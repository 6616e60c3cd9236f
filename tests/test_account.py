"""The account of an import: the table, its JSON, the exit codes, and what is refused."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image
from sources import SOURCES, photo, run_import, text, write_pair
from tool_sources import TOOL_SOURCES

from data.dataset import read_dataset

TOOLS = ("separate-masks", "cvat-xml", "via", "label-studio", "supervisely", "sam")
SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]  # 10 x 10 of the 20 x 24 pixels


def coco(folder, *annotations, names=("a.jpg", "b.jpg")):
    """A source with these (image id, further keys) of the class cat."""
    for seed, name in enumerate(names):
        photo(folder / name, seed)
    images = [{"id": 1 + i, "file_name": n, "height": 20, "width": 24} for i, n in enumerate(names)]
    entries = [{"image_id": id_, "category_id": 1, "iscrowd": 0, "segmentation": SQUARE} | more
               for id_, more in annotations]  # fmt: skip
    tree = {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "cat"}]}
    text(folder / "instances.json", json.dumps(tree))
    return folder


def test_the_table(tmp_path):
    box = {"segmentation": [], "bbox": [0, 16, 24, 4]}
    far = {"segmentation": [[100, 100, 110, 100, 110, 110]]}
    source = coco(tmp_path / "in", (1, {}), (1, box), (2, {}), (2, far), (9, {}),
                  names=("a.jpg", "b.jpg", "c.jpg"))  # fmt: skip
    photo(source / "left.jpg", 5)
    end = run_import("coco", "in", "out", cwd=tmp_path)
    assert end.returncode == 1
    assert end.stderr == "broken and left out: 1, listed above; the rest was imported\n"
    assert (
        end.stdout
        == """\
broken: in/instances.json: annotations of unknown images: 1, image_id 9
note: images that no label file names, left out: 1 (left.jpg)
out: train 2, val 1; 2 classes

images                  3
label files             1
objects read            5
  drawn                 2
  without an outline    1  their boxes are void, not trained on: a.jpg
  covering no pixel     1  outside the image or too small: b.jpg
  left out              1  with their images or label files, listed above
images without a label  1  all background: c.jpg
broken and left out     1  listed above

class        pixels  images
background   79.4 %       3
cat          13.9 %       2
void          6.7 %       1

next: python -m data check out
"""
    )


def test_the_same_as_json(tmp_path):
    source = coco(tmp_path / "in", (1, {}), (2, {"segmentation": [], "bbox": [0, 0, 24, 20]}))
    end = run_import("coco", source, tmp_path / "o t", "--json")
    assert (end.returncode, end.stderr) == (0, "")
    assert json.loads(end.stdout) == {
        "folder": f"{tmp_path}/o t",
        "splits": {"train": 1, "val": 1},
        "images": 2,
        "label_files": 1,
        "objects": {"read": 2, "drawn": 1, "without_an_outline": 1, "crowds_or_ignored": 0,
                    "covering_no_pixel": 0, "not_drawn": 0, "left_out": 0},
        "images_with_objects": {"without_an_outline": ["b.jpg"], "crowds_or_ignored": [],
                                "covering_no_pixel": []},
        "images_without_a_label": [],
        "classes": [
            {"name": "background", "share_of_pixels": 0.395833, "images": 1},
            {"name": "cat", "share_of_pixels": 0.104167, "images": 1},
            {"name": "void", "share_of_pixels": 0.5, "images": 1},
        ],
        "notes": [],
        "broken": [],
        "next": f"python -m data check '{tmp_path}/o t'",
    }  # fmt: skip


def test_masks_are_not_counted_by_object(tmp_path):
    end = run_import("folder", SOURCES["folder"](tmp_path / "in"), tmp_path / "out")
    assert end.returncode == 0 and "objects read" not in end.stdout and "without" not in end.stdout
    assert "images  4\nmasks   4\n\nclass    pixels  images\nground   " in end.stdout


def test_void_is_named_only_where_it_is_used(tmp_path):
    for name, value in (("with", 255), ("without", 1)):
        write_pair(tmp_path / name, "a", [0, 1, value, 0, 0, 0, 0, 0])
        write_pair(tmp_path / name, "b", [0, 1, value, 0, 0, 0, 0, 0])
        values = ("0=background", "1=cat", "255=void")
        assert not run_import("folder", tmp_path / name, tmp_path / f"out-{name}",
                              "--values", *values).returncode  # fmt: skip
        read = tomllib.loads((tmp_path / f"out-{name}/dataset.toml").read_text())
        assert read.get("void") == (255 if name == "with" else None)
        assert read_dataset(tmp_path / f"out-{name}").void == 255


@pytest.mark.parametrize(
    ("annotations", "why"),
    [
        ([], "no image has a label: 1 label file for 2 images."),
        ([(1, {"segmentation": [], "bbox": [1, 1, 9, 9]})] * 2,
         "none of 2 objects was drawn: 2 without an outline. Classes need outlines: export poly"),
        ([(1, {"segmentation": [[90, 90, 95, 90, 95, 95]]})], "was drawn: 1 covering no pixel."),
    ],
)  # fmt: skip
def test_nothing_drawn_is_refused(tmp_path, annotations, why):
    end = run_import("coco", coco(tmp_path / "in", *annotations), tmp_path / "out")
    assert (end.returncode, end.stdout) == (2, "") and why in end.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_masks_of_nothing_but_background_are_refused(tmp_path):
    """255 is void where nothing else is said of it: here it was meant as cat."""
    for name in "ab":
        write_pair(tmp_path / "in", name, [0, 255, 255, 0, 0, 0, 0, 0])
    text(tmp_path / "in/classes.txt", "background", "cat")
    end = run_import("folder", tmp_path / "in", tmp_path / "out")
    assert end.returncode == 2 and not (tmp_path / "out").exists()
    assert "every mask holds 0 and 255 alone, and 255 is void: if it means a class" in end.stderr
    for name in "ab":
        write_pair(tmp_path / "in", name, [0] * 8)
    end = run_import("folder", tmp_path / "in", tmp_path / "out")
    assert end.returncode == 2 and not (tmp_path / "out").exists()
    assert "every pixel of all 2 masks is background, none is of cat." in end.stderr


def test_many_classes_are_cut_short(tmp_path):
    write_pair(tmp_path / "in", "a", [0, 1, 2, 3, 0, 0, 0, 0])
    text(tmp_path / "in/classes.txt", *(f"class {n}" for n in range(40)))
    end = run_import("folder", tmp_path / "in", tmp_path / "out")
    lines = end.stdout.splitlines()
    assert "and 10 more classes: --json lists all" in lines and len(lines) < 45
    table = json.loads(run_import("folder", tmp_path / "in", tmp_path / "o", "--json").stdout)
    assert len(table["classes"]) == 40 and np.isclose(table["classes"][3]["share_of_pixels"], 1 / 8)


def test_what_was_done_to_files_stands_in_the_account(tmp_path):
    """Two GIFs of two images each: one note for both, on the screen and in JSON."""
    for name in "ab":
        write_pair(tmp_path / "in", name, [0, 1, 1, 0, 0, 0, 0, 0])
        first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
        (tmp_path / f"in/images/{name}.png").unlink()
        first.save(tmp_path / f"in/images/{name}.gif", save_all=True, append_images=[second])
    text(tmp_path / "in/classes.txt", "background", "cat")
    said = f"{tmp_path}/in/images/a.gif holds several images: only the first was read"
    end = run_import("folder", tmp_path / "in", tmp_path / "out")
    assert end.returncode == 0 and f"note: {said}, and so do 1 more files\n" in end.stdout
    table = json.loads(run_import("folder", tmp_path / "in", tmp_path / "o", "--json").stdout)
    assert table["notes"] == [f"{said}, and so do 1 more files"] and table["objects"] is None


def test_auto_and_the_tools_of_annotation_count_objects(tmp_path):
    """A rectangle, a polygon outside of the image, a point and a polygon that has no label: drawn,
    empty, without an outline and not drawn."""
    photo(tmp_path / "in/images/a.png", 0)
    text(tmp_path / "in/annotations.xml", '<annotations><image name="a.png" width="24" height="20">'
         '<box label="cat" xtl="2" ytl="2" xbr="6" ybr="6"/>'
         '<polygon label="cat" points="50,50;60,50;60,60"/><points label="cat" points="1,2"/>'
         '<polygon points="9,9;12,9;12,12"/>'
         "</image></annotations>")  # fmt: skip
    end = run_import("auto", tmp_path / "in", tmp_path / "out", "--json")
    table = json.loads(end.stdout)
    assert end.returncode == 1 and table["notes"][0].startswith("the format is cvat-xml: ")
    counts = {"read": 4, "drawn": 1, "without_an_outline": 1, "covering_no_pixel": 1,
              "not_drawn": 1, "left_out": 0}  # fmt: skip
    assert table["objects"] | counts == table["objects"] and table["label_files"] == 1
    assert table["images_with_objects"]["covering_no_pixel"] == ["a.png"]
    assert table["images_with_objects"]["without_an_outline"] == ["a.png"]
    assert "a.png, polygon 3 (None) has no label" in table["broken"][0]


SLOW_TOOLS = [pytest.param(name, marks=pytest.mark.slow) for name in TOOLS]


@pytest.mark.parametrize("name", ["yolo-seg", "coco", "labelme", "coco-panoptic", *SLOW_TOOLS])
def test_objects_of_images_that_are_left_out_are_counted(tmp_path, name):
    """Read are all objects of all label files: those of a damaged and a missing image as well."""
    source = {**SOURCES, **TOOL_SOURCES}[name](tmp_path / "in")
    whole = counted(name, source, tmp_path / "all")
    assert whole["read"] == whole["drawn"] + whole["crowds_or_ignored"] and not whole["left_out"]
    (image,) = source.rglob("b2.jpg")
    image.write_bytes(image.read_bytes()[:100])
    own = whole["read"] // 4  # four images
    damaged = counted(name, source, tmp_path / "damaged")
    assert (damaged["read"], damaged["left_out"]) == (whole["read"], own)
    assert damaged["drawn"] == whole["drawn"] - own
    if name not in ("yolo-seg", "separate-masks", "labelme"):  # labelme has it embedded
        image.unlink()
        assert counted(name, source, tmp_path / "missing") == damaged


def counted(name, source, out):
    return json.loads(run_import(name, source, out, "--json").stdout)["objects"]
