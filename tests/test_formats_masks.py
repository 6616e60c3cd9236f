"""Formats whose masks are images, compared with what Pillow alone reads; zips that do harm."""

import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cli
from cli import Refusal
from data.formats import module_of
from data.formats.ade20k import short
from data.formats.archives import opened
from data.formats.masks import (
    BLOCK,
    Meaning,
    files_below,
    given_values,
    read_classes,
    read_ids,
    split_of,
    to_classes,
)
from data.formats.matte import three_ways
from files import write_json

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
FIXTURES = SHARED / "datumaro_fixtures"


def read(name, source, *words):
    """Found, as python -m data import has it."""
    format_ = module_of(name)
    parser = cli.parser("test", "")
    getattr(format_, "add_arguments", lambda parser: None)(parser)
    return format_.read(source, parser.parse_args(words))


def genuine(path):
    if not path.exists():
        pytest.skip(f"{path.relative_to(ROOT.parent)} is not on this machine")
    return path


def pixels(path):
    return np.array(Image.open(path))


def save(path, values, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).convert(mode).save(path)


def named(found):
    """Stem to (split, mask with the names of classes, "-" where it is not scored)."""
    names = np.array([*found.classes, "-"])
    return {item.stem: (item.split, names[item.mask()].tolist()) for item in found.items}


# Genuine sets


def test_voc_pets():
    source = genuine(SHARED / "voc_pets")
    found = read("voc", source, "--values", "0=background", "1=cat", "2=dog")
    assert found.classes == ["background", "cat", "dog"] and not found.broken
    for split, count in (("train", 19), ("val", 7)):
        lines = (source / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        assert sorted(item.stem for item in found.items if item.split == split) == sorted(lines)
        assert len(lines) == count
    for item in found.items:
        truth = pixels(source / "SegmentationClass" / f"{item.stem}.png").astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))
        assert item.image == source / "JPEGImages" / f"{item.stem}.jpg"


def test_images_and_masks_of_one_stem_in_one_folder():
    source = genuine(SHARED / "voc_pets/genuine_stem_collision")
    found = read("folder", source, "--images", "*.jpg", "--masks", "*.png",
                 "--values", "0=other", "1=cat", "255=void")  # fmt: skip
    assert len(found.items) == 2 and not found.broken
    for item in found.items:
        truth = pixels(item.image.with_suffix(".png")).astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))


@pytest.mark.parametrize("rgb", [False, True])
def test_voc_2012_by_palette_and_by_colour(tmp_path, rgb):
    source = genuine(SHARED / "voc_samples/VOC")
    for path in source.iterdir():
        folder = tmp_path / ("JPEGImages" if path.suffix == ".jpg" else "SegmentationClass")
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
        if rgb and path.suffix == ".png":
            Image.open(path).convert("RGB").save(folder / path.name)
    found = read("voc", tmp_path)
    assert len(found.items) == 4 and len(found.classes) == 21
    assert found.classes[12] == "dog" and found.classes[15] == "person"
    for item in found.items:
        indices = Image.open(source / f"{item.stem}.png")
        truth = np.array(indices).astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))
        palette = np.array(indices.getpalette()).reshape(-1, 3)
        assert found.colours == palette[:21].tolist()


def test_camvid_in_32_colours():
    source = genuine(SHARED / "camvid_colour10")
    found = read("camvid", source)
    assert len(found.items) == 10 and len(found.classes) == 31 and not found.broken
    lines = (source / "label_colors.txt").read_text().split("\n")
    table = {name: tuple(map(int, rgb.split())) for rgb, name in (x.split("\t") for x in lines)}
    for item in found.items:
        truth = pixels(source / "masks" / f"{item.stem}_L.png")
        drawn = np.array([*(table[name] for name in found.classes), table["Void"]])[item.mask()]
        assert np.array_equal(drawn, truth)
    assert found.colours[found.classes.index("Road")] == [128, 64, 128]


