"""Class names come from where a format says, in any form that people write, or are asked for."""

import numpy as np
import pytest
from PIL import Image
from sources import named, palette, photo, read_source, save, text

from cli import Refusal
from data.dataset import read_dataset
from data.formats.masks import read_label_map

THREE = {0: 0, 1: 1, 2: 2, 255: -1}


@pytest.mark.parametrize(
    ("name", "lines", "table"),
    [
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n", THREE),
        ("c.txt", "id,name\n0,background\n1,cat\n2,dog\n", THREE),
        ("c.txt", "value;label\r\n0;background\r\n1;cat\r\n2;dog\r\n", THREE),
        ("c.txt", "label\tid\nbackground\t0\ncat\t1\ndog\t2", THREE),
        ("c.csv", "background,0\ncat,7\ndog,9", {0: 0, 7: 1, 9: 2, 255: -1}),
        ("c.csv", "id,name,supercategory\n0,background,x\n1,cat,pet\n2,dog,pet", THREE),
        ("c.csv", 'id,name\n0,background\n1,"cat"\n2,dog', THREE),
        ("c.txt", "id name\n0 background\n1 cat\n2 dog", THREE),
        ("c.csv", "name\nbackground\ncat\ndog\n", THREE),
        ("c.txt", "background\ncat\ndog\n", THREE),
        ("c.txt", "__ignore__\n_background_\ncat\ndog", THREE),
        ("c.csv", "name,r,g,b\nbackground,0,0,0\ncat,1,2,3\ndog,4,5,6",
         {0: 0, 0x010203: 1, 0x040506: 2}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_forms_of_lists(tmp_path, name, lines, table, coding):
    (tmp_path / name).write_bytes(lines.encode(coding))
    label_map = read_label_map(tmp_path / name)
    assert label_map.classes == ["background", "cat", "dog"] and label_map.table == table


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"0 a\n1 b\nc", "2 of 3 lines have the form N NAME, but 'c' has another"),
        (b"0,a,x,y\n1,b,x,y", "has 4 columns, of which it is not clear what they mean"),
        (b"0 a\n0 b", "the value 0 is both 'a' and 'b'"),
        (b"caf\xe9\n", "cannot be read: .*Save it as UTF-8"),
        ("a\nb".encode("utf-16-le"), "contains zero bytes. Save it as UTF-8"),
        (b"# only a comment", "names no class"),
    ],
)
def test_lists_that_are_not_clear(tmp_path, raw, why):
    (tmp_path / "c.txt").write_bytes(raw)
    with pytest.raises(Refusal, match=why):
        read_label_map(tmp_path / "c.txt")


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_dataset_in_any_coding(tmp_path, coding):
    (tmp_path / "dataset.toml").write_bytes('classes = ["ä", "b"]'.encode(coding))
    assert read_dataset(tmp_path).classes == ["ä", "b"]


def test_a_list_in_the_inner_folder(tmp_path):
    for name in "ab":
        photo(tmp_path / f"top/images/{name}.png", 0)
        save(tmp_path / f"top/masks/{name}.png", np.ones((20, 24)))
    text(tmp_path / "top/_classes.csv", "Pixel Value, Class", "0, background", "1, cat")
    assert read_source("folder", tmp_path).classes == ["background", "cat"]
    text(tmp_path / "other/_classes.csv", "Pixel Value, Class", "0, background", "1, dog")
    with pytest.raises(Refusal, match="differ: keep one of them, or name it as --classes"):
        read_source("folder", tmp_path)


def voc(folder, make):
    photo(folder / "JPEGImages/#1.jpg", 0)
    make(folder / "SegmentationClass/#1.png")
    text(folder / "ImageSets/Segmentation/train.txt", "# a comment", "#1")
    return folder


def cats(path):
    palette(path, np.uint8([[0, 8, 255]]))


def test_names_of_voc_only_where_ids_and_palette_fit(tmp_path):
    found = read_source("voc", voc(tmp_path / "fits", cats))
    assert named(found) == {"#1": ("train", [["background", "cat", "-"]])}
    assert "the classes are VOC's 21 (background, aeroplane, bicycle ...)" in found.notes[0]
    grey = voc(tmp_path / "grey", lambda path: save(path, [[0, 8, 255]]))
    with pytest.raises(Refusal, match=r"#1.png contains 0, but not in the colour of a VOC class"):
        read_source("voc", grey)
    assert named(read_source("voc", grey, "--classes", "voc"))["#1"][1][0][1] == "cat"

    def odd(path):
        cats(path)
        image = Image.open(path)
        image.putpalette([0, 0, 0] + [9, 9, 9] * 255)
        image.save(path)

    with pytest.raises(Refusal, match=r"contains 8, but not in the colour.*add --classes FILE"):
        read_source("voc", voc(tmp_path / "odd", odd))


def test_labelme2voc(tmp_path):
    """class_names.txt names the classes; old releases have arrays where the masks are now."""
    source = voc(tmp_path, cats)
    text(tmp_path / "class_names.txt", "_background_", *(f"kind {n}" for n in range(1, 9)))
    assert named(read_source("voc", source))["#1"][1] == [["background", "kind 8", "-"]]
    (source / "SegmentationClass").rename(source / "SegmentationClassPNG")
    (source / "SegmentationClass").mkdir()
    np.save(source / "SegmentationClass/#1.npy", [[0, 8, 255]])
    assert named(read_source("voc", source))["#1"][1] == [["background", "kind 8", "-"]]


@pytest.mark.parametrize(
    ("files", "patterns", "why"),
    [
        (("id/images/x.png", "id/masks/0.png", "id/masks/1.png"), (),
         "x.png has several masks: 0.png, 1.png in .*/masks. One mask an image is read"),
        (("images/a.png", "masks/a_cat.png", "masks/a_dog.png"), (),
         "a.png has several masks: a_cat.png, a_dog.png in"),
        (("images/a.png", "masks/a_mask.png"), (), r"write --masks '\*\*/\*_mask.png'"),
    ],
)  # fmt: skip
def test_several_masks_of_an_image(tmp_path, files, patterns, why):
    for name in files:
        save(tmp_path / name, np.zeros((2, 2)))
    with pytest.raises(Refusal, match=why):
        read_source("folder", tmp_path, *patterns, "--values", "0=a")
