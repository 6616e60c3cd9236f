"""import auto: the format is named and why; none, several and a dataset are told."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sources import (
    ROOT,
    SHARED,
    SOURCES,
    STEMS,
    coco,
    coco_panoptic,
    colours,
    grey,
    ids,
    photo,
    read_source,
    real_data,
    run_import,
    save,
    text,
    voc,
    yolo_seg,
)
from tool_sources import TOOL_SOURCES, label_studio

from cli import Refusal
from data.formats import FORMATS
from data.formats.auto import advice
from data.formats.clues import Seen, clues

ALL = SOURCES | TOOL_SOURCES
REAL = {
    "ade20k": ["ade20k"], "camvid_colour10": ["camvid"], "coco_nuts": ["coco"],
    "coco_tiny": ["coco"], "coco_panoptic": ["coco", "coco-panoptic"], "cvat_mask": ["cvat"],
    "labelme": ["coco", "labelme"], "labelme/semantic_segmentation": ["labelme"],
    "labelme/primitives": ["labelme"], "lip_mismatched": ["folder"], "voc_pets": ["voc"],
    "voc_samples": ["folder"], "ccp59": [],
    "datumaro_fixtures/ade20k2017_dataset/dataset": ["ade20k"],
    "datumaro_fixtures/ade20k2020_dataset/dataset": ["ade20k"],
    "datumaro_fixtures/camvid_dataset": ["camvid"],
    "datumaro_fixtures/cityscapes_dataset/dataset": ["cityscapes"],
    "datumaro_fixtures/coco_dataset/coco_instances": ["coco"],
    "datumaro_fixtures/coco_dataset/coco_roboflow": ["coco"],
    "datumaro_fixtures/coco_dataset/coco_panoptic": ["coco-panoptic"],
    "datumaro_fixtures/coco_dataset/coco_captions": [],
    "datumaro_fixtures/cvat_dataset/for_images/export_task": ["cvat-xml"],
    "datumaro_fixtures/cvat_dataset/for_video": ["cvat-xml"],
    "datumaro_fixtures/common_semantic_segmentation_dataset/dataset": ["folder"],
    "datumaro_fixtures/voc_dataset/voc_dataset1": ["voc"],
}  # fmt: skip


def named(source) -> list[str]:
    return [clue.format for clue in clues(Seen(source))]


@pytest.mark.parametrize("name", [name for name in ALL if "zip" not in name])
def test_every_format_is_named(name, tmp_path):
    wanted = "folder" if name == "matte" else name.split()[0]  # three values may be of classes
    assert named(ALL[name](tmp_path)) == [wanted]
    assert advice(tmp_path).startswith(f"It looks like {wanted} (")


def test_every_format_has_a_source_or_is_none():
    assert {name.split()[0] for name in ALL} == set(FORMATS) - {"tfds", "auto"}


@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_named(name):
    assert sorted(named(real_data(name))) == REAL[name]


@pytest.mark.parametrize("name", ["camvid", "lip", "ccp_person"])
def test_datasets_are_datasets(name):
    assert advice(real_data(name)) == ""
    with pytest.raises(Refusal, match=r"is a dataset already: train\.py --data"):
        read_source("auto", SHARED / name)


def test_mattes_have_too_many_values_for_classes(tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    grey(tmp_path / "masks/a.png", np.arange(480).reshape(20, 24).clip(0, 255).astype(np.uint8))
    assert named(tmp_path) == ["matte"]


def test_cut_out_images_are_mattes_of_their_own(tmp_path):
    for seed, stem in enumerate(STEMS):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 4), np.uint8)
        pixels[..., 3] = ids(seed, 0, 255)
        save(tmp_path / f"{stem}.png", pixels)
    (clue,) = clues(Seen(tmp_path))
    assert (clue.format, clue.options) == ("matte", ("--alpha", "--images", "**/*"))
    assert len(read_source("matte", tmp_path, *clue.options).items) == 4
    save(tmp_path / "a1.png", np.full((20, 24, 4), 255))  # opaque
    assert named(tmp_path) == []


def test_two_masks_of_an_image_are_enough_for_separate_masks(tmp_path):
    for seed, stem in enumerate("abcd"):
        photo(tmp_path / f"images/{stem}.jpg", seed)
    for name in ("cat/a", "dog/a", "cat/b"):
        grey(tmp_path / f"masks/{name}.png", ids(0, 0, 1))
    assert named(tmp_path) == ["separate-masks"]


def test_a_zip_a_folder_and_a_json_file_are_imported(tmp_path):
    yolo_seg(tmp_path / "yolo")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "yolo")
    for source in (tmp_path / "yolo", archive):
        end = run_import("auto", source, tmp_path / "out")
        line = "note: the format is yolo-seg: data.yaml with names, and labels/train/a1.txt with a"
        assert end.returncode == 0 and line in end.stdout, end.stderr
        assert "train 3, val 1; 3 classes" in end.stdout
        shutil.rmtree(tmp_path / "out")
    export = label_studio(tmp_path / "ls") / "project-1-at-2024.json"
    found = read_source("auto", export)
    assert len(found.items) == 4 and found.classes == ["background", "cat", "dog"]


def test_several_formats_are_told(tmp_path):
    coco(tmp_path)
    coco_panoptic(tmp_path)
    with pytest.raises(Refusal, match=r"may be of several formats: coco \(.*; coco-panoptic \(.*"):
        read_source("auto", tmp_path)


def test_no_format_says_what_was_seen(tmp_path):
    photo(tmp_path / "shots/a.jpg", 0)
    text(tmp_path / "notes.md", "x")
    with pytest.raises(Refusal, match=r"no format .* files 1 \.\w+, 1 \.\w+; folders shots/\. If"):
        read_source("auto", tmp_path)
    grey(tmp_path / "masks/b.png", ids(0, 0, 1))
    (tmp_path / "shots/a.jpg").unlink()
    with pytest.raises(Refusal, match="It has masks but no images"):
        read_source("auto", tmp_path)


PAIRS = {  # an image, its mask, and the patterns of both; the names are those of b2, c3, d4 as well
    ("a1.jpg", "a1.png"): ("**/*.jpg", "**/*.png"),
    ("a1.jpg", "a1_mask.png"): ("*", "*_mask.png"),
    ("train/a1.jpg", "train/a1-seg.png"): ("**/*", "**/*-seg.png"),
    ("images/a1.jpg", "masks/a1_m.png"): ("**/images/**/*", "**/masks/**/*_m.png"),
    ("images/a1.jpg", "masks/x a1.png"): ("**/images/**/*", "**/masks/**/x *"),
    ("img/img_a1.png", "gt/gt_a1.png"): ("**/img/**/img_*", "**/gt/**/gt_*"),
    ("in/a1_sat.jpg", "masks/a1_mask.png"): ("**/in/**/*_sat.jpg", "**/masks/**/*_mask.png"),
    ("images/a1.png", "labels/a1.png"): ("**/images/**/*", "**/labels/**/*"),
    ("images/a1.png", "annotations/trimaps/a1.png"): ("**/images/**/*", "**/trimaps/**/*"),
    ("images/1/a1.png", "masks/1/a1.png"): ("**/images/**/*", "**/masks/**/*"),
    ("frames/a1.jpg", "other/a1.png"): ("frames/*.jpg", "other/*.png"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_patterns_that_are_guessed_are_only_told(pair, tmp_path):
    for seed, stem in enumerate(STEMS):
        photo(tmp_path / pair[0].replace("a1", stem), seed)
        grey(tmp_path / pair[1].replace("a1", stem), ids(seed, 0, 1))
    images, masks = PAIRS[pair]
    options = "--images", images, "--masks", masks, "--values", "0=background", "1=NAME1"
    (clue,) = clues(Seen(tmp_path))
    assert (clue.format, clue.options) == ("folder", options)
    with pytest.raises(Refusal) as told:
        read_source("auto", tmp_path)
    assert shlex.join(options) + ", with the names of your classes, if that is right" in str(
        told.value
    )
    found = read_source("folder", tmp_path, *options)
    assert len(found.items) == 4 and not found.broken


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (ids(0, 0, 1, 2), ["0=background", "1=NAME1", "2=NAME2"]),
        (ids(0, 0, 3, 255), ["0=background", "3=NAME1", "255=void"]),
        (ids(0, 0, 255), ["0=background", "255=NAME1"]),
        (ids(0, 4, 7), ["4=NAME1", "7=NAME2"]),
        ("colours", ["0,0,0=background", "9,0,200=NAME1"]),
        (np.arange(480).reshape(20, 24) % 40, ["--classes", "FILE"]),
    ],
)
def test_values_that_are_to_be_named_are_told(mask, words, tmp_path):
    photo(tmp_path / "images/a.jpg", 0)
    if isinstance(mask, str):
        colours(tmp_path / "masks/a.png", ids(0, 0, 1), {0: (0, 0, 0), 1: (9, 0, 200)})
    else:
        grey(tmp_path / "masks/a.png", mask.astype(np.uint8))
    (clue,) = clues(Seen(tmp_path))
    assert clue.options == tuple(words if words[0] == "--classes" else ["--values", *words])
    text(tmp_path / "classes.txt", "a", "b")
    assert clues(Seen(tmp_path))[0].options == ()


def test_other_images_are_no_hindrance(tmp_path):
    for seed, stem in enumerate(STEMS):
        photo(tmp_path / f"images/{stem}.jpg", seed)
        photo(tmp_path / f"blended/{stem}.jpg", seed)
        grey(tmp_path / f"masks/{stem}.png", ids(seed, 0, 1))
    text(tmp_path / "classes.txt", "a", "b")
    assert clues(Seen(tmp_path))[0] == ("folder", "images/ and masks/ with one mask an image", ())


def test_a_photo_of_somebody_with_a_mask_is_no_mask(tmp_path):
    for name in ("a", "b", "c", "a_mask"):
        photo(tmp_path / f"{name}.jpg", 0)
    assert named(tmp_path) == []


def test_a_table_of_colours_is_told(tmp_path):
    """DeepGlobe's layout: CamVid's table, but other names."""
    for seed, stem in enumerate(STEMS):
        photo(tmp_path / f"train/{stem}_sat.jpg", seed)
        colours(
            tmp_path / f"train/{stem}_mask.png", ids(seed, 0, 1), {0: (0, 255, 255), 1: (9, 0, 0)}
        )
    text(tmp_path / "class_dict.csv", "name,r,g,b", "urban,0,255,255", "water,9,0,0")
    (clue,) = clues(Seen(tmp_path))
    options = ("--images", "**/*_sat.jpg", "--masks", "**/*_mask.png")
    assert clue.options == (*options, "--classes", str(tmp_path / "class_dict.csv"))
    found = read_source("folder", tmp_path, *clue.options)
    assert len(found.items) == 4 and found.classes == ["urban", "water"]
    assert len(np.unique(found.items[0].mask())) == 2
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path)
    with pytest.raises(Refusal, match=r"set\.zip out .* --classes FILE, if that is right"):
        read_source("auto", archive)


def test_masks_that_begin_with_the_name_of_an_image_are_several(tmp_path):
    for seed, stem in enumerate(STEMS):
        photo(tmp_path / f"images/{stem}.jpg", seed)
    for name in ("a1_cat", "a1_dog", "b2_cat"):
        grey(tmp_path / f"masks/{name}.png", ids(0, 0, 1))
    assert named(tmp_path) == ["separate-masks"]


YOLO_BOX, YOLO_OUTLINE = "0 0.5 0.5 0.2 0.2", "0 0.1 0.1 0.6 0.1 0.6 0.5"
OUTLINES = "has no outlines, which segmentation needs: export polygons or masks"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labels/a.txt", YOLO_BOX, f"labels/a.txt {OUTLINES}"),
        ("labels/a.txt", YOLO_OUTLINE, "YOLO's polygons, but nothing names .* add classes.txt"),
        (
            "a.xml",
            "<annotation><object><bndbox></bndbox></object></annotation>",
            f"a.xml {OUTLINES}",
        ),
        ("a.json", '{"images": [], "annotations": [{"bbox": [1]}]}', f"a.json {OUTLINES}"),
        ("b.zip", "", "Unpack b.zip, or if one holds images and labels, name it in place of"),
        ("a.npy", "", "If some of its images are masks, type python -m data import folder"),
        ("metadata.csv", "image,age", "If some of its images are masks, type"),
    ],
)
def test_what_lacks_is_told(name, content, words, tmp_path):
    photo(tmp_path / "train/a.jpg", 0)
    text(tmp_path / name, content)
    with pytest.raises(Refusal, match=f"no format that is known: .*{words}"):
        read_source("auto", tmp_path)
    assert re.match(f"It is of no format that is known: .*{words}", advice(tmp_path))


def test_a_dataset_in_a_folder_or_zip_is_named(tmp_path):
    text(tmp_path / "above/set/dataset.toml", 'classes = ["a"]')
    inner = tmp_path / "above" / "set"
    assert advice(tmp_path / "above") == f"The dataset is in it: name {inner}"
    with pytest.raises(Refusal, match=f"{inner} is a dataset already: train.py --data {inner} "):
        read_source("auto", tmp_path / "above")
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "above")
    with pytest.raises(Refusal, match=r"set\.zip holds a dataset already: unpack it and type"):
        read_source("auto", archive)
    assert advice(archive) == f"It is a zip: type python -m data import auto {archive} DIR"


def test_a_refusal_of_the_format_names_its_command(tmp_path):
    (voc(tmp_path) / "ImageSets/Segmentation/train.txt").unlink()
    for path in tmp_path.glob("SegmentationClass/*"):
        grey(path, ids(0, 0, 30))
    with pytest.raises(Refusal, match=r"voc.* its command: python -m data import voc .* out$"):
        read_source("auto", tmp_path)


@pytest.mark.parametrize("name", ["yolo-seg", "folder", "separate-masks"])
@pytest.mark.parametrize("command", [["-m", "data", "check"], ["train.py", "--run", "r", "--data"]])
def test_check_and_train_name_the_format_of_a_raw_export(name, tmp_path, command):
    source = ALL[name](tmp_path / "raw")
    end = subprocess.run(
        [sys.executable, *command, source], cwd=ROOT, capture_output=True, text=True
    )
    goes_on = name == "folder" and "check" in command  # images/ and masks/ are checked nevertheless
    assert end.returncode == (1 if goes_on else 2), end.stderr
    assert f"{source} is no dataset. It looks like {name} (" in end.stderr
    assert f"type python -m data import {name} {source} DIR" in end.stderr
