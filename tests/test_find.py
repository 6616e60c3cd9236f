"""The image that an annotation names, found by names of other machines, in every format."""

import json
import unicodedata

import numpy as np
import pytest
from sources import SOURCES, mask_of, photo, read_source, text, written

from cli import Refusal
from data.formats.find import Images, some

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
FILES = (
    "train/images/a.jpg", "val/images/a.jpg", "val/images/b.JPG", "one/c.png", f"one/{NFD}.jpg",
    "one/d_e.jpg", "one/f g.jpg", "one/x:y.jpg", "masks/m.png", "one/A1.jpg", "one/a1.jpg",
    "one/50%.jpg", "two\\h.jpg",
)  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for name in FILES:
        photo(folder / name, 0)
    return Images(folder)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("b.JPG", "val/images/b.JPG"),
        ("..\\..\\label-studio\\media\\upload\\4\\b.JPG", "val/images/b.JPG"),
        ("../../label-studio/data/media/b.jpg", "val/images/b.JPG"),
        ("/home/user/photos/c.png", "one/c.png"),
        ("C:\\Users\\ann\\photos\\c.png", "one/c.png"),
        ("data/local-files/?d=photos/c.png", "one/c.png"),
        ("/data/local-files/?d=some%2Fc.png", "one/c.png"),
        ("https://host/x/c.png?token=a/b", "one/c.png"),
        ("s3://bucket/c.png", "one/c.png"),
        ("c.jpg", "one/c.png"),  # a wrong ending
        ("c", "one/c.png"),  # none
        (f"{NFC}.jpg", f"one/{NFD}.jpg"),
        ("CAFÉ.JPEG", f"one/{NFD}.jpg"),
        ("d:e.jpg", "one/d_e.jpg"),
        ("f%20g.jpg", "one/f g.jpg"),
        ("f_g.jpg", "one/f g.jpg"),
        ("x:y.jpg", "one/x:y.jpg"),
        ("50%.jpg", "one/50%.jpg"),
        ("A1.jpg", "one/A1.jpg"),  # case decides where both exist
        ("h.jpg", "two\\h.jpg"),  # from a zip of Windows
        ("train/images/a.jpg", "train/images/a.jpg"),
        ("/home/me/set/train/images/a.jpg", "train/images/a.jpg"),
        ("D:\\set\\val\\images\\a.jpg", "val/images/a.jpg"),
    ],
)
def test_names(images, name, found):
    path = images.find(name, images.folder, images.folder / "x.json")
    assert path == images.folder / found


def test_the_place_and_the_split_decide(images):
    near = images.folder / "val/images"
    assert images.find("a.jpg", near, near / "x.json") == near / "a.jpg"
    assert images.find("../../train/images/a.jpg", near, near).parts[-3] == "train"
    assert images.find("a.jpg", images.folder, near, "train").parts[-3] == "train"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.jpg", "a.jpg is ambiguous: .*train/images/a.jpg or .*val/images/a.jpg. Keep one"),
        ("other/a.jpg", "is ambiguous"),  # neither lies in a folder of that name
        ("none.jpg", "the image none.jpg is missing: no file in .* Add it, or name its folder"),
        ("m.jpg", "m.jpg is missing"),  # a mask of another ending is no image
        ("/etc/passwd", "missing"),
        ("../../../../etc/passwd", "missing"),
        ("..", "'..' is not a file name"),
        (None, "None is not a file name"),
        ("a\0.jpg", "is not a file name"),
        ("9" * 500, "missing"),
    ],
)
def test_names_that_decide_nothing(images, name, why):
    with pytest.raises(Refusal, match=why):
        images.find(name, images.folder, images.folder / "x.json")


def test_the_first_few_names():
    assert some("abc") == "a, b, c" and some("abcde") == "a, b, c and 2 more"


@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "yolo-seg", "labelme", "voc", "cvat"])
def test_images_in_a_folder_apart(tmp_path, name):
    """Masks are the same when the images lie in the folder of --images, in one heap."""
    source = SOURCES[name](tmp_path / "in")
    wanted = {item.stem: mask_of(item) for item in read_source(name, source).items}
    (tmp_path / "apart").mkdir()
    for path in [*source.rglob("*.jpg")]:
        path.rename(tmp_path / "apart" / path.name)
    found = read_source(name, source, "--images", str(tmp_path / "apart"))
    assert not found.broken and len(found.items) == 4
    for item in found.items:
        assert np.array_equal(mask_of(item), wanted[item.stem])
    with pytest.raises(Refusal, match=r"--images .*/none: no such folder"):
        read_source(name, source, "--images", str(tmp_path / "none"))


def labelme(path, image, **more):
    square = {"label": "cat", "points": [[2, 2], [9, 2], [9, 9]]}
    text(path, json.dumps({"shapes": [square], "imagePath": image, **more}))


def test_a_renamed_image_of_labelme(tmp_path):
    """A stale imagePath leaves the image with the name of the JSON file, unless both exist."""
    for seed, name in enumerate(("new.jpg", "b.jpg", "old/IMG_2.jpg", "c.jpg")):
        photo(tmp_path / name, seed)
    labelme(tmp_path / "new.json", "..\\old name\\IMG_1.jpg")
    labelme(tmp_path / "b.json", "D:\\IMG_2.jpg")
    labelme(tmp_path / "c.json", "c.png")
    found = read_source("labelme", tmp_path)
    assert {item.stem: item.image.name for item in found.items} == {"new": "new.jpg", "c": "c.jpg"}
    (line,) = found.broken
    assert "b.json: its image 'D:\\\\IMG_2.jpg' is ambiguous: " in line and "IMG_2.jpg, " in line


def test_an_image_of_two_labelme_files(tmp_path):
    photo(tmp_path / "a.jpg", 0)
    for name in ("a", "copy"):
        labelme(tmp_path / f"{name}.json", "a.jpg")
    found = read_source("labelme", tmp_path)
    assert not found.items and "a.jpg is listed 2 times, in" in found.broken[0]


def test_kinds_that_are_not_read_are_named(tmp_path):
    for name in ("folder", "yolo-seg", "coco"):
        source = SOURCES[name](tmp_path / name)
        for kind in ("nef", "npy"):
            (source / "sketches").mkdir(exist_ok=True)
            (source / "sketches" / f"camera.{kind}").write_bytes(b"x")
        if name == "yolo-seg":
            (source / "sketches").rename(source / "images" / "sketches")
        lines = written(read_source(name, source), tmp_path / "out" / name).broken
        why = "is of a kind that is not read: convert it to PNG or JPEG"
        assert [line for line in lines if line.endswith(f"camera.nef {why}")]