def test_camvid_without_a_table_of_colours():
    source = genuine(FIXTURES / "camvid_dataset")
    masks = named(read("camvid", source))
    assert {stem: split for stem, (split, _) in masks.items()} == {
        "0001TP_006690": "train", "0016E5_07959": "val",
        "0001TP_008550": "test", "0001TP_008580": "test",
    }  # fmt: skip
    # Pillow: (0, 128, 192) bicyclist and (128, 64, 128) road; the rest is by the table too.
    by_colour = {(0, 128, 192): "Bicyclist", (128, 64, 128): "Road"}
    truth = pixels(source / "trainannot/0001TP_006690.png")
    assert masks["0001TP_006690"][1] == [[by_colour[tuple(c)] for c in truth[0].tolist()]]


def test_cvat(tmp_path):
    source = genuine(SHARED / "cvat_mask")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, path.relative_to(source))
    for form in (source, tmp_path / "task.zip"):
        found = read("cvat", form)
        assert found.classes == ["background", "tool"] and len(found.items) == 8
        assert found.colours == [[0, 0, 0], [250, 50, 83]]
        for item in found.items[:3]:
            truth = pixels(source / "SegmentationClass" / f"{item.stem}.png")
            assert np.array_equal(item.mask(), (truth == (250, 50, 83)).all(-1))


def test_ade20k_scene_parsing():
    source = genuine(SHARED / "ade20k")
    found = read("ade20k", source)
    assert len(found.classes) == 150 and found.classes[:3] == ["wall", "building", "sky"]
    rows = (source / "objectInfo150.csv").read_text().splitlines()[1:]  # ; for , and for a space
    for number, (name, row) in enumerate(zip(found.classes, rows, strict=True), 1):
        words = row.split(",")
        assert int(words[0]) == number and words[5].startswith(name.replace(" ", ";"))
    assert len(set(found.classes)) == 150
    for item in found.items:
        truth = pixels(source / "annotations" / f"{item.stem}.png").astype(int)
        assert np.array_equal(item.mask(), truth - 1)


def test_ade20k_full_releases():
    # 2017: B is 1 and 2, the objects sky and person of the list; 2020: R // 10 * 256 + G is 1831,
    # the name_ndx of person, and 401, that of car.
    found = read("ade20k", genuine(FIXTURES / "ade20k2017_dataset/dataset"))
    rows = [["-", "sky", "person", other] for other in ("person", "sky")]
    assert named(found) == {"1": ("train", [rows[0]] * 3), "2": ("val", [rows[1]] * 3)}
    found = read("ade20k", genuine(FIXTURES / "ade20k2020_dataset/dataset"))
    row = ["-", "person", "car", "car", "car"]
    assert named(found) == {"1": ("train", [row] * 5), "2": ("val", [row] * 5)}


