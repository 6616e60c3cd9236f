"""Shards: packed, read as the folder, resumed, and what damage is answered."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cli import Refusal
from data import pack as pack_module
from data.batches import evaluation_pairs, training_batches
from data.dataset import read_dataset
from data.images import read_image, read_mask, read_pair
from data.pack import pack
from data.shapes import COLOURS, write_shapes
from data.shards import Member, shard_name, shard_of
from data.statistics import count_pixels
from tests.conftest import train

ROOT = Path(__file__).parent.parent


@pytest.fixture
def source(tmp_path):
    write_shapes(tmp_path / "shapes", train=12, val=3)
    return tmp_path / "shapes"


@pytest.fixture
def packed(source):
    assert pack(source, source.parent / "packed", shards=3) == []
    return source.parent / "packed"


@given(st.integers(1, 50), st.integers(0, 1000))
def test_parts_do_not_overlap_and_make_up_the_whole(parts, count):
    shares = [shard_of(part, parts, count) for part in range(parts)]
    assert list(itertools.chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_no_such_part():
    with pytest.raises(ValueError, match="part 3 of 3: from 0 to 2"):
        shard_of(3, 3, 9)


def test_shards_read_as_the_folder(source, packed):
    plain, other = read_dataset(source), read_dataset(packed)
    assert (other.classes, other.colours, other.void) == (
        plain.classes, plain.colours, plain.void
    )  # fmt: skip
    for split in ("train", "val"):
        pairs = other.pairs(split)
        assert len(pairs) == len(plain.pairs(split))
        for one, two in zip(pairs, plain.pairs(split), strict=True):
            assert [part.name for part in one] == [path.name for path in two]
            for a, b in zip(read_pair(one, other), read_pair(two, plain), strict=True):
                assert np.array_equal(a, b)
    assert [pair[0].stem for pair in pairs[::2]] == ["0000", "0002"]
    assert count_pixels(other, "train").tolist() == count_pixels(plain, "train").tolist()


def test_batches_of_shards_are_those_of_the_folder(source, packed):
    streams = [training_batches(read_dataset(f), (64, 64), 4, seed=3) for f in (source, packed)]
    for one, two in itertools.islice(zip(*streams, strict=True), 5):
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    found = [list(evaluation_pairs(read_dataset(f), "val", (64, 64), 2)) for f in (source, packed)]
    assert np.array_equal(found[0][1][0], found[1][1][0])


def test_pairs_are_shared_out_over_shards(packed):
    sizes = [
        len(json.loads((packed / shard_name("train", part, 3)).with_suffix(".json").read_text())
            ["images"]) for part in range(3)
    ]  # fmt: skip
    assert sizes == [4, 4, 4]
    assert len(list(packed.glob("val-*.array_record"))) == 3


def test_void_and_test_split_come_along(source):
    toml = source / "dataset.toml"
    toml.write_text(toml.read_text() + "void = 3\n")
    (source / "test").symlink_to(source / "val")
    pack(source, source.parent / "p")
    packed = read_dataset(source.parent / "p")
    assert packed.splits() == ["train", "val", "test"] and packed.void == 3
    plain = read_mask(read_dataset(source).pairs("test")[1][1], read_dataset(source))
    assert np.array_equal(read_mask(packed.pairs("test")[1][1], packed), plain)


def test_size_shrinks_and_keeps_the_aspect(source):
    """A 400x200 image (HxW) covers 64x64 as 128x64, a 40x40 one stays; the mask by nearest."""
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
    # Edges fall between pixels: the mean of equal pixels is the pixel.
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
    with pytest.raises(Refusal, match=r"train-00002.* is missing: packing has not ended. The same"):
        read_dataset(out).pairs("train")
    (out / made[1]).with_suffix(".json").unlink()  # as if stopped between the two files
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


def test_a_stop_in_the_middle_of_a_shard_leaves_no_shard(source, monkeypatch):
    def stop(pair, *more):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_module, "to_record", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(source, source.parent / "p", shards=2)
    left = sorted(path.name for path in (source.parent / "p").iterdir())
    assert left == ["dataset.toml", "shards.json"]


def test_packing_elsewhere_is_refused(source, packed):
    with pytest.raises(Refusal, match="packed from another or a changed source, or with other"):
        pack(source, packed, shards=2)
    (source / "train/images/0000.png").touch()
    with pytest.raises(Refusal, match="packed from another or a changed source"):
        pack(source, packed, shards=3)
    with pytest.raises(Refusal, match="shapes exists and holds no shards: choose a new folder"):
        pack(source, source)
    with pytest.raises(Refusal, match="is packed already: pack the folder"):
        pack(packed, source.parent / "again")


def test_broken_pairs_are_left_out_and_listed(source):
    path = source / "train/masks/0004.png"
    path.write_bytes(b"no image")
    words = [sys.executable, "-m", "data", "pack", str(source), str(source.parent / "p")]
    for _ in range(2):  # the second time nothing is left to do, and the list is the same
        end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert end.returncode == 2
        assert "train 11 in 8 shards, val 3 in 3 shards" in end.stdout
        assert f"broken: {path} is not an image" in end.stdout
        assert "1 could not be packed and are listed above; the rest was" in end.stderr
    names = [pair[0].name for pair in read_dataset(source.parent / "p").pairs("train")]
    assert len(names) == 11 and "0004.png" not in names


def spoil(packed: Path, split="train", place=5) -> Path:
    """Turns a byte of a record of the second shard, which is the split's record number `place`."""
    path = packed / shard_name(split, 1, 3)
    raw = bytearray(path.read_bytes())
    pair = read_dataset(packed).pairs(split)[place]
    at = raw.index(pair[0].read_bytes()[1000:1100])  # whole, it may lie in two blocks
    raw[at] ^= 1
    path.write_bytes(bytes(raw))
    return path


