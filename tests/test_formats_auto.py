"""import auto: the format is named and why; none, several and a dataset are told."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from sources import (
    ROOT,
    SHARED,
    SOURCES,
    coco,
    coco_panoptic,
    folder,
    grey,
    ids,
    photo,
    read_source,
    real_data,
    run_import,
    text,
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


def test_patterns_that_are_guessed_are_only_told(tmp_path):
    photo(tmp_path / "a.jpg", 0)
    grey(tmp_path / "a.png", ids(0, 0, 1))
    wanted = r"looks like folder \(\./\*\.png .* --images '\*\*/\*\.jpg' --masks '\*\*/\*\.png'"
    with pytest.raises(Refusal, match=wanted):
        read_source("auto", tmp_path)


def test_a_refusal_of_the_format_names_its_command(tmp_path):
    (folder(tmp_path) / "classes.txt").unlink()
    with pytest.raises(Refusal, match=r"Add --values.*The command: python -m data import folder"):
        read_source("auto", tmp_path)


@pytest.mark.parametrize("command", [["-m", "data", "check"], ["train.py", "--run", "r", "--data"]])
def test_check_and_train_name_the_format_of_a_raw_export(tmp_path, command):
    source = yolo_seg(tmp_path / "yolo")
    end = subprocess.run(
        [sys.executable, *command, source], cwd=ROOT, capture_output=True, text=True
    )
    assert end.returncode == 2, end.stderr
    assert f"{source} is no dataset. It looks like yolo-seg (data.yaml" in end.stderr
    assert f"type python -m data import yolo-seg {source} DIR" in end.stderr
