"""python -m data import, end to end: classes chosen, splits made, broken items listed."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.__main__ import import_
from data.dataset import read_dataset
from data.formats import Found, Item
from data.formats.imports import Sharing, file_names, write_dataset
from data.formats.selection import select
from data.formats.splits import assign, fraction
from data.images import read_mask, read_pair
from data.layout import VOID

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
CLASSES = "0=sky 1=cat 2=dog 3=tree 9=void".split()


def command(*words, cwd=ROOT):
    words = [sys.executable, "-m", "data", "import", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=environment)


def pair(source, name, values, image=None):
    """An image and a mask, of one value or of many."""
    mask = np.uint8(np.broadcast_to(values, (6, 8)) if np.ndim(values) < 2 else values)
    for folder in ("images", "masks"):
        (source / folder / name).parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*mask.shape, 3), 100, np.uint8) if image is None else image
    Image.fromarray(image).save(source / "images" / f"{name}.png")
    Image.fromarray(mask).save(source / "masks" / f"{name}.png")


def splits(folder):
    return {path.stem: path.parts[-3] for path in folder.glob("*/images/*")}


@pytest.fixture
def source(tmp_path):
    """Images with all of CLASSES, a column each."""
    for name in "abcdefgh":
        pair(tmp_path / "source", name, [0, 1, 2, 3, 9, 0, 0, 0])
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
def test_classes_are_chosen(source, tmp_path, capsys, choice, classes, row):
    import_(["folder", str(source), str(tmp_path / "out"), "--values", *CLASSES, *choice])
    dataset = read_dataset(tmp_path / "out")
    assert dataset.classes == classes
    held = sorted(splits(tmp_path / "out"))
    assert held == list("abcdefgh")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            assert read_mask(images[1], dataset)[0].tolist() == [*row, *row[:1] * 3]
    assert f"{len(classes)} classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (["--only", "dgo"], "no class 'dgo'. Did you mean dog\\? There are: sky, cat, dog, tree"),
        (["--map", "cow=dog"], "no class 'cow'"),
        (["--map", "cow"], "--map cow: write OLD=NEW"),
        (["--merge", "cow"], "--merge cow: write NEW=OLD,OLD"),
        (["--map", "cat=a\nb"], r"a class is called 'a\\nb': its name must be one line"),
        (["--map", "cat=a\x7f"], "a class is called"),
        (["--val", "1.5"], "1.5 is no share: from 0 up to"),
    ],
)
def test_choices_that_make_no_sense(source, tmp_path, choice, words):
    with pytest.raises(Refusal, match=words):
        import_(["folder", str(source), str(tmp_path / "out"), "--values", *CLASSES, *choice])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--only dog S D", "SOURCE, DIR. All words behind --only belong to it: put it behind "
         "SOURCE and DIR. python -m data import folder --help"),
        ("S --only dog D", "DIR. All words behind --only belong to it: put it behind DIR. python"),
        ("--values 1=dog --map dog=cat S D", "All words behind --map and --values belong to it"),
        ("--val 0.3 S", r"required: DIR. python"),
        ("--only=dog S", r"required: DIR. python"),
    ],
)  # fmt: skip
def test_an_option_that_took_the_source(words, said):
    with pytest.raises(Refusal, match=said):
        import_(["folder", *words.split()])


def test_colours_follow_their_classes():
    found = select(["sky", "cat", "dog"], {"cat": "animal", "dog": "animal"}, ["animal"])
    assert found.kept == [None, 1] and found.table.tolist() == [0, 1, 1, VOID]
    with pytest.raises(Refusal, match="256 classes, an 8-bit mask holds at most 255"):
        select([str(i) for i in range(256)])
    assert len(select([str(i) for i in range(256)], only=["7"]).classes) == 2


# Splits


def test_splits_do_not_move_when_images_are_added(tmp_path):
    source = tmp_path / "source"
    for i in range(30):
        pair(source, f"p{i}", [0, 1] * 4)
    words = ["--values", "0=sky", "1=cat", "--val", "0.3", "--test", "0.2"]
    assert command("folder", source, tmp_path / "a", *words).returncode == 0
    for i in range(30, 60):
        pair(source, f"p{i}", [0, 1] * 4)
    assert command("folder", source, tmp_path / "b", *words).returncode == 0
    before, after = splits(tmp_path / "a"), splits(tmp_path / "b")
    assert len(before) == 30 and len(after) == 60 and before.items() <= after.items()
    assert set(before.values()) == {"train", "val", "test"}
    # Independent of the code: the hash says where a name stands between 0 and 1.
    import hashlib

    for name, split in after.items():
        at = int(hashlib.sha256(f"0 {name}".encode()).hexdigest(), 16) / 2**256
        assert split == ("test" if at < 0.2 else "val" if at < 0.5 else "train")


def test_shares_are_kept_and_the_seed_counts():
    names = [f"image {i}" for i in range(4000)]
    present = [frozenset([0])] * 4000
    made = assign(names, present, val=0.15, test=0.1, seed=0)
    for split, share in (("train", 0.75), ("val", 0.15), ("test", 0.1)):
        # Three standard deviations of a share of 4000 draws.
        assert abs(made.count(split) / 4000 - share) < 3 * (share * (1 - share) / 4000) ** 0.5
    assert made != assign(names, present, val=0.15, test=0.1, seed=1)
    assert assign(names, present, val=0.0, test=0.0, seed=0) == ["train"] * 4000


def test_a_rare_class_is_in_both_train_and_val():
    names = [f"p{i}" for i in range(100)]
    order = sorted(names, key=lambda name: fraction(name, 0))  # val has the lowest
    for rare in (order[-2:], order[:2]):  # all in train, all in val
        present = [frozenset([0, 1] if name in rare else [0]) for name in names]
        made = dict(zip(names, assign(names, present, 0.15, 0.0, 0), strict=True))
        assert {made[name] for name in rare} == {"train", "val"}
    lone = [frozenset([0, 1] if name == order[-1] else [0]) for name in names]
    assert dict(zip(names, assign(names, lone, 0.15, 0.0, 0), strict=True))[order[-1]] == "train"


def test_groups_stay_together(tmp_path, capsys):
    for i in range(60):
        pair(tmp_path / "source", f"film{i % 12}_{i}", 0)
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky",
             "--val", "0.4", "--group", r"^(film\d+)_"])  # fmt: skip
    films = {}
    for stem, split in splits(tmp_path / "out").items():
        films.setdefault(stem.split("_")[0], set()).add(split)
    assert len(films) == 12 and all(len(where) == 1 for where in films.values())
    assert {min(where) for where in films.values()} == {"train", "val"}


def test_splits_of_the_source_are_kept(tmp_path, capsys):
    for name in ("train/a", "train/b", "val/c", "test/d", "e", "f", "g", "h"):
        pair(tmp_path / "source", name, 0)
    words = ["--images", "images/**/*", "--masks", "masks/**/*", "--values", "0=sky"]
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), *words, "--val", "0.5"])
    made = splits(tmp_path / "out")
    own = {"a": "train", "b": "train", "c": "val", "d": "test"}
    assert own.items() <= made.items()
    assert {made[name] for name in "efgh"} == {"train"}  # the source's own val is enough


# What is broken


def test_broken_items_are_listed_and_the_sound_ones_imported(source, tmp_path):
    raw = (source / "images/a.png").read_bytes()
    (source / "images/a.png").write_bytes(raw[:60])
    cv2.imwrite(str(source / "masks/b.png"), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(source / "masks/c.png"), np.full((6, 8), 77, np.uint8))
    (source / "masks/d.png").unlink()
    (source / "images" / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    pair(source, "x" * 240, 0)
    end = command("folder", source, tmp_path / "out", "--values", *CLASSES)
    assert end.returncode == 2 and "Traceback" not in end.stderr
    first, *lines = end.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/out: train ") and first.endswith("; 4 classes")
    assert all(line.startswith("broken: ") for line in lines)
    text = "\n".join(lines)
    for words in (
        "images/a.png is",
        "images/b.png is 6x8 (HxW), its mask 5x5",
        "masks/c.png holds 77",
        "images/d.png has no mask",
        "\\udcff.png has no mask",
    ):
        assert words in text
    assert len(lines) == 5
    assert end.stderr.endswith("error: 5 could not be imported and are listed above; "
                               "the rest was\n")  # fmt: skip
    assert sorted(splits(tmp_path / "out")) == [*"efgh", "x" * 200]


def test_a_folder_that_exists_is_refused_and_kept(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    end = command("folder", source, tmp_path / "out", "--values", *CLASSES)
    assert end.returncode == 2 and end.stdout == ""
    assert f"error: {tmp_path}/out exists: choose a new folder" in end.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "out/mine.txt").unlink()
    end = command("folder", "source", "out", "--values", *CLASSES, cwd=tmp_path)
    assert end.returncode == 0 and end.stdout.startswith("out: train ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_nothing_sound_leaves_nothing(tmp_path):
    pair(tmp_path / "source", "a", 7)
    with pytest.raises(Refusal, match=r"nothing in the source is sound. First of 1: .*a.png holds"):
        import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match=r"cannot write .*file/out"):
        import_(["folder", str(tmp_path / "source"), str(tmp_path / "file/out"),
                 "--values", "7=sky"])  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "source"]


def test_masks_with_ids_that_no_class_has(tmp_path):
    Image.new("RGB", (2, 1)).save(tmp_path / "a.png")
    for id_ in (-2, 1):
        item = Item("a", tmp_path / "a.png", lambda id_=id_: np.array([[0, id_]]))
        with pytest.raises(Refusal, match=f"a.png: its mask holds id {id_}, there are 1 classes"):
            write_dataset(Found(["a"], [item], []), tmp_path / "out", select(["a"]), Sharing())


def test_file_names():
    assert file_names(["a", "A", "a_2", "../b", "", "c:d", ". e.", "\ud800"]) == [
        "a", "A_2", "a_2_2", "_b", "image", "c_d", "e", "_"
    ]  # fmt: skip
    (long,) = file_names(["å" * 300])
    assert len(os.fsencode(long)) == 200


def test_images_of_other_endings_become_png(tmp_path, capsys):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    pair(tmp_path / "source", "a", 0)
    (tmp_path / "source/images/a.png").unlink()
    Image.fromarray(image).save(tmp_path / "source/images/a.tif")
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    assert np.array_equal(np.array(Image.open(tmp_path / "out/train/images/a.png")), image)


# EXIF


def corner(orientation, side=16):
    """(what EXIF shows, how the bytes lie): an image whose quarters all differ, and its mask."""
    shown = np.zeros((2 * side, 3 * side), np.uint8)
    shown[:side, :side], shown[:side, side:], shown[side:, :side] = 3, 2, 1
    to_raw = {  # EXIF 2.3, 4.6.4, tag 0x0112, undone
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: np.transpose, 6: np.rot90, 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    return shown, np.ascontiguousarray(to_raw[orientation](shown))


def save_turned(path, mask, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(mask[..., None] * 80, 3, -1)).save(path, exif=exif, quality=95)


def image_as_ids(pair, dataset):
    image, mask = read_pair(pair, dataset)
    return np.round(image[..., 1] / 80).astype(int), mask


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_of_turned_images(tmp_path, orientation, capsys):
    """Masks as the image is shown, for any turn; as its bytes lie, for quarter turns."""
    shown, raw = corner(orientation)
    for name, mask in (("shown", shown), ("raw", raw)):
        if name == "raw" and orientation < 5:
            continue
        pair(tmp_path / name, "a", mask)
        save_turned(tmp_path / name / "images/a.jpg", raw, orientation)
        (tmp_path / name / "images/a.png").unlink()
        out = tmp_path / f"{name}-out"
        import_(["folder", str(tmp_path / name), str(out), "--values", *CLASSES[:4]])
        dataset = read_dataset(out)
        ids, mask = image_as_ids(dataset.pairs("train")[0], dataset)
        assert np.array_equal(ids, shown) and np.array_equal(mask, shown)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_formats_that_know_their_masks_lie_raw(tmp_path, orientation):
    shown, raw = corner(orientation)
    save_turned(tmp_path / "a.jpg", raw, orientation)
    found = Found(list("abcd"), [Item("a", tmp_path / "a.jpg", lambda: raw, turned=False)], [])
    write_dataset(found, tmp_path / "out", select(found.classes), Sharing())
    dataset = read_dataset(tmp_path / "out")
    ids, mask = image_as_ids(dataset.pairs("train")[0], dataset)
    assert np.array_equal(ids, shown) and np.array_equal(mask, shown)


def test_a_damaged_exif_block_turns_nothing(tmp_path, capsys):
    pair(tmp_path / "source", "a", 0)
    path = tmp_path / "source/images/a.png"
    Image.open(path).copy().save(path, exif=b"Exif\0\0garbage")
    import_(["folder", str(tmp_path / "source"), str(tmp_path / "out"), "--values", "0=sky"])
    assert splits(tmp_path / "out") == {"a": "train"}


# Genuine sets, from command lines as they stand in the README


def genuine(name):
    if not (SHARED / name).exists():
        pytest.skip(f"shared/data/{name} is not on this machine")
    return SHARED / name


def test_voc_pets(tmp_path):
    source = genuine("voc_pets")
    end = command("voc", source, tmp_path / "pets", "--values", "0=background", "1=cat", "2=dog")
    assert end.returncode == 0, end.stderr
    assert end.stdout == f"{tmp_path}/pets: train 19, val 7; 3 classes\n"
    dataset = read_dataset(tmp_path / "pets")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            truth = np.array(Image.open(source / "SegmentationClass" / images[1].name))
            assert np.array_equal(read_pair(images, dataset)[1], truth)


@pytest.mark.slow
def test_clothing_classes(tmp_path):
    source = genuine("ccp59")
    words = ("--images", "../ccp_person/*/images/*")
    end = command("folder", source, tmp_path / "ccp59", *words)
    assert end.stdout == f"{tmp_path}/ccp59: train 803, val 201; 59 classes\n", end.stderr
    dataset = read_dataset(tmp_path / "ccp59")
    for split in ("train", "val"):
        for images in dataset.pairs(split):
            truth = np.array(Image.open(source / split / "masks" / images[1].name))
            assert np.array_equal(read_pair(images, dataset)[1], truth)
