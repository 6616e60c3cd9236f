"""What an import says of files in zips, of images listed twice, of tasks without data."""

import json
import shutil

import pytest
from sources import coco, folder, read_source, run_import
from tool_sources import TOOL_SOURCES, cvat_xml, huggingface


def zipped(at, top):
    return shutil.make_archive(str(at / "set"), "zip", at, top)


def test_files_of_a_zip_are_named_as_if_they_lay_in_it(tmp_path):
    """What was unpacked is gone when the message is read."""
    (folder(tmp_path / "f") / "masks/a1.png").write_bytes(b"x")
    end = run_import("folder", zipped(tmp_path, "f"), tmp_path / "out")
    lines = [line for line in end.stdout.splitlines() if line.startswith("broken: ")]
    assert len(lines) == 1 and lines[0].startswith(f"broken: {tmp_path}/set.zip/f/masks/a1.png ")
    assert end.returncode == 1 and "scratch" not in end.stdout + end.stderr


def test_refusals_name_files_of_a_zip_so_too(tmp_path):
    source = coco(tmp_path / "c")
    (source / "annotations/instances_train.json").write_text("{")
    end = run_import("coco", zipped(tmp_path, "c"), tmp_path / "out")
    assert end.returncode == 2 and "scratch" not in end.stderr
    assert f"{tmp_path}/set.zip/c/annotations/instances_train.json" in end.stderr


def test_an_image_that_a_table_lists_twice_is_left_out(tmp_path):
    """Each row has another mask, and no one knows which is right."""
    source = huggingface(tmp_path / "h")
    (table,) = source.rglob("metadata.csv")
    head, first, second, *rest = table.read_text().splitlines()
    image, other = first.split(",")[0], second.split(",")
    table.write_text("\n".join([head, first, ",".join([image, *other[1:]]), *rest]) + "\n")
    options = ("--values", "0=background", "1=cat", "2=dog")
    end = run_import("huggingface", source, tmp_path / "out", *options)
    assert end.returncode == 1 and f"{image} is listed 2 times" in end.stdout
    written = {path.stem for path in (tmp_path / "out").rglob("images/*")}
    assert len(written) == 2 and image.split(".")[0] not in written


@pytest.mark.parametrize("data", [None, 3, "a.jpg", ["a.jpg"]])
def test_a_task_without_data_is_named(tmp_path, data):
    source = TOOL_SOURCES["label-studio"](tmp_path / "l")
    (path,) = source.glob("*.json")
    tasks = json.loads(path.read_text())
    tasks[0]["data"] = data
    path.write_text(json.dumps(tasks))
    found = read_source("label-studio", source)
    assert len(found.items) == len(tasks) - 1
    assert any(f"task {tasks[0]['id']} does not name one image" in line for line in found.broken)


def test_exports_side_by_side_have_their_own_images(tmp_path):
    """Both have images of the same names."""
    for name in ("one", "two"):
        cvat_xml(tmp_path / "v" / name)
    found = read_source("cvat-xml", tmp_path / "v")
    assert found.broken == [] and len(found.items) == 8
    assert len({item.image for item in found.items}) == 8


def test_nothing_valid_is_refused_with_the_format_that_was_found(tmp_path):
    source = folder(tmp_path / "f")
    for path in source.glob("masks/*"):
        path.write_bytes(b"x")
    end = run_import("auto", source, tmp_path / "out")
    assert end.returncode == 2
    assert "no item in the source is valid. The format is folder" in end.stderr
