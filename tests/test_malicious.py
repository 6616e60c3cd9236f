"""Malicious input is refused by name; nothing outside the source is read or written."""

import os
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import run
from mutations import PNG, chunk
from sources import SOURCES

from cli import Refusal
from data.dataset import read_dataset
from data.pack import pack
from data.shapes import write_shapes
from data.shards import shard_counts

ROOT = Path(__file__).parent.parent


def huge(path: Path, width: int, height: int) -> None:
    """Writes a tiny PNG whose header states width x height."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(PNG + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))


def imported(format_, source, folder, code=2):
    command = [sys.executable, "-m", "data", "import", format_, str(source), str(folder / "out")]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode == code and "Traceback" not in end.stderr, end.stderr
    return end.stdout + end.stderr


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 1), (65_535, 32_768)])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_decompression_bombs(tmp_path, kind, width, height):
    source = SOURCES["folder"](tmp_path / "in")
    huge(source / kind / "b2.png", width, height)
    message = imported("folder", source, tmp_path, code=1)
    assert f"{kind}/b2.png has {width}x{height} pixels; shrink it" in message
    assert len(list((tmp_path / "out").rglob("masks/*.png"))) == 3


def test_circular_links(tmp_path):
    source = SOURCES["folder"](tmp_path / "in")
    os.symlink(source, source / "images/again")
    os.symlink(source / "images/me.png", source / "images/me.png")
    command = [sys.executable, "-m", "data", "import", "folder", source, tmp_path / "out"]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode == 1 and "broken and left out: 1, listed above" in end.stderr
    assert end.stdout.startswith(f"broken: {source}/images/me.png has no mask\n")
    assert len(list((tmp_path / "out").rglob("masks/*.png"))) == 4


@pytest.mark.parametrize("name", ["../out.png", "/tmp/out.png", "a/../../out.png", "C:\\out.png"])
def test_zip_entries_outside(tmp_path, name):
    source = SOURCES["cvat zip"](tmp_path / "in")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(name, b"x")
    message = imported("cvat", source, tmp_path)
    assert "export.zip" in message and "out.png" in message
    assert not (tmp_path / "out").exists()


def test_zip_bomb(tmp_path):
    source = SOURCES["cvat zip"](tmp_path / "in")
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("JPEGImages/zeros.png", bytes(150 * 2**20))
    assert "export.zip" in imported("cvat", source, tmp_path)


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    """A file of 2 GB that takes no room."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, 2 << 30)


ODD_FILES = {pipe: "is not a regular file", endless: "is not a regular file",
             large: "has 2147483648 bytes; at most"}  # fmt: skip


