"""python -m data import, end to end: selection of classes, broken items, real datasets."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image
from sources import real_data, run_import, splits_of, write_pair, written

from cli import Refusal
from data.__main__ import import_
from data.dataset import read_dataset
from data.formats import Found, Item
from data.formats.imports import file_names
from data.formats.selection import select
from data.images import read_mask, read_pair
from data.layout import VOID

CLASSES = "0=sky 1=cat 2=dog 3=tree 9=void".split()


@pytest.fixture
def source(tmp_path):
    """Eight images whose masks contain all of CLASSES, in columns."""
    for name in "abcdefgh":
        write_pair(tmp_path / "source", name, [0, 1, 2, 3, 9, 0, 0, 0])
    return tmp_path / "source"


@pytest.mark.parametrize(
    ("choice", "classes", "row"),
    [
        ([], ["sky", "cat", "dog", "tree"], [0, 1, 2, 3, VOID]),
        (["--map", "dog=hound", "tree=void"], ["sky", "cat", "hound"], [0, 1, 2, VOID, VOID]),
        (["--merge", "animal=cat,dog"], ["sky", "animal", "tree"], [0, 1, 1, 2, VOID]),
        (["--only", "dog", "cat"], ["background", "dog", "cat"], [0, 2, 1, 0, VOID]),
        (["--merge", "animal=cat,dog", "--map", "tree=void", "--only", "animal"],
         ["background", "animal"], [0, 1, 1, VOID, VOID]),
        (["--map", "sky=background", "--only", "cat"], ["background", "cat"], [0, 1, 0, 0, VOID]),
    ],
)  # fmt: skip
def test_selection_of_classes(source, tmp_path, capsys, choice, classes, row):
    import_(["folder", str(source), str(tmp_path / "out"), "--values", *CLASSES, *choice])
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == classes
    held = sorted(splits_of(tmp_path / "out"))
    assert held == list("abcdefgh")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            assert read_mask(images[1], dataset)[0].tolist() == [*row, *row[:1] * 3]
    assert f"{len(classes)} classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (["--only", "dgo"], "no class 'dgo'. Did you mean dog\\? Choose from: sky, cat, dog, tree"),
        (["--map", "cow=dog"], "no class 'cow'"),
        (["--map", "cow"], "--map cow: write OLD=NEW"),
        (["--merge", "cow"], "--merge cow: write NEW=OLD,OLD"),
        (
            ["--map", "cat=a\nb"],
            r"the class name 'a\\nb' contains the invisible or control character \\n: type another",
        ),
        (["--map", "cat=a\x7f"], r"the class name 'a\\x7f' contains the invisible or control"),
        (["--val", "1.5"], "1.5 is not a fraction; needed: from 0 to below 1"),
    ],
)
def test_invalid_choices(source, tmp_path, choice, message):
    with pytest.raises(Refusal, match=message):
        import_(["folder", str(source), str(tmp_path / "out"), "--values", *CLASSES, *choice])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--only dog S D", "SOURCE, DIR. --only takes all the words that follow it: put SOURCE and "
         "DIR before it. python -m data import folder --help"),
        ("S --only dog D", "DIR. --only takes all the words that follow it: put DIR before it. py"),
        ("--values 1=dog --map dog=cat S D", "--map and --values take all the words that follow"),
        ("--val 0.3 S", r"required: DIR. python"),
        ("--only=dog S", r"required: DIR. python"),
    ],
)  # fmt: skip
def test_an_option_that_consumes_the_source(options, message):
    with pytest.raises(Refusal, match=message):
        import_(["folder", *options.split()])


def test_selection_keeps_colours():
    found = select(["sky", "cat", "dog"], {"cat": "animal", "dog": "animal"}, ["animal"])
    assert found.kept == [None, 1] and found.table.tolist() == [0, 1, 1, VOID]
    with pytest.raises(Refusal, match="256 classes are too many: an 8-bit mask holds at most 255"):
        select([str(i) for i in range(256)])
    assert len(select([str(i) for i in range(256)], only=["7"]).classes) == 2


def test_broken_items_are_listed_and_the_others_imported(source, tmp_path):
    raw = (source / "images/a.png").read_bytes()
    (source / "images/a.png").write_bytes(raw[:60])
    cv2.imwrite(str(source / "masks/b.png"), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(source / "masks/c.png"), np.full((6, 8), 77, np.uint8))
    (source / "masks/d.png").unlink()
    (source / "images" / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    write_pair(source, "x" * 240, 0)
    end = run_import("folder", source, tmp_path / "out", "--values", *CLASSES)
    assert end.returncode == 1 and "Traceback" not in end.stderr
    lines, _, table = end.stdout.partition(f"\n{tmp_path}/out: train ")
    lines = lines.splitlines()
    assert table.partition("\n")[0].endswith("; 4 classes")
    assert all(line.startswith("broken: ") for line in lines)
    text = "\n".join(lines)
    for message in (
        "images/a.png is",
        "images/b.png is 6x8 (HxW), but its mask is 5x5",
        "masks/c.png contains 77",
        "images/d.png has no mask",
        "\\udcff.png has no mask",
    ):
        assert message in text
    assert len(lines) == 5
    assert end.stderr.endswith("broken and left out: 5, listed above; "
                               "the rest was imported\n")  # fmt: skip
    assert sorted(splits_of(tmp_path / "out")) == [*"efgh", "x" * 200]


def test_a_folder_that_exists_is_refused_and_kept(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    end = run_import("folder", source, tmp_path / "out", "--values", *CLASSES)
    assert end.returncode == 2 and end.stdout == ""
    assert f"error: {tmp_path}/out exists: name a new or an empty folder" in end.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "out/mine.txt").unlink()
    end = run_import("folder", "source", "out", "--values", *CLASSES, cwd=tmp_path)
    assert end.returncode == 0 and end.stdout.startswith("out: train ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_failed_import_leaves_no_folder(tmp_path):
    write_pair(tmp_path / "source", "a", 7)
    with pytest.raises(
        Refusal, match=r"no item in the source is valid. Broken items: 1; the first: .*a.png"
    ):
        import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match=r"cannot write .*file/out"):
        import_(["folder", str(tmp_path / "source"), str(tmp_path / "file/out"),
                 "--values", "7=sky"])  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "source"]


def test_masks_with_ids_out_of_range(tmp_path):
    Image.new("RGB", (2, 1)).save(tmp_path / "a.png")
    for id_ in (-2, 1):
        item = Item("a", tmp_path / "a.png", lambda id_=id_: np.array([[0, id_]]))
        with pytest.raises(Refusal, match=f"a.png: its mask has id {id_}, but there are 1 classes"):
            written(Found(["a"], [item], []), tmp_path / "out")


def test_file_names():
    assert file_names(["a", "A", "a_2", "../b", "", "c:d", ". e.", "\ud800"]) == [
        "a", "A_2", "a_2_2", "_b", "image", "c_d", "e", "_"
    ]  # fmt: skip
    (long,) = file_names(["å" * 300])
    assert len(os.fsencode(long)) == 200


def test_images_with_other_endings_become_png(tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    write_pair(tmp_path / "source", "a", 0)
    (tmp_path / "source/images/a.png").unlink()
    Image.fromarray(image).save(tmp_path / "source/images/a.tif")
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    assert np.array_equal(np.array(Image.open(tmp_path / "out/train/images/a.png")), image)


def test_voc_pets(tmp_path):
    source = real_data("voc_pets")
    end = run_import("voc", source, tmp_path / "pets", "--values", "0=background", "1=cat", "2=dog")
    assert end.returncode == 0, end.stderr
    assert end.stdout.startswith(f"{tmp_path}/pets: train 19, val 7; 3 classes\n")
    dataset = read_dataset(tmp_path / "pets")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            truth = np.array(Image.open(source / "SegmentationClass" / images[1].name))
            assert np.array_equal(read_pair(images, dataset)[1], truth)


@pytest.mark.slow
def test_clothing_classes(tmp_path):
    source = real_data("ccp59")
    options = ("--images", "../ccp_person/*/images/*")
    end = run_import("folder", source, tmp_path / "ccp59", *options)
    assert f"{tmp_path}/ccp59: train 803, val 201; 59 classes\n" in end.stdout, end.stderr
    dataset = read_dataset(tmp_path / "ccp59")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            truth = np.array(Image.open(source / split / "masks" / images[1].name))
            assert np.array_equal(read_pair(images, dataset)[1], truth)
