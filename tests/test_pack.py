"""python -m data pack: splits, --size, resuming, refusals and broken pairs."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data import pack as pack_module
from data.dataset import read_dataset
from data.images import read_mask, read_pair
from data.pack import pack
from data.shapes import write_shapes
from data.shards import shard_name

ROOT = Path(__file__).parent.parent


@pytest.fixture
def source(tmp_path):
    write_shapes(tmp_path / "shapes", train=12, val=3)
    return tmp_path / "shapes"


def test_void_and_test_split_are_packed(source):
    toml = source / "dataset.toml"
    toml.write_text(toml.read_text() + "void = 3\n")
    (source / "test").symlink_to(source / "val")
    pack(source, source.parent / "p")
    packed = read_dataset(source.parent / "p")
    assert packed.splits() == ["train", "val", "test"] and packed.void == 3
    plain = read_mask(read_dataset(source).pairs("test")[1][1], read_dataset(source))
    assert np.array_equal(read_mask(packed.pairs("test")[1][1], packed), plain)


def test_size_downscales_and_keeps_the_aspect_ratio(source):
    """For 64x64, 400x200 (HxW) becomes 128x64 and 40x40 is kept; masks by nearest neighbour."""
    ids = np.zeros((400, 200), np.uint8)
    ids[200:] = 1
    ids[:, 100:] *= 3
    for name, mask in (("a", ids), ("b", ids[:40, :40])):
        Image.fromarray(mask).save(source / f"train/masks/{name}.png")
        Image.fromarray(np.repeat(mask[..., None] * 50, 3, -1)).save(
            source / f"train/images/{name}.png"
        )
    pack(source, source.parent / "p", size=(64, 64))
    packed = read_dataset(source.parent / "p")
    found = {pair[0].stem: read_pair(pair, packed) for pair in packed.pairs("train")}
    assert found["a"][0].shape == (128, 64, 3) and found["b"][0].shape == (40, 40, 3)
    half = np.zeros((128, 64), np.uint8)
    half[64:, :32], half[64:, 32:] = 1, 3
    assert np.array_equal(found["a"][1], half)
    # The edges are between pixels, so that area averaging gives exact values.
    assert np.array_equal(found["a"][0], np.repeat(half[..., None] * 50, 3, -1))
    assert found["0000"][0].shape == (64, 64, 3)


def test_interrupted_packing_resumes(source, monkeypatch):
    out, made = source.parent / "p", []
    write = pack_module.write_shard

    def stopped(path, *more):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(path.name)
        write(path, *more)

    monkeypatch.setattr(pack_module, "write_shard", stopped)
    with pytest.raises(KeyboardInterrupt):
        pack(source, out, shards=3)
    with pytest.raises(Refusal, match=r"train-00002.* is missing: packing is incomplete. Run"):
        read_dataset(out).pairs("train")
    (out / made[1]).with_suffix(".json").unlink()  # as if interrupted between the two files
    (out / ".part-x").write_text("half")
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("train-00000*")}
    monkeypatch.setattr(
        pack_module, "write_shard", lambda *of: (made.append(of[0].name), write(*of))
    )
    assert pack(source, out, shards=3) == []
    assert made[2:] == [shard_name("train", 1, 3), shard_name("train", 2, 3)] + [
        shard_name("val", part, 3) for part in range(3)
    ]
    assert times == {path.name: path.stat().st_mtime_ns for path in out.glob("train-00000*")}
    assert len(read_dataset(out).pairs("train")) == 12 and not list(out.glob(".part-*"))


def test_an_interrupted_shard_is_not_kept(source, monkeypatch):
    def stop(pair, *more):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_module, "to_record", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(source, source.parent / "p", shards=2)
    left = sorted(path.name for path in (source.parent / "p").iterdir())
    assert left == ["dataset.toml", "shards.json"]


def test_packing_into_another_folder_is_refused(source):
    packed = source.parent / "packed"
    pack(source, packed, shards=3)
    with pytest.raises(
        Refusal, match="packed from another source, from an older state of it or with"
    ):
        pack(source, packed, shards=2)
    (source / "train/images/0000.png").touch()
    assert pack(source, packed, shards=3) == []
    shutil.copy(source / "train/images/0001.png", source / "train/images/0000.png")
    with pytest.raises(Refusal, match="packed from another source, from an older state"):
        pack(source, packed, shards=3)
    with pytest.raises(Refusal, match="shapes exists but has no shards: choose a new folder"):
        pack(source, source)
    with pytest.raises(Refusal, match="is already packed: pack the folder"):
        pack(packed, source.parent / "again")


def test_broken_pairs_are_left_out_and_listed(source):
    path = source / "train/masks/0004.png"
    path.write_bytes(b"no image")
    command = [sys.executable, "-m", "data", "pack", str(source), str(source.parent / "p")]
    for _ in range(2):  # the second run has nothing to do and prints the same list
        end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert end.returncode == 1
        assert "train 11 in 8 shards, val 3 in 3 shards" in end.stdout
        assert f"broken: {path} is not an image" in end.stdout
        assert "broken and left out: 1, listed above; the rest was packed" in end.stderr
    names = [pair[0].name for pair in read_dataset(source.parent / "p").pairs("train")]
    assert len(names) == 11 and "0004.png" not in names


def test_a_split_of_broken_pairs_alone_is_refused(source):
    for path in (source / "val/masks").iterdir():
        path.write_bytes(b"no image")
    command = [sys.executable, "-m", "data", "pack", str(source), str(source.parent / "p")]
    for _ in range(2):
        end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert end.returncode == 2
        assert end.stdout.count("broken: ") == 3
        assert "error: every pair of val is broken, listed above: " in end.stderr
