"""Datasets of any size: fingerprint, cached pixel counts, time and memory."""

import re
import sys

import numpy as np
import pytest

from benchmarks.size import trained, write_links
from cli import Refusal
from data import statistics
from data.dataset import FolderPairs, read_dataset
from data.images import write_image
from data.shapes import write_shapes
from data.statistics import count_pixels
from files import cache_folder, cached


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def shapes(tmp_path):
    write_shapes(tmp_path / "shapes", train=6, val=2)
    return tmp_path / "shapes"


def test_fingerprint_detects_added_removed_and_changed_files(shapes):
    found = [read_dataset(shapes).fingerprint()]
    assert read_dataset(shapes).fingerprint() == found[0]
    image, mask = (shapes / f"train/{part}/0001.png" for part in ("images", "masks"))
    for change in (
        lambda: image.write_bytes(image.read_bytes() + b"\0"),
        lambda: mask.write_bytes(mask.read_bytes() + b"\0"),
        lambda: (image.with_name("x.png").write_bytes(image.read_bytes()),
                 mask.with_name("x.png").write_bytes(mask.read_bytes())),
        lambda: (image.unlink(), mask.unlink()),
    ):  # fmt: skip
        change()
        found.append(read_dataset(shapes).fingerprint())
    assert len(set(found)) == 5


def test_pairs_are_made_on_access(shapes):
    pairs = read_dataset(shapes).pairs("train")
    assert pairs[np.int64(2)][1] == shapes / "train/masks/0002.png"
    assert [pair[0].stem for pair in pairs[1::3]] == ["0001", "0004"]
    assert [pair[0].name for pair in pairs] == [f"{n:04}.png" for n in range(6)]
    with pytest.raises(IndexError):
        pairs[6]


def test_a_million_pairs_hold_no_paths(tmp_path):
    """Only names and numbers are kept in memory, not a path of 400 bytes per pair."""
    pairs = FolderPairs(tmp_path, ["a.png"] * 10**6, {"a.png": (1, 2)}, {"a.png": (1, 2)})
    assert sys.getsizeof(pairs.names) < 9e6 and pairs[999_999][0] == tmp_path / "images/a.png"


def test_broken_symlink(shapes):
    (shapes / "train/masks/0001.png").unlink()
    (shapes / "train/masks/0001.png").symlink_to(shapes / "gone.png")
    with pytest.raises(Refusal, match=r"masks/0001.png cannot be read: No such file"):
        read_dataset(shapes).pairs("train")


def test_pixels_are_counted_once(shapes, monkeypatch):
    """Two pairs of 2x3 pixels with the classes 0, 1 and void, counted by hand."""
    for number in range(2, 6):
        for part in ("images", "masks"):
            (shapes / f"train/{part}/{number:04}.png").unlink()
    for number, ids in enumerate(([[0, 0, 1], [0, 0, 0]], [[1, 1, 1], [0, 255, 255]])):
        write_image(shapes / f"train/images/{number:04}.png", np.zeros((2, 3, 3), np.uint8))
        write_image(shapes / f"train/masks/{number:04}.png", np.uint8(ids))
    read, calls = statistics.read_mask, []
    monkeypatch.setattr(statistics, "read_mask", lambda *of: (calls.append(of), read(*of))[1])
    for _ in range(2):
        assert count_pixels(read_dataset(shapes), "train").tolist() == [6, 4, 0, 0]
        assert len(calls) == 2
    write_image(shapes / "train/masks/0001.png", np.uint8([[2, 2, 2], [2, 2, 2]]))
    assert count_pixels(read_dataset(shapes), "train").tolist() == [5, 1, 6, 0]
    # Nothing is cached in the dataset.
    assert [path.name for path in shapes.glob("**/*.json")] == ["origin.json"]


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"fingerprint": "b"}'])
def test_damaged_or_outdated_cache_is_replaced(tmp_path, text):
    cached(tmp_path, "x", "a", lambda: 1)
    (path,) = cache_folder().iterdir()
    path.write_text(text)
    assert cached(tmp_path, "x", "b", lambda: 2) == 2
    assert cached(tmp_path, "x", "b", lambda: 3) == 2


def test_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("in the way")
    assert [cached(tmp_path, "x", "a", lambda value=v: value) for v in (1, 2)] == [1, 2]


def test_failed_count_is_not_cached(shapes):
    (shapes / "train/masks/0001.png").write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(Refusal, match=r"0001.png is not an image"):
            count_pixels(read_dataset(shapes), "train")


def test_prefetch_is_bounded():
    """At most 32 images are prefetched, or one batch per thread if that is more."""
    from data.batches import AHEAD, THREADS, start_grain, with_threads

    for batch, waiting in ((1, AHEAD), (4, AHEAD // 4), (64, THREADS)):
        stream = with_threads(start_grain().MapDataset.range(9), batch)
        assert stream._read_options.prefetch_buffer_size == waiting


@pytest.mark.slow
@pytest.mark.alone
def test_200_000_pairs(tmp_path):
    """The second start takes under 30 s of all cores; memory stays under 2.5 GB and constant.

    About 20 s were seen: 400,000 files are listed and their sizes and times compared.
    """
    write_links(tmp_path / "many", 200_000)
    list(trained(tmp_path / "many", tmp_path / "first", 1, []))
    lines = list(trained(tmp_path / "many", tmp_path / "second", 1000, []))
    seconds = [float(re.search(r"([\d.]+) s CPU", line)[1]) for line in lines]
    megabytes = [int(re.search(r"(\d+) MB", line)[1]) for line in lines]
    assert seconds[0] < 30 and max(megabytes) < 2500
    assert megabytes[-1] - megabytes[1] < 50  # from step 100 to 1000
