"""The folder format: patterns, pairs, splits and label maps."""

import os
from pathlib import Path

import numpy as np
import pytest
from sources import named, read_source, save

from cli import Refusal
from data.formats.masks import (
    files_below,
    split_of,
)


def make(folder, *names, shape=(2, 3)):
    for name in names:
        save(folder / name, np.zeros((*shape, 3) if "mask" not in name else shape))


@pytest.mark.parametrize(
    ("files", "images", "masks", "stems"),
    [
        (["images/a.jpg", "masks/a.png"], None, None, {"a": None}),
        (["train/images/a.jpg", "train/masks/a.png", "valid/images/a.JPG", "valid/masks/a.png"],
         None, None, {"a": "train", "a ": "val"}),
        (["a.jpg", "a_mask.png", "b.jpg", "b_mask.png"], "*", "*_mask.png", {"a": None, "b": None}),
        (["x/1/photo.jpg", "x/1/mask.png", "x/2/photo.jpg", "x/2/mask.png"], "x/*/photo.jpg",
         "x/*/mask.png", {"1": None, "2": None}),
        (["c1/images/0.jpg", "c1/masks/0.png", "c2/images/0.jpg", "c2/masks/0.png"], "*/images/*",
         "*/masks/*", {"c1/0": None, "c2/0": None}),
        (["pics/a.jpg", "mask/test/a.png"], "pics", "mask/*/*", {"a": "test"}),
        (["images/deep/down/a.jpg", "masks/deep/down/a.png"], "images/**", "masks/**/*",
         {"deep/down/a": None}),
        (["images/.a.jpg", "images/a.jpg", "masks/a.png", "masks/Thumbs.db.png/x.txt"], None, None,
         {"a": None}),
    ],
)  # fmt: skip
def test_patterns(tmp_path, files, images, masks, stems):
    make(tmp_path, *(name for name in files if not name.endswith(".txt")))
    options = [] if images is None else ["--images", images, "--masks", masks]
    found = read_source("folder", tmp_path, *options, "--values", "0=a")
    assert not found.broken
    assert sorted((item.stem, item.split) for item in found.items) == sorted(
        (stem.strip(), split) for stem, split in stems.items()
    )
    for item in found.items:
        assert item.mask().tolist() == [[0] * 3] * 2


def test_patterns_in_the_current_folder_and_absolute(tmp_path, monkeypatch):
    make(tmp_path, "photos/a.jpg", "labels/masks/a.png")
    monkeypatch.chdir(tmp_path)
    for images in ("photos/*", f"{tmp_path}/photos/*.jpg", "../photos/*"):
        found = read_source("folder", Path("labels"), "--images", images, "--values", "0=a")
        assert [item.stem for item in found.items] == ["a"]
        assert found.items[0].image.resolve() == tmp_path / "photos/a.jpg"


def test_the_split_is_not_read_from_above_the_source(tmp_path):
    make(tmp_path / "test", "images/a.jpg", "masks/a.png")
    assert read_source("folder", tmp_path / "test", "--values", "0=a").items[0].split is None
    assert split_of(Path("train/a/test/x.png")) == "test"
    assert split_of(Path("a/val")) is None


def test_missing_partners_are_listed(tmp_path):
    make(tmp_path, "images/a.jpg", "masks/a.png", "images/b.jpg", "masks/c.png", "images/d.jpg",
         "masks/d.png", "masks/d.bmp")  # fmt: skip
    found = read_source("folder", tmp_path, "--values", "0=a")
    assert [item.stem for item in found.items] == ["a"]
    lines = "\n".join(found.broken)
    assert "images/b.jpg has no mask" in lines and "masks/c.png has no image" in lines
    assert "images/d.jpg has 2 masks" in lines and len(found.broken) == 3


def test_label_map_is_required(tmp_path):
    make(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", [[0, 255, 9]] * 2)
    with pytest.raises(
        Refusal, match=r"values in the first mask: 0, 9, 255. Add --values 0=background"
    ):
        read_source("folder", tmp_path)
    (tmp_path / "labels.txt").write_text("0 sky\n9 road\n")
    assert named(read_source("folder", tmp_path))["a"][1] == [["sky", "-", "road"]] * 2
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(Refusal, match=r"a.png contains 9, which has no class; known: 0, 255"):
        read_source("folder", tmp_path).items[0].mask()
    (tmp_path / "dataset.toml").write_text("classes = ['a']\nvoid = 9")
    assert named(read_source("folder", tmp_path))["a"][1] == [["a", "-", "-"]] * 2
    found = read_source("folder", tmp_path, "--values", "0=a", "255=b", "9=b")
    assert named(found)["a"][1] == [["a", "b", "b"]] * 2
    with pytest.raises(Refusal, match=r"x/\* matches nothing in .*, in quotes"):
        read_source("folder", tmp_path, "--images", "x/*")


def test_colours_by_values_and_by_a_table(tmp_path):
    make(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", [[[0, 0, 0], [255, 0, 0], [9, 9, 9]]] * 2)
    found = read_source("folder", tmp_path, "--values", "0,0,0=sky", "255,0,0=road", "9,9,9=void")
    assert named(found)["a"][1] == [["sky", "road", "-"]] * 2
    (tmp_path / "t.txt").write_text("0 0 0 sky\n255 0 0 road\n")
    found = read_source("folder", tmp_path, "--classes", str(tmp_path / "t.txt"))
    assert found.colours == [[0, 0, 0], [255, 0, 0]]
    with pytest.raises(Refusal, match=r"a.png contains \(9, 9, 9\), which has no class"):
        found.items[0].mask()


def test_circular_links_and_pipes(tmp_path):
    make(tmp_path, "images/a.jpg")
    (tmp_path / "images/cycle").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "images/self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "images/pipe.png")
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert names == ["images/a.jpg", "images/self.png"]


def test_several_masks_of_an_image_are_told(tmp_path):
    make(tmp_path, "images/a.png", "masks/a_cat.png", "masks/a_dog.png")
    with pytest.raises(Refusal, match=r"a.png has several masks: .* type .* separate-masks"):
        read_source("folder", tmp_path)
    masks = ("01_cat", "01_dog", "02_cat")
    make(tmp_path / "other", "images/1.png", "images/2.png", *(f"masks/{m}.png" for m in masks))
    wanted = r"3 masks for 2 images.*several masks belong to an image, type .* separate-masks"
    with pytest.raises(Refusal, match=wanted):
        read_source("folder", tmp_path / "other")
