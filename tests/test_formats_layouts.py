"""VOC, CamVid, Cityscapes, ADE20K and mattes: synthetic layouts."""

import numpy as np
import pytest
from mutations import grey_png
from PIL import Image
from sources import named, palette, read_source, save

from cli import Refusal
from data.formats.ade20k import short
from data.formats.matte import trimap


def test_voc_lists(tmp_path):
    root = tmp_path / "VOCdevkit/VOC2012"
    for stem in "abcd":
        save(root / f"JPEGImages/{stem}.jpg", np.zeros((1, 1, 3)))
        palette(root / f"SegmentationClass/{stem}.png", np.uint8([[8]]))
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, text in (("train", "a\n"), ("val", "b"), ("trainval", "a\nb\nc\n../../e\n")):
        (lists / f"{name}.txt").write_text(text)
    found = read_source("voc", tmp_path)
    assert named(found) == {
        "a": ("train", [["cat"]]), "b": ("val", [["cat"]]), "c": (None, [["cat"]])
    }  # fmt: skip
    assert len(found.broken) == 1 and found.broken[0].startswith("'../../e' is listed, but")
    (root / "labels.txt").write_text("background\nkitten\n")
    with pytest.raises(Refusal, match=r"a.png contains 8, which has no class; known: 0, 1, 255"):
        read_source("voc", root).items[0].mask()
    (tmp_path / "VOCdevkit/VOC2007/JPEGImages").mkdir(parents=True)
    (tmp_path / "VOCdevkit/VOC2007/SegmentationClass").mkdir()
    with pytest.raises(
        Refusal, match=r"has several datasets: .*VOC2007, .*VOC2012. Name one as SOURCE"
    ):
        read_source("voc", tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_voc_masks_in_colour(tmp_path, mode):
    """Of cat, person and void, with an alpha channel that is opaque or not there."""
    ids = np.zeros((6, 8), np.uint8)
    ids[1:3, 2:5], ids[4, :], ids[0, 0] = 8, 15, 255
    wanted = np.full((6, 8), "background", object)
    wanted[1:3, 2:5], wanted[4, :], wanted[0, 0] = "cat", "person", "-"
    colours = {0: (0, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)}
    values = [[colours[value] for value in row] for row in ids.tolist()]
    save(tmp_path / "JPEGImages/a.jpg", np.zeros((6, 8, 3)))
    save(tmp_path / "SegmentationClass/a.png", values, mode)
    with Image.open(tmp_path / "SegmentationClass/a.png") as image:
        assert image.mode == mode
    found = read_source("voc", tmp_path)
    assert named(found) == {"a": (None, wanted.tolist())} and not found.broken


def test_camvid_folders(tmp_path):
    for name in ("train/a.png", "val/b.png", "train/c.png"):
        save(tmp_path / name, np.zeros((1, 2, 3)))
    for name in ("train_labels/a_L.png", "val_labels/b_L.png", "all/c_L.png"):
        save(tmp_path / name, [[0, 11]])
    found = read_source("camvid", tmp_path)
    assert named(found) == {
        "a": ("train", [["sky", "-"]]), "b": ("val", [["sky", "-"]]), "c": ("train", [["sky", "-"]])
    }  # fmt: skip
    save(tmp_path / "val_labels/d_L.png", [[0]])
    save(tmp_path / "val/e.png", np.zeros((1, 2, 3)))
    lines = read_source("camvid", tmp_path).broken
    assert len(lines) == 2 and "d_L.png has no image d" in lines[0] and "e.png has no" in lines[1]


def test_camvid_images_of_one_name(tmp_path):
    """Neither is imported: which one the mask belongs to is not known. Accents may be in pieces."""
    for name in ("x/a.png", "y/a.png", "cafe\u0301.png", "b.png"):
        save(tmp_path / name, np.zeros((1, 2, 3)))
    for name in ("a_L.png", "caf\u00e9_L.png", "b_L.png"):
        save(tmp_path / name, [[0, 11]])
    found = read_source("camvid", tmp_path)
    assert sorted(named(found)) == ["b", "caf\u00e9"]
    assert found.broken[0].endswith("y/a.png share a name: keep one of them")
    assert found.broken[1].endswith("a_L.png has no image a")


def test_two_masks_of_one_stem(tmp_path):
    for name in ("images/a.jpg", "annotations/a.png", "annotations/a.bmp"):
        save(tmp_path / name, np.zeros((1, 2)))
    with pytest.raises(Refusal, match=r"a.bmp and .*a.png share a stem: keep one of them"):
        read_source("ade20k", tmp_path)


def test_cityscapes_labels_and_a_blank_test(tmp_path):
    for split, ids in (("train", [[7, 33, 0, 255]]), ("test", [[1, 2, 3, 0]])):
        save(tmp_path / f"leftImg8bit/{split}/bonn/x_{split}_leftImg8bit.png", np.zeros((1, 4, 3)))
        save(tmp_path / f"gtFine/{split}/bonn/x_{split}_gtFine_labelIds.png", ids)
    masks = named(read_source("cityscapes", tmp_path))
    assert masks == {"x_train": ("train", [["road", "bicycle", "-", "-"]])}
    path = tmp_path / "gtFine/train/bonn/x_train_gtFine_labelIds.png"
    path.unlink()
    rows = [[26001, 24, 3, 33999]]
    (path.parent / "x_train_gtFine_instanceIds.png").write_bytes(grey_png(16, rows))
    assert named(read_source("cityscapes", tmp_path))["x_train"][1] == [
        ["car", "person", "-", "bicycle"]
    ]


def annotation(objects):
    return f'{{"annotation": {{"object": {objects}}}}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "a.json is damaged"),
        ("[" * 100_000, "a.json is damaged"),
        (annotation("3"), "a.json is damaged"),
        (annotation('[{"parts": {"part_level": 0}, "name_ndx": 1e30, "name": "a"}]'),
         "object 'a' has the value 1e"),
        (annotation('[{"parts": {"part_level": 0}, "name_ndx": 1, "name": [1]}]'),
         r"object \[1\] has the value 1"),
        (annotation("[]"), "has no named objects"),
    ],
)  # fmt: skip
def test_ade20k_damaged_lists(tmp_path, text, message):
    save(tmp_path / "a.jpg", np.zeros((1, 1, 3)))
    save(tmp_path / "a_seg.png", np.zeros((1, 1, 3)))
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(Refusal, match=message):
        read_source("ade20k", tmp_path)