def test_ade20k_genuine_raw_colours(tmp_path):
    """The raw mask, by class number, agrees with the conversion that came with it."""
    source = genuine(SHARED / "ade20k/convertFromADE")
    raw, truth = (Image.open(source / f"ADE_train_00000970_{n}.png") for n in ("raw", "challenge"))
    numbers = {}  # full set to 150
    for line in (source / "mapFromADE.txt").read_text().splitlines():
        challenge, full = line.split()
        numbers[int(full)] = int(challenge)
    red, green, _ = np.moveaxis(np.array(raw).astype(int), -1, 0)
    objects = [
        {"name": str(n), "name_ndx": int(n), "parts": {"part_level": 0}}
        for n in np.unique(red // 10 * 256 + green)
        if n
    ]
    write_json(tmp_path / "a.json", {"annotation": {"object": objects}})
    raw.save(tmp_path / "a_seg.png")
    save(tmp_path / "a.jpg", np.zeros((768, 1024, 3)))
    found = read("ade20k", tmp_path)
    table = np.array([*(numbers.get(int(name), 0) for name in found.classes), 0])
    ours = Image.fromarray(table[found.items[0].mask()].astype(np.uint8))
    ours = np.array(ours.resize(truth.size, Image.NEAREST))
    assert (ours == np.array(truth)).mean() > 0.99  # they shrank it by a rule of their own


def test_cityscapes():
    # Ids 3 and 1 are not scored; 27 truck, 12 wall, 31 train, 24 person.
    for name in ("dataset", "train_dataset"):  # instanceIds, 8 bits; labelTrainIds
        source = genuine(FIXTURES / "cityscapes_dataset" / name)
        found = read("cityscapes", source)
        assert len(found.classes) == 19 and not found.broken
        masks = named(found)
        assert {split for split, _ in masks.values()} == {"train", "val", "test"}
        start = "defaultcity_0000"
        held = {stem: set(mask[0]) for stem, (_, mask) in masks.items()}
        assert held == {
            f"{start}02_000045": {"-", "person"}, f"{start}01_000019": {"-"},
            f"{start}01_000031": {"-", "truck"}, f"{start}01_000032": {"-", "wall", "train"},
        }  # fmt: skip


def test_clothing_classes_with_images_of_another_tree():
    source = genuine(SHARED / "ccp59")
    found = read("folder", source, "--images", "../ccp_person/*/images/*")
    assert found.classes == (source / "classes.txt").read_text().split("\n")[:59]
    splits = [item.split for item in found.items]
    assert (splits.count("train"), splits.count("val")) == (803, 201) and not found.broken
    for item in found.items[::100]:
        truth = pixels(source / item.split / "masks" / f"{item.stem}.png")
        assert np.array_equal(item.mask(), truth)
        split, folder, name = item.image.parts[-3:]
        assert (split, folder, Path(name).stem) == (item.split, "images", item.stem)


def test_a_folder_of_ours():
    found = read("folder", genuine(SHARED / "lip"))
    assert len(found.items) == 654 and found.items[0].split == "train"
    item = found.items[5]
    assert np.array_equal(item.mask(), pixels(SHARED / "lip/train/masks" / f"{item.stem}.png"))


# Numbers and colours


def grey_png(bits, rows, claimed=None):
    """A grey PNG of any depth, by the specification: what Pillow cannot write."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", *(claimed or (len(rows[0]), len(rows))), bits, 0, 0, 0, 0)
    lines = b""
    for row in rows:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        lines += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_of_any_depth(tmp_path, bits):
    rows = [[0, 1, min(2, 2**bits - 1)], [2**bits - 1, 0, 1]]
    (tmp_path / "m.png").write_bytes(grey_png(bits, rows))
    assert read_ids(tmp_path / "m.png").astype(int).tolist() == rows


@pytest.mark.parametrize("mode", ["P", "LA", "RGB", "RGBA"])
def test_numbers_in_any_mode(tmp_path, mode):
    save(tmp_path / "m.png", [[0, 3], [7, 255]])
    image = Image.open(tmp_path / "m.png")
    if mode == "P":
        image = image.copy()
        image.putpalette(list(range(255, -1, -1)) * 3)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "n.png")
    assert Image.open(tmp_path / "n.png").mode == mode
    assert read_ids(tmp_path / "n.png").tolist() == [[0, 3], [7, 255]]


def test_masks_that_hold_no_numbers(tmp_path):
    save(tmp_path / "rgb.png", [[[1, 2, 3]]])
    Image.fromarray(np.float32([[0.5]])).save(tmp_path / "f.tif")
    save(tmp_path / "cmyk.tif", [[[1, 2, 3]]], "CMYK")
    raw = (tmp_path / "rgb.png").read_bytes()
    (tmp_path / "half.png").write_bytes(raw[: raw.index(b"IDAT") + 6])
    (tmp_path / "huge.png").write_bytes(grey_png(8, [[0]], claimed=(40000, 50000)))
    for name, words in (
        ("rgb.png", "in colours"), ("f.tif", "fractions"), ("cmyk.tif", "mode CMYK"),
        ("half.png", "half.png is damaged"), ("huge.png", "40000x50000 pixels"),
    ):  # fmt: skip
        with pytest.raises(Refusal, match=words):
            read_ids(tmp_path / name)


def test_numbers_to_classes_at_the_edges_of_a_block():
    means = Meaning(["a", "b"], {0: 0, 300: 1, 65535: -1})
    numbers = np.zeros((1, BLOCK + 2), np.uint16)
    numbers[0, BLOCK - 1 : BLOCK + 1] = 300, 65535
    mask = to_classes(numbers, means, Path("m.png"))
    assert mask[0, -4:].tolist() == [0, 1, -1, 0] and not mask[0, :-4].any()
    for odd in (1, 301, 65534):
        numbers[0, -1] = odd
        with pytest.raises(Refusal, match=f"m.png holds {odd}, which no class has; known: 0, 300"):
            to_classes(numbers, means, Path("m.png"))


@pytest.mark.parametrize(
    ("text", "classes", "table"),
    [
        ("sky\nroad\n", ["sky", "road"], {0: 0, 1: 1, 255: -1}),
        ("\ufeff# names\n0 sky\n7: road way\n9\tvoid", ["sky", "road way"],
         {0: 0, 7: 1, 9: -1, 255: -1}),
        ("void\nsky\n2 wheels", ["sky", "2 wheels"], {0: -1, 1: 0, 2: 1, 255: -1}),
        ("0 0 0\tVoid\r\n1 2 3\tsky", ["sky"], {0: -1, 0x010203: 0}),
        ("# label:color_rgb:parts:actions\nsky:1,2,3::\nroad:255,0,0:a,b:\n", ["sky", "road"],
         {0x010203: 0, 0xFF0000: 1}),
        ("name,r,g,b\nsky,1,2,3\nroad, 255, 0, 0", ["sky", "road"], {0x010203: 0, 0xFF0000: 1}),
    ],
)  # fmt: skip
def test_lists_of_names(tmp_path, text, classes, table):
    (tmp_path / "l.txt").write_bytes(text.encode())
    means = read_classes(tmp_path / "l.txt")
    assert (means.classes, means.table) == (classes, table)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1"], "--values 1: write N=CLASS"),
        (["1=a", "1,2,3=b"], "either numbers or colours"),
        (["1,2,300=b"], "go from 0 to 255"),
        (["1=void"], "no class is named, or void alone"),
    ],
)
def test_values_that_make_no_sense(values, words):
    with pytest.raises(Refusal, match=words):
        given_values(values)


# The folder format


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
    words = [] if images is None else ["--images", images, "--masks", masks]
    found = read("folder", tmp_path, *words, "--values", "0=a")
    assert not found.broken
    assert sorted((item.stem, item.split) for item in found.items) == sorted(
        (stem.strip(), split) for stem, split in stems.items()
    )
    for item in found.items:
        assert item.mask().tolist() == [[0] * 3] * 2


def test_patterns_below_the_current_folder_and_absolute(tmp_path, monkeypatch):
    make(tmp_path, "photos/a.jpg", "labels/masks/a.png")
    monkeypatch.chdir(tmp_path)
    for images in ("photos/*", f"{tmp_path}/photos/*.jpg", "../photos/*"):
        found = read("folder", Path("labels"), "--images", images, "--values", "0=a")
        assert [item.stem for item in found.items] == ["a"]
        assert found.items[0].image.resolve() == tmp_path / "photos/a.jpg"


def test_a_split_is_not_read_from_where_the_source_lies(tmp_path):
    make(tmp_path / "test", "images/a.jpg", "masks/a.png")
    assert read("folder", tmp_path / "test", "--values", "0=a").items[0].split is None
    assert split_of(Path("train/a/test/x.png")) == "test"
    assert split_of(Path("a/val")) is None


def test_partners_that_lack_are_named(tmp_path):
    make(tmp_path, "images/a.jpg", "masks/a.png", "images/b.jpg", "masks/c.png", "images/d.jpg",
         "masks/d.png", "masks/d.bmp")  # fmt: skip
    found = read("folder", tmp_path, "--values", "0=a")
    assert [item.stem for item in found.items] == ["a"]
    lines = "\n".join(found.broken)
    assert "images/b.jpg has no mask" in lines and "masks/c.png has no image" in lines
    assert "images/d.jpg has 2 masks" in lines and len(found.broken) == 3


def test_what_masks_mean_is_asked_for(tmp_path):
    make(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", [[0, 255, 9]] * 2)
    with pytest.raises(Refusal, match=r"the first holds 0, 9, 255. Say it: --values 0=background"):
        read("folder", tmp_path)
    (tmp_path / "labels.txt").write_text("0 sky\n9 road\n")
    assert named(read("folder", tmp_path))["a"][1] == [["sky", "-", "road"]] * 2
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(Refusal, match=r"a.png holds 9, which no class has; known: 0, 255"):
        read("folder", tmp_path).items[0].mask()
    (tmp_path / "dataset.toml").write_text("classes = ['a']\nvoid = 9")
    assert named(read("folder", tmp_path))["a"][1] == [["a", "-", "-"]] * 2
    found = read("folder", tmp_path, "--values", "0=a", "255=b", "9=b")
    assert named(found)["a"][1] == [["a", "b", "b"]] * 2
    with pytest.raises(Refusal, match=r"x/\* matches nothing in .*stand in quotes"):
        read("folder", tmp_path, "--images", "x/*")


def test_colours_by_values_and_by_a_table(tmp_path):
    make(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", [[[0, 0, 0], [255, 0, 0], [9, 9, 9]]] * 2)
    found = read("folder", tmp_path, "--values", "0,0,0=sky", "255,0,0=road", "9,9,9=void")
    assert named(found)["a"][1] == [["sky", "road", "-"]] * 2
    (tmp_path / "t.txt").write_text("0 0 0 sky\n255 0 0 road\n")
    found = read("folder", tmp_path, "--classes", str(tmp_path / "t.txt"))
    assert found.colours == [[0, 0, 0], [255, 0, 0]]
    with pytest.raises(Refusal, match=r"a.png holds \(9, 9, 9\), which no class has"):
        found.items[0].mask()


def test_folders_in_a_circle_and_pipes_end(tmp_path):
    make(tmp_path, "images/a.jpg")
    (tmp_path / "images/round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "images/self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "images/pipe.png")
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert names == ["images/a.jpg", "images/self.png"]


# Layouts made by hand


def test_voc_lists(tmp_path):
    root = tmp_path / "VOCdevkit/VOC2012"
    for stem in "abcd":
        save(root / f"JPEGImages/{stem}.jpg", np.zeros((1, 1, 3)))
        save(root / f"SegmentationClass/{stem}.png", [[15]])
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, text in (("train", "a\n"), ("val", "b"), ("trainval", "a\nb\nc\n../../d\n")):
        (lists / f"{name}.txt").write_text(text)
    found = read("voc", tmp_path)
    assert named(found) == {
        "a": ("train", [["person"]]), "b": ("val", [["person"]]), "c": (None, [["person"]])
    }  # fmt: skip
    assert len(found.broken) == 1 and found.broken[0].startswith("'../../d' is listed, but")
    (root / "labels.txt").write_text("background\ncat\n")
    with pytest.raises(Refusal, match=r"a.png holds 15, which no class has; known: 0, 1, 255"):
        read("voc", root).items[0].mask()
    (tmp_path / "VOCdevkit/VOC2007/JPEGImages").mkdir(parents=True)
    (tmp_path / "VOCdevkit/VOC2007/SegmentationClass").mkdir()
    with pytest.raises(Refusal, match=r"holds several: .*VOC2007, .*VOC2012. Name one as SOURCE"):
        read("voc", tmp_path)


def test_camvid_folders(tmp_path):
    for name in ("train/a.png", "val/b.png", "train/c.png"):
        save(tmp_path / name, np.zeros((1, 2, 3)))
    for name in ("train_labels/a_L.png", "val_labels/b_L.png", "all/c_L.png"):
        save(tmp_path / name, [[0, 11]])
    found = read("camvid", tmp_path)
    assert named(found) == {
        "a": ("train", [["sky", "-"]]), "b": ("val", [["sky", "-"]]), "c": ("train", [["sky", "-"]])
    }  # fmt: skip
    save(tmp_path / "val_labels/d_L.png", [[0]])
    save(tmp_path / "val/e.png", np.zeros((1, 2, 3)))
    lines = read("camvid", tmp_path).broken
    assert len(lines) == 2 and "d_L.png has no image d" in lines[0] and "e.png has no" in lines[1]


def test_cityscapes_labels_and_a_blank_test(tmp_path):
    for split, ids in (("train", [[7, 33, 0, 255]]), ("test", [[1, 2, 3, 0]])):
        save(tmp_path / f"leftImg8bit/{split}/bonn/x_{split}_leftImg8bit.png", np.zeros((1, 4, 3)))
        save(tmp_path / f"gtFine/{split}/bonn/x_{split}_gtFine_labelIds.png", ids)
    masks = named(read("cityscapes", tmp_path))
    assert masks == {"x_train": ("train", [["road", "bicycle", "-", "-"]])}
    path = tmp_path / "gtFine/train/bonn/x_train_gtFine_labelIds.png"
    path.unlink()
    rows = [[26001, 24, 3, 33999]]
    (path.parent / "x_train_gtFine_instanceIds.png").write_bytes(grey_png(16, rows))
    assert named(read("cityscapes", tmp_path))["x_train"][1] == [["car", "person", "-", "bicycle"]]


def annotation(objects):
    return f'{{"annotation": {{"object": {objects}}}}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "a.json is damaged"),
        ("[" * 100_000, "a.json is damaged"),
        (annotation("3"), "a.json is damaged"),
        (annotation('[{"parts": {"part_level": 0}, "name_ndx": 1e30, "name": "a"}]'),
         "object 'a' has the number 1e"),
        (annotation('[{"parts": {"part_level": 0}, "name_ndx": 1, "name": [1]}]'),
         r"object \[1\] has the number 1"),
        (annotation("[]"), "names no object"),
    ],
)  # fmt: skip
def test_ade20k_lists_that_are_damaged(tmp_path, text, words):
    save(tmp_path / "a.jpg", np.zeros((1, 1, 3)))
    save(tmp_path / "a_seg.png", np.zeros((1, 1, 3)))
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(Refusal, match=words):
        read("ade20k", tmp_path)


def test_ade20k_short_names():
    names = ["bow, bow of a ship", "car, auto", "bow"]
    assert short(names) == ["bow bow of a ship", "car", "bow"]


# Mattes


def test_matte_by_hand():
    matte = np.float32([[0, 0, 0, 0, 0.5, 1, 1, 1, 1]])
    assert three_ways(matte, 0.1, 0.9, 0).tolist() == [[0, 0, 0, 0, -1, 1, 1, 1, 1]]
    assert three_ways(matte, 0.1, 0.9, 2).tolist() == [[0, 0, -1, -1, -1, -1, -1, 1, 1]]
    # A hard edge has a band too, as wide on both sides.
    hard = np.float32([[0, 0, 0, 0, 1, 1, 1, 1]])
    assert three_ways(hard, 0.1, 0.9, 0).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert three_ways(hard, 0.1, 0.9, 2).tolist() == [[0, 0, -1, -1, -1, -1, 1, 1]]


def test_mattes_of_all_kinds(tmp_path):
    """Grey of 8 and 16 bits, an alpha channel, a channel of the image itself: one answer."""
    for stem in "abc":
        save(tmp_path / f"images/{stem}.png", np.full((1, 3, 3), 9))
    alpha = np.uint8([[0, 128, 255]])
    save(tmp_path / "masks/a.png", alpha)
    (tmp_path / "masks/b.png").write_bytes(grey_png(16, [[0, 30000, 65535]]))
    Image.fromarray(np.dstack([alpha * 0 + 5] * 3 + [alpha])).save(tmp_path / "masks/c.png")
    Image.fromarray(np.dstack([alpha * 0 + 5] * 3 + [alpha])).save(tmp_path / "d.png")
    truth = [["background", "-", "foreground"]]
    masks = named(read("matte", tmp_path, "--band", "0"))
    assert {stem: mask for stem, (_, mask) in masks.items()} == dict.fromkeys("abc", truth)
    own = read("matte", tmp_path, "--alpha", "--images", "*.png", "--band", "0")
    assert named(own) == {"d": (None, truth)}
    with pytest.raises(Refusal, match=r"a.png has no alpha channel"):
        read("matte", tmp_path, "--alpha").items[0].mask()
    for words, match in ((["--low", "0.9"], "low < high"), (["--band", "-1"], "0 to 100 pixels")):
        with pytest.raises(Refusal, match=match):
            read("matte", tmp_path, *words)


# Zips


def zipped(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return path


def test_a_sound_zip_is_unpacked(tmp_path):
    folder = opened(zipped(tmp_path / "a.zip", [("images/", ""), ("images/a..txt", "hello")]))
    assert (folder / "images/a..txt").read_text() == "hello"
    assert opened(tmp_path) == tmp_path


def linked(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("good", ""), ("../evil", "x")], r"entry '../evil' leads out of the folder"),
        ([("a/../../evil", "x")], "leads out of the folder"),
        ([("/evil", "x")], "leads out of the folder"),
        ([("C:/evil", "x")], "leads out of the folder"),
        ([("a\\..\\..\\evil", "x")], "leads out of the folder"),
        ([(linked("way"), "/etc"), ("way/passwd", "x")], "entry 'way' is a link or a device"),
        ([("a", "x"), ("a/b", "x")], "cannot be unpacked"),
        ([("n" * 300, "x")], "cannot be unpacked"),
    ],
)
def test_zips_that_would_do_harm(tmp_path, entries, words):
    before = sorted(tmp_path.parent.rglob("evil"))
    with pytest.raises(Refusal, match=words):
        opened(zipped(tmp_path / "a.zip", entries))
    assert sorted(tmp_path.parent.rglob("evil")) == before
    assert not Path("/evil").exists()


def test_a_zip_bomb(tmp_path):
    bomb = zipped(tmp_path / "a.zip", [("a", bytes(200 << 20))], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(Refusal, match="times its own: it looks like a zip bomb"):
        opened(bomb)


def test_zips_that_are_none(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK but no")
    with pytest.raises(Refusal, match=r"a.zip is neither a folder nor a zip"):
        opened(tmp_path / "a.zip")
    with pytest.raises(Refusal, match="no such folder or zip"):
        opened(tmp_path / "b.zip")
    for name in ("labels.txt", "images/a.png"):
        raw = bytearray(zipped(tmp_path / "c.zip", [(name, "hello"), ("b", "")]).read_bytes())
        raw[raw.index(b"hello")] ^= 1
        (tmp_path / "c.zip").write_bytes(raw)
        if name == "labels.txt":
            with pytest.raises(Refusal, match=r"c.zip is damaged: Bad CRC-32"):
                opened(tmp_path / "c.zip")
        else:  # one image less, which is listed when it is read
            with pytest.raises(Refusal, match=r"images/a.png is empty"):
                read_ids(opened(tmp_path / "c.zip") / name)
    buffer = io.BytesIO(zipped(tmp_path / "d.zip", [("a", "x")]).read_bytes())
    raw = bytearray(buffer.getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "d.zip").write_bytes(raw)
    with pytest.raises(Refusal, match="entry 'a' is encrypted"):
        opened(tmp_path / "d.zip")
