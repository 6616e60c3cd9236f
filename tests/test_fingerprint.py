"""The fingerprint of a dataset: its contents, the cache of hashes, and what has changed."""

import hashlib
import json
import os
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image

from data import fingerprint
from data.dataset import read_dataset
from data.pack import pack
from data.shapes import write_shapes
from files import cache_file


@pytest.fixture
def shapes(tmp_path):
    write_shapes(tmp_path / "shapes", train=4, val=3)
    return tmp_path / "shapes"


def of(folder, **options):
    return read_dataset(folder).fingerprint(**options)


def edit(path):
    """Swaps two pixels of a mask that differ; size and modification time stay as they were."""
    before = path.stat()
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    mask[0, 0] = 1 - min(int(mask[0, 0]), 1)
    raw = cv2.imencode(".png", mask)[1].tobytes()
    path.write_bytes(raw[: before.st_size].ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_copy_without_its_times_is_the_same(shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / "copy", copy_function=shutil.copy)
    assert of(shapes) == of(tmp_path / "copy")
    assert of(shapes, trust_times=True) != of(tmp_path / "copy", trust_times=True)


@pytest.mark.parametrize("fresh", [fingerprint.FRESH, -fingerprint.FRESH], ids=["new", "old"])
def test_an_edit_with_size_and_time_kept(shapes, monkeypatch, fresh):
    """Both where the hashes were too new to be kept in the cache and where they came from it."""
    monkeypatch.setattr(fingerprint, "FRESH", fresh)
    before = of(shapes), read_dataset(shapes).described()
    edit(shapes / "val/masks/0001.png")
    assert of(shapes) != before[0]
    assert read_dataset(shapes).changes(before[1]) == ["1 mask of val was edited"]


def test_the_hashes_are_those_of_sha256sum(shapes):
    marks = read_dataset(shapes).marks("train")
    assert list(marks)[:2] == ["images/0000.png", "masks/0000.png"] and len(marks) == 8
    for name, digest in marks.items():
        told = subprocess.run(
            ["sha256sum", shapes / "train" / name], capture_output=True, text=True
        )
        assert told.stdout.split()[0] == digest


def test_the_second_time_reads_no_file(shapes, monkeypatch):
    monkeypatch.setattr(fingerprint, "FRESH", -(10**12))
    first, kept, read = of(shapes), fingerprint.sha256, []
    monkeypatch.setattr(fingerprint, "sha256", lambda *of: read.append(of[0].name) or kept(*of))
    assert of(shapes) == first and read == []
    (shapes / "train/images/0002.png").touch()
    assert of(shapes) == first and read == ["0002.png"]


def test_files_of_the_last_two_seconds_are_read_again(shapes, monkeypatch):
    first, kept, read = of(shapes), fingerprint.sha256, []
    monkeypatch.setattr(fingerprint, "sha256", lambda *of: read.append(of[0].name) or kept(*of))
    assert of(shapes) == first and len(read) == 14


@pytest.mark.parametrize("damage", [
    lambda text: "{", lambda text: "[]", lambda text: "[" * 100_000, lambda text: "",
    lambda text: text.replace("images", "imagez"), lambda text: text[:-1],
    lambda text: f'{text.splitlines()[0]}\n{{"images/0000.png": 3}}',
    lambda text: zeroed(*text.splitlines()),
])  # fmt: skip
def test_a_damaged_cache_is_not_believed(shapes, monkeypatch, damage):
    monkeypatch.setattr(fingerprint, "FRESH", -(10**12))
    first = of(shapes)
    path = cache_file(shapes, "contents of train")
    path.write_text(damage(path.read_text()))
    assert of(shapes) == first


def zeroed(check, content):
    rows = {name: [*row[:-1], "0" * 64] for name, row in json.loads(content).items()}
    return f"{check}\n{json.dumps(rows)}"


def add(shapes):
    for part in ("images", "masks"):
        shutil.copy(shapes / f"train/{part}/0000.png", shapes / f"train/{part}/new.png")


def edit_three(shapes):
    for number in range(3):
        edit(shapes / f"val/masks/000{number}.png")


def rename(shapes):
    for part in ("images", "masks"):
        (shapes / f"train/{part}/0001.png").rename(shapes / f"train/{part}/other.png")


def toml(old, new):
    def change(shapes):
        path = shapes / "dataset.toml"
        path.write_text(path.read_text().replace(old, new))

    return change


CHANGES = {
    "nothing": (lambda shapes: None, []),
    "touched": (lambda shapes: (shapes / "train/images/0000.png").touch(), []),
    "added": (add, ["images of train were added: 4 before, 5 now"]),
    "removed": (lambda shapes: (shapes / "val/images/0001.png").unlink(),
                ["images of val were removed: 3 before, 2 now"]),
    "edited": (edit_three, ["3 masks of val were edited"]),
    "renamed": (rename, ["images of train have other names"]),
    "void": (toml("classes", "void = 0\nclasses"), ["void is 0 now, 255 before"]),
    "classes": (toml("disc", "disk"), ["the classes are background, disk, box, star now, "
                                       "background, disc, box, star before"]),
    "mirror": (toml("classes", 'mirror = [["disc", "box"]]\nclasses'),
               ["mirror, the classes that a flip swaps, is another"]),
    "colours": (toml("230", "231"), ["classes have other colours"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_what_has_changed(shapes, kind):
    change, sentences = CHANGES[kind]
    before = json.loads(json.dumps(read_dataset(shapes).described()))
    change(shapes)
    dataset = read_dataset(shapes)
    assert dataset.changes(before) == sentences
    if kind not in ("colours", "mirror"):  # which are compared by themselves
        assert (dataset.fingerprint() == before["fingerprint"]) == (not sentences)


def test_many_files_are_described_by_one_hash(shapes, monkeypatch):
    monkeypatch.setattr(fingerprint, "EACH", 2)
    before = read_dataset(shapes).described()
    assert len(json.dumps(before)) < 1200
    edit_three(shapes)
    assert read_dataset(shapes).changes(before) == ["masks of val were edited"]


def test_times_are_compared_with_times(shapes):
    before = read_dataset(shapes).described(trust_times=True)
    assert before["by"] == "times" and read_dataset(shapes).changes(before) == []
    edit(shapes / "val/masks/0001.png")
    assert read_dataset(shapes).changes(before) == []
    (shapes / "val/masks/0001.png").touch()
    assert read_dataset(shapes).changes(before) == ["1 mask of val was edited"]


def test_a_record_of_only_times(shapes):
    """As manifests had it before contents were hashed."""
    dataset = read_dataset(shapes)
    before = {key: getattr(dataset, key) for key in ("classes", "colours", "void")}
    digest = hashlib.sha256(repr((dataset.classes, 255)).encode())
    for split, number in ((split, n) for split, count in (("train", 4), ("val", 3))
                          for n in range(count)):  # fmt: skip
        for part in ("images", "masks"):
            stat = (shapes / split / part / f"{number:04}.png").stat()
            line = f"{split}/{part}/{number:04}.png {stat.st_size} {stat.st_mtime_ns}\n"
            digest.update(line.encode())
    before["fingerprint"] = digest.hexdigest()
    assert read_dataset(shapes).changes(before) == []
    (shapes / "val/masks/0001.png").touch()
    assert read_dataset(shapes).changes(before) == ["names, sizes or times of files are others"]


def test_packed_datasets(shapes, tmp_path):
    pack(shapes, tmp_path / "packed", shards=2)
    before = read_dataset(tmp_path / "packed").described()
    shutil.copytree(tmp_path / "packed", tmp_path / "copy", copy_function=shutil.copy)
    assert read_dataset(tmp_path / "copy").changes(before) == []
    shard = next((tmp_path / "copy").glob("train-00001*.array_record"))
    raw = bytearray(shard.read_bytes())
    raw[100] ^= 1
    shard.write_bytes(raw)
    assert read_dataset(tmp_path / "copy").changes(before) == ["1 shard of train was edited"]
    assert read_dataset(shapes).changes(before) == [
        "train has images and masks now, shards before",
        "val has images and masks now, shards before",
    ]


def test_a_pipe_among_the_images_does_not_block(shapes):
    image = shapes / "train/images/0000.png"
    before = of(shapes)
    image.unlink()
    os.mkfifo(image)
    assert of(shapes) != before


def test_names_that_are_no_text(shapes):
    name = os.fsdecode(b"\xff.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(shapes / "train/images" / name)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(shapes / "train/masks" / name)
    assert len(of(shapes)) == 64 and of(shapes) == of(shapes)


@pytest.mark.parametrize(
    "splits",
    [
        None, [], {}, {"train": {}}, {"train": [], "val": {}},
        {"train": {"images": 3}, "val": {}}, {"train": {"images": {"files": "3"}}, "val": {}},
    ],
)  # fmt: skip
def test_an_edited_record_is_told(shapes, splits):
    """A manifest is a file that people can open."""
    dataset = read_dataset(shapes)
    before = dataset.described() | {"splits": splits}
    assert dataset.changes(before) == ["what was recorded of its files is damaged"]


def test_a_record_without_void_is_of_255(shapes):
    from dataclasses import replace

    dataset = read_dataset(shapes)
    before = dataset.described()
    del before["void"]
    assert dataset.changes(before) == []
    assert replace(dataset, void=7, listed={}).changes(before) == ["void is 7 now, 255 before"]
