"""Formats whose masks are images: real datasets, compared with Pillow."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import SHARED, named, read_source, real_data, save

from files import write_json


def pixels(path):
    return np.array(Image.open(path))


def test_voc_pets():
    source = real_data("voc_pets")
    found = read_source("voc", source, "--values", "0=background", "1=cat", "2=dog")
    assert found.classes == ["background", "cat", "dog"] and not found.broken
    for split, count in (("train", 19), ("val", 7)):
        lines = (source / f"ImageSets/Segmentation/{split}.txt").read_text().split()
        assert sorted(item.stem for item in found.items if item.split == split) == sorted(lines)
        assert len(lines) == count
    for item in found.items:
        truth = pixels(source / "SegmentationClass" / f"{item.stem}.png").astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))
        assert item.image == source / "JPEGImages" / f"{item.stem}.jpg"


def test_images_and_masks_with_the_same_stem_in_one_folder():
    source = real_data("voc_pets/genuine_stem_collision")
    found = read_source("folder", source, "--images", "*.jpg", "--masks", "*.png",
                 "--values", "0=other", "1=cat", "255=void")  # fmt: skip
    assert len(found.items) == 2 and not found.broken
    for item in found.items:
        truth = pixels(item.image.with_suffix(".png")).astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))


@pytest.mark.parametrize("rgb", [False, True])
def test_voc_2012_by_palette_and_by_colour(tmp_path, rgb):
    source = real_data("voc_samples/VOC")
    for path in source.iterdir():
        folder = tmp_path / ("JPEGImages" if path.suffix == ".jpg" else "SegmentationClass")
        folder.mkdir(exist_ok=True)
        (folder / path.name).write_bytes(path.read_bytes())
        if rgb and path.suffix == ".png":
            Image.open(path).convert("RGB").save(folder / path.name)
    found = read_source("voc", tmp_path)
    assert len(found.items) == 4 and len(found.classes) == 21
    assert found.classes[12] == "dog" and found.classes[15] == "person"
    for item in found.items:
        indices = Image.open(source / f"{item.stem}.png")
        truth = np.array(indices).astype(int)
        assert np.array_equal(item.mask(), np.where(truth == 255, -1, truth))
        palette = np.array(indices.getpalette()).reshape(-1, 3)
        assert found.colours == palette[:21].tolist()


def test_camvid_in_32_colours():
    source = real_data("camvid_colour10")
    found = read_source("camvid", source)
    assert len(found.items) == 10 and len(found.classes) == 31 and not found.broken
    lines = (source / "label_colors.txt").read_text().split("\n")
    table = {name: tuple(map(int, rgb.split())) for rgb, name in (x.split("\t") for x in lines)}
    for item in found.items:
        truth = pixels(source / "masks" / f"{item.stem}_L.png")
        drawn = np.array([*(table[name] for name in found.classes), table["Void"]])[item.mask()]
        assert np.array_equal(drawn, truth)
    assert found.colours[found.classes.index("Road")] == [128, 64, 128]


def test_camvid_without_a_table_of_colours():
    source = real_data("datumaro_fixtures/camvid_dataset")
    masks = named(read_source("camvid", source))
    assert {stem: split for stem, (split, _) in masks.items()} == {
        "0001TP_006690": "train", "0016E5_07959": "val",
        "0001TP_008550": "test", "0001TP_008580": "test",
    }  # fmt: skip
    # The colours of this mask, as read by Pillow.
    by_colour = {(0, 128, 192): "Bicyclist", (128, 64, 128): "Road"}
    truth = pixels(source / "trainannot/0001TP_006690.png")
    assert masks["0001TP_006690"][1] == [[by_colour[tuple(c)] for c in truth[0].tolist()]]


def test_cvat(tmp_path):
    source = real_data("cvat_mask")
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, path.relative_to(source))
    for form in (source, tmp_path / "task.zip"):
        found = read_source("cvat", form)
        assert found.classes == ["background", "tool"] and len(found.items) == 8
        assert found.colours == [[0, 0, 0], [250, 50, 83]]
        for item in found.items[:3]:
            truth = pixels(source / "SegmentationClass" / f"{item.stem}.png")
            assert np.array_equal(item.mask(), (truth == (250, 50, 83)).all(-1))


def test_ade20k_scene_parsing():
    source = real_data("ade20k")
    found = read_source("ade20k", source)
    assert len(found.classes) == 150 and found.classes[:3] == ["wall", "building", "sky"]
    rows = (
        (source / "objectInfo150.csv").read_text().splitlines()[1:]
    )  # with ; instead of commas and spaces
    for number, (name, row) in enumerate(zip(found.classes, rows, strict=True), 1):
        fields = row.split(",")
        assert int(fields[0]) == number and fields[5].startswith(name.replace(" ", ";"))
    assert len(set(found.classes)) == 150
    for item in found.items:
        truth = pixels(source / "annotations" / f"{item.stem}.png").astype(int)
        assert np.array_equal(item.mask(), truth - 1)


def test_ade20k_full_releases():
    # 2017: B is 1 and 2, the objects sky and person in the list. 2020: R // 10 * 256 + G is 1831
    # and 401, the name_ndx of person and car.
    found = read_source("ade20k", real_data("datumaro_fixtures/ade20k2017_dataset/dataset"))
    rows = [["-", "sky", "person", other] for other in ("person", "sky")]
    assert named(found) == {"1": ("train", [rows[0]] * 3), "2": ("val", [rows[1]] * 3)}
    found = read_source("ade20k", real_data("datumaro_fixtures/ade20k2020_dataset/dataset"))
    row = ["-", "person", "car", "car", "car"]
    assert named(found) == {"1": ("train", [row] * 5), "2": ("val", [row] * 5)}


def test_ade20k_raw_mask(tmp_path):
    """The raw mask, read by class number, agrees with the official conversion."""
    source = real_data("ade20k/convertFromADE")
    raw, truth = (Image.open(source / f"ADE_train_00000970_{n}.png") for n in ("raw", "challenge"))
    numbers = {}  # from full release to scene parsing
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
    found = read_source("ade20k", tmp_path)
    table = np.array([*(numbers.get(int(name), 0) for name in found.classes), 0])
    ours = Image.fromarray(table[found.items[0].mask()].astype(np.uint8))
    ours = np.array(ours.resize(truth.size, Image.NEAREST))
    assert (ours == np.array(truth)).mean() > 0.99  # they downscaled it with another rule


def test_cityscapes():
    # Ids 3 and 1 are void; 27 is truck, 12 wall, 31 train, 24 person.
    for name in ("dataset", "train_dataset"):  # instanceIds, 8 bits; labelTrainIds
        source = real_data(f"datumaro_fixtures/cityscapes_dataset/{name}")
        found = read_source("cityscapes", source)
        assert len(found.classes) == 19 and not found.broken
        masks = named(found)
        assert {split for split, _ in masks.values()} == {"train", "val", "test"}
        start = "defaultcity_0000"
        held = {stem: set(mask[0]) for stem, (_, mask) in masks.items()}
        assert held == {
            f"{start}02_000045": {"-", "person"}, f"{start}01_000019": {"-"},
            f"{start}01_000031": {"-", "truck"}, f"{start}01_000032": {"-", "wall", "train"},
        }  # fmt: skip


def test_images_outside_the_source():
    source = real_data("ccp59")
    found = read_source("folder", source, "--images", "../ccp_person/*/images/*")
    assert found.classes == (source / "classes.txt").read_text().split("\n")[:59]
    splits = [item.split for item in found.items]
    assert (splits.count("train"), splits.count("val")) == (803, 201) and not found.broken
    for item in found.items[::100]:
        truth = pixels(source / item.split / "masks" / f"{item.stem}.png")
        assert np.array_equal(item.mask(), truth)
        split, folder, name = item.image.parts[-3:]
        assert (split, folder, Path(name).stem) == (item.split, "images", item.stem)


def test_a_dataset_folder():
    found = read_source("folder", real_data("lip"))
    assert len(found.items) == 654 and found.items[0].split == "train"
    item = found.items[5]
    assert np.array_equal(item.mask(), pixels(SHARED / "lip/train/masks" / f"{item.stem}.png"))