def test_damaged_record_is_told_with_shard_and_number(packed):
    path = spoil(packed)
    pairs = read_dataset(packed).pairs("train")
    with pytest.raises(Refusal) as told:
        read_image(pairs[5][0])
    assert f"{path}[1] (0005.png) is damaged" in str(told.value)
    assert "--damaged skip" in str(told.value)
    read_image(pairs[4][0])


def test_damaged_record_is_skipped_if_asked(packed, capsys):
    path = spoil(packed)
    dataset = read_dataset(packed, damaged="skip")
    names = [pair[0].stem for pair in dataset.pairs("train")]
    assert names == [f"{number:04}" for number in range(12) if number != 5]
    assert f"skipped: {path}[1] (0005.png) is damaged" in capsys.readouterr().err
    for pair in dataset.pairs("train"):
        assert read_pair(pair, dataset)[1].shape == (128, 128)


@pytest.mark.parametrize("length", [0, 1000, 200_000])
def test_cut_shard(packed, length):
    path = packed / shard_name("train", 1, 3)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(Refusal, match=rf"{path} has {length} bytes, its index says \d+: pack"):
        read_dataset(packed).pairs("train")
    assert len(read_dataset(packed, damaged="skip").pairs("train")) == 8


def test_record_with_wrong_lengths(packed):
    from array_record.python.array_record_module import ArrayRecordWriter

    path = packed / shard_name("train", 0, 3)
    writer = ArrayRecordWriter(str(path), pack_module.OPTIONS)
    for record in (b"", b"abc", b"\xff" * 8 + b"abc", b"\x01\0\0\0\x01\0\0\0abc"):
        writer.write(record)
    writer.close()
    index = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**index, "bytes": path.stat().st_size}))
    for number, pair in enumerate(read_dataset(packed).pairs("train")[:4]):
        with pytest.raises(Refusal, match=rf"array_record\[{number}\] .*is damaged"):
            pair[1].read_bytes()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", '{"splits": 3}', '{"schema": 2, "splits": {"train": "8"}}',
     '{"schema": 2, "splits": {"../x": 8}}', '{"schema": 2, "splits": {"train": 1e9}}',
     '{"schema": 2, "splits": {"train": true}}', '{"schema": 3, "splits": {"train": 3}}',
     '{"schema": 2, "splits": {"val": 3}}', '{"schema": 2, "splits": {"train": 4}}'],
)  # fmt: skip
def test_index_that_is_none(packed, text):
    (packed / "shards.json").write_text(text)
    with pytest.raises(Refusal, match=str(packed)):
        read_dataset(packed).pairs("train")


@pytest.mark.parametrize(
    "change",
    [{"images": ["../../a.png"]}, {"images": [3]}, {"images": "abc"}, {"bytes": "9"},
     {"broken": None}, {"images": [""]}, {"images": ["/etc/passwd"]}],
)  # fmt: skip
def test_index_of_a_shard_that_is_none(packed, change):
    path = (packed / shard_name("train", 0, 3)).with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(Refusal, match=rf"{path} is damaged: pack the dataset anew"):
        read_dataset(packed).pairs("train")


def test_fingerprint_notices_a_changed_shard(packed):
    before = read_dataset(packed).fingerprint()
    assert read_dataset(packed).fingerprint() == before
    (packed / shard_name("val", 0, 3)).touch()
    assert read_dataset(packed).fingerprint() != before


def test_member_says_where_it_is(packed):
    image, mask = read_dataset(packed).pairs("train")[11]
    assert isinstance(image, Member) and image.suffix == ".png"
    assert str(mask) == f"{packed / shard_name('train', 2, 3)}[3] (0011.png)"


def test_batches_tell_of_a_damaged_record(packed):
    spoil(packed)
    with pytest.raises(Refusal, match=r"array_record\[1\] \(0005.png\) is damaged"):
        list(itertools.islice(training_batches(read_dataset(packed), (64, 64), 4, seed=0), 4))


def test_training_on_shards(packed, tmp_path, capsys):
    """And all that looks at such a run afterwards leaves out the same records."""
    path, run = spoil(packed), tmp_path / "run"
    spoil(packed, "val", 1)
    end = train(packed, run, "--damaged", "skip")
    assert end.returncode == 0 and f"skipped: {path}[1] (0005.png)" in end.stderr
    assert "best mIoU" in end.stdout
    from export.__main__ import show_score, show_suspects
    from export.report.report import images
    from segnet.run import read_run

    drawn = images(run, read_run(run)[0], COLOURS, [])
    assert drawn["names"] == ["0000.png", "0002.png"]
    show_suspects([str(run)])
    said = capsys.readouterr()
    assert "0001.png) is damaged" in said.err and "note:" not in said.err
    with pytest.raises(Refusal, match="damaged"):
        show_score([str(run), "--data", str(packed)])
    show_score([str(run), "--data", str(packed), "--damaged", "skip"])
    assert "mIoU" in capsys.readouterr().out