def test_ade20k_short_names():
    names = ["bow, bow of a ship", "car, auto", "bow"]
    assert short(names) == ["bow bow of a ship", "car", "bow"]


def test_trimap():
    matte = np.float32([[0, 0, 0, 0, 0.5, 1, 1, 1, 1]])
    assert trimap(matte, 0.1, 0.9, 0).tolist() == [[0, 0, 0, 0, -1, 1, 1, 1, 1]]
    assert trimap(matte, 0.1, 0.9, 2).tolist() == [[0, 0, -1, -1, -1, -1, -1, 1, 1]]
    # A hard edge gets a band too, equally wide on both sides.
    hard = np.float32([[0, 0, 0, 0, 1, 1, 1, 1]])
    assert trimap(hard, 0.1, 0.9, 0).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert trimap(hard, 0.1, 0.9, 2).tolist() == [[0, 0, -1, -1, -1, -1, 1, 1]]


def test_mattes_of_all_modes(tmp_path):
    """8-bit and 16-bit grey, an alpha channel and the image's own alpha give the same mask."""
    for stem in "abc":
        save(tmp_path / f"images/{stem}.png", np.full((1, 3, 3), 9))
    alpha = np.uint8([[0, 128, 255]])
    save(tmp_path / "masks/a.png", alpha)
    (tmp_path / "masks/b.png").write_bytes(grey_png(16, [[0, 30000, 65535]]))
    Image.fromarray(np.dstack([alpha * 0 + 5] * 3 + [alpha])).save(tmp_path / "masks/c.png")
    Image.fromarray(np.dstack([alpha * 0 + 5] * 3 + [alpha])).save(tmp_path / "d.png")
    truth = [["background", "-", "foreground"]]
    masks = named(read_source("matte", tmp_path, "--band", "0"))
    assert {stem: mask for stem, (_, mask) in masks.items()} == dict.fromkeys("abc", truth)
    own = read_source("matte", tmp_path, "--alpha", "--images", "*.png", "--band", "0")
    assert named(own) == {"d": (None, truth)}
    with pytest.raises(Refusal, match=r"a.png has no alpha channel"):
        read_source("matte", tmp_path, "--alpha").items[0].mask()
    for bad, message in ((["--low", "0.9"], "low < high"), (["--band", "-1"], "0 to 100 pixels")):
        with pytest.raises(Refusal, match=message):
            read_source("matte", tmp_path, *bad)