def limited(*args, code=2):
    """A command in 4 GB of memory and 60 seconds, which must end with this code."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    end = run("data", *args, preexec_fn=limit, timeout=60)
    assert end.returncode == code and "Traceback" not in end.stderr, end.stderr
    assert len(end.stderr) < 1000
    return end.stdout + end.stderr


@pytest.mark.parametrize("make", ODD_FILES)
@pytest.mark.parametrize("name", ["dataset.toml", "labels.txt", "shards.json"])
def test_odd_files_in_a_dataset(tmp_path, make, name):
    write_shapes(tmp_path / "s", train=1, val=1)
    if name == "shards.json":
        pack(tmp_path / "s", tmp_path / "p")
    else:
        (tmp_path / "s/dataset.toml").unlink()
    folder = tmp_path / "sp"[name == "shards.json"]
    make(folder / name)
    if name == "shards.json":
        assert f"{name} {ODD_FILES[make]}" in limited("preview", folder)
        return
    with pytest.raises(Refusal, match=f"{name} {ODD_FILES[make]}"):
        read_dataset(folder)
    end = run("data", "check", folder, timeout=60)
    assert end.returncode == 1 and f"{name} {ODD_FILES[make]}" in end.stdout


TEXTS = (  # format, a file that it reads
    ("folder", "classes.txt"), ("folder", "dataset.toml"), ("voc", "labels.txt"),
    ("coco", "annotations/instances_train.json"), ("labelme", "labels.txt"),
    ("coco-panoptic", "annotations/panoptic_train.json"), ("camvid", "class_dict.csv"),
    ("cvat", "labelmap.txt"), ("yolo-seg", "data.yaml"), ("yolo-seg", "classes.txt"),
)  # fmt: skip


@pytest.mark.parametrize("make", ODD_FILES)
@pytest.mark.parametrize(("format_", "name"), TEXTS)
def test_odd_files_in_a_source(tmp_path, make, format_, name):
    """Pipes and devices are not listed, or refused by name. A link would be refused as such."""
    source = SOURCES[format_](tmp_path / "in")
    if name == "class_dict.csv":
        (source / "label_colors.txt").unlink()
    if (format_, name) == ("yolo-seg", "classes.txt"):
        (source / "data.yaml").unlink()
    make(source / name)
    message = limited("import", format_, source, tmp_path / "out", "--links")
    assert f"{name} {ODD_FILES[make]}" in message or "no JSON file" in message
    assert not (tmp_path / "out").exists()


DEEP = 100_000


@pytest.mark.parametrize(
    ("format_", "name", "content", "words"),
    [
        ("folder", "dataset.toml", "classes = " + "[" * DEEP, "dataset.toml cannot be read"),
        ("coco", "annotations/instances_train.json", '{"annotations": ' + "[" * DEEP,
         "instances_train.json cannot be read"),
        ("labelme", "a1.json", '{"shapes": ' + '{"a":' * DEEP, "a1.json cannot be read"),
        ("yolo-seg", "data.yaml", "names: " + "[" * DEEP, "is nested deeply: write it out plainly"),
        ("yolo-seg", "data.yaml", "a: &a [x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [*{chr(97 + n)}, *{chr(97 + n)}]}}\n"
            for n in range(20)) + "names: [cat]", "data.yaml has aliases"),
    ],
)  # fmt: skip
def test_deep_and_endless_files(tmp_path, format_, name, content, words):
    source = SOURCES[format_](tmp_path / "in")
    (source / name).write_text(content)
    code = 1 if format_ == "labelme" else 2  # of its files only one is broken
    assert words in limited("import", format_, source, tmp_path / "out", code=code)


def test_a_deep_dataset_toml_and_index(tmp_path):
    (tmp_path / "dataset.toml").write_text("classes = " + "[" * DEEP)
    with pytest.raises(Refusal, match=r"dataset.toml cannot be read"):
        read_dataset(tmp_path)
    (tmp_path / "shards.json").write_text("[" * DEEP)
    with pytest.raises(Refusal, match=r"shards.json is damaged"):
        shard_counts(tmp_path)


@pytest.mark.parametrize("name", [name for name in SOURCES if "zip" not in name])
def test_a_link_to_the_outside(tmp_path, name):
    """One rule for all formats: refused by name, unless --links allows it."""
    source = SOURCES[name](tmp_path / "in")
    image = sorted(path for path in source.rglob("*") if path.suffix in (".jpg", ".png"))[0]
    secret = image.rename(tmp_path / f"secret{image.suffix}")
    image.symlink_to(secret)
    message = imported(name, source, tmp_path)
    assert f"error: {image} is a link to {secret}, outside {source}: add --links" in message
    assert not (tmp_path / "out").exists()
    end = run("data", "import", name, source, tmp_path / "out", "--links")
    assert end.returncode == 0, end.stderr


def test_links_beside_a_json_file_and_in_images(tmp_path):
    source = SOURCES["coco"](tmp_path / "in")
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes((source / "images/a1.jpg").read_bytes())
    (tmp_path / "images/a1.jpg").symlink_to(tmp_path / "secret.jpg")
    (source / "annotations/a1.jpg").symlink_to(tmp_path / "secret.jpg")
    json_file = source / "annotations/instances_train.json"
    out = tmp_path / "out"
    for words, folder in ((["--images", tmp_path / "images"], tmp_path / "images"),
                          ([], source / "annotations")):  # fmt: skip
        end = run("data", "import", "coco", json_file, out, *words)
        assert end.returncode == 2 and f"{folder}/a1.jpg is a link to" in end.stderr


def test_links_inside_and_linked_folders(tmp_path):
    source = SOURCES["folder"](tmp_path / "in")
    (source / "masks/a1.png").rename(source / "kept.png")
    (source / "masks/a1.png").symlink_to("../kept.png")
    (tmp_path / "link").symlink_to(source)
    assert run("data", "import", "folder", tmp_path / "link", tmp_path / "out").returncode == 0
    (source / "images").rename(tmp_path / "images")
    (source / "images").symlink_to(tmp_path / "images")
    message = imported("folder", source, tmp_path / "x")
    assert f"{source}/images is a link to {tmp_path}/images, outside {source}" in message
