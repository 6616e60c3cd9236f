"""Shards: reading, and the refusals of damaged files."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import Refusal
from data import pack as pack_module
from data.batches import evaluation_pairs, training_batches
from data.dataset import read_dataset
from data.images import read_image, read_pair
from data.pack import pack
from data.shapes import COLOURS, write_shapes
from data.shards import Member, shard_name, shard_of
from data.statistics import count_pixels
from tests.conftest import train


@pytest.fixture
def source(tmp_path):
    write_shapes(tmp_path / "shapes", train=12, val=3)
    return tmp_path / "shapes"


@pytest.fixture
def packed(source):
    assert pack(source, source.parent / "packed", shards=3) == []
    return source.parent / "packed"


@given(st.integers(1, 50), st.integers(0, 1000))
def test_parts_are_disjoint_and_complete(parts, count):
    ranges = [shard_of(part, parts, count) for part in range(parts)]
    assert list(itertools.chain(*ranges)) == list(range(count))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_part_out_of_range():
    with pytest.raises(ValueError, match="part 3 of 3: parts are numbered from 0 to 2"):
        shard_of(3, 3, 9)


def test_shards_are_read_like_the_folder(source, packed):
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


def test_batches_of_shards_equal_those_of_the_folder(source, packed):
    streams = [training_batches(read_dataset(f), (64, 64), 4, seed=3) for f in (source, packed)]
    for one, two in itertools.islice(zip(*streams, strict=True), 5):
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    found = [list(evaluation_pairs(read_dataset(f), "val", (64, 64), 2)) for f in (source, packed)]
    assert np.array_equal(found[0][1][0], found[1][1][0])


def test_pairs_are_distributed_over_shards(packed):
    sizes = [
        len(json.loads((packed / shard_name("train", part, 3)).with_suffix(".json").read_text())
            ["images"]) for part in range(3)
    ]  # fmt: skip
    assert sizes == [4, 4, 4]
    assert len(list(packed.glob("val-*.array_record"))) == 3


def damage(packed: Path, split="train", place=5) -> Path:
    """Flips a bit of a record in the second shard, which is record `place` of the split."""
    path = packed / shard_name(split, 1, 3)
    raw = bytearray(path.read_bytes())
    pair = read_dataset(packed).pairs(split)[place]
    at = raw.index(pair[0].read_bytes()[1000:1100])  # a part, because the whole may span two blocks
    raw[at] ^= 1
    path.write_bytes(bytes(raw))
    return path


def test_damaged_record_is_reported_with_shard_and_index(packed):
    path = damage(packed)
    pairs = read_dataset(packed).pairs("train")
    with pytest.raises(Refusal) as error:
        read_image(pairs[5][0])
    assert f"{path}[1] (0005.png) is damaged" in str(error.value)
    assert "--damaged skip" in str(error.value)
    read_image(pairs[4][0])


def test_damaged_record_is_skipped_on_request(packed, capsys):
    path = damage(packed)
    dataset = read_dataset(packed, damaged="skip")
    names = [pair[0].stem for pair in dataset.pairs("train")]
    assert names == [f"{number:04}" for number in range(12) if number != 5]
    assert f"skipped: {path}[1] (0005.png) is damaged" in capsys.readouterr().err
    for pair in dataset.pairs("train"):
        assert read_pair(pair, dataset)[1].shape == (128, 128)


@pytest.mark.parametrize("length", [0, 1000, 200_000])
def test_truncated_shard(packed, length):
    path = packed / shard_name("train", 1, 3)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        Refusal, match=rf"{path} has {length} bytes but \d+ according to its index: pack"
    ):
        read_dataset(packed).pairs("train")
    assert len(read_dataset(packed, damaged="skip").pairs("train")) == 8


def test_record_with_invalid_lengths(packed):
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
def test_invalid_index(packed, text):
    (packed / "shards.json").write_text(text)
    with pytest.raises(Refusal, match=str(packed)):
        read_dataset(packed).pairs("train")


@pytest.mark.parametrize(
    "change",
    [{"images": ["../../a.png"]}, {"images": [3]}, {"images": "abc"}, {"bytes": "9"},
     {"broken": None}, {"images": [""]}, {"images": ["/etc/passwd"]}],
)  # fmt: skip
def test_invalid_shard_index(packed, change):
    path = (packed / shard_name("train", 0, 3)).with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(Refusal, match=rf"{path} is damaged: pack the dataset again"):
        read_dataset(packed).pairs("train")


def test_fingerprint_detects_a_changed_shard(packed):
    before = read_dataset(packed).fingerprint()
    assert read_dataset(packed).fingerprint() == before
    times = read_dataset(packed).fingerprint(trust_times=True)
    path = packed / shard_name("val", 0, 3)
    path.touch()
    assert read_dataset(packed).fingerprint() == before
    assert read_dataset(packed).fingerprint(trust_times=True) != times
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert read_dataset(packed).fingerprint() != before


def test_member_names_shard_and_index(packed):
    image, mask = read_dataset(packed).pairs("train")[11]
    assert isinstance(image, Member) and image.suffix == ".png"
    assert str(mask) == f"{packed / shard_name('train', 2, 3)}[3] (0011.png)"


def test_batches_report_a_damaged_record(packed):
    damage(packed)
    with pytest.raises(Refusal, match=r"array_record\[1\] \(0005.png\) is damaged"):
        list(itertools.islice(training_batches(read_dataset(packed), (64, 64), 4, seed=0), 4))


@pytest.mark.slow
def test_training_on_shards(packed, tmp_path, capsys):
    """Training, report and label issues all leave out the damaged records."""
    path, run = damage(packed), tmp_path / "run"
    damage(packed, "val", 1)
    end = train(packed, run, "--damaged", "skip")
    assert end.returncode == 0 and f"skipped: {path}[1] (0005.png)" in end.stderr
    assert "best mIoU" in end.stdout
    from export.__main__ import show_review, show_score
    from export.report.shown import images
    from segnet.run import read_run

    drawn = images(run, read_run(run)[0], COLOURS, {})
    assert drawn["names"] == ["0000.png", "0002.png"]
    show_review([str(run)])
    output = capsys.readouterr()
    assert "0001.png) is damaged" in output.err and "note:" not in output.err
    with pytest.raises(Refusal, match="damaged"):
        show_score([str(run), "--data", str(packed)])
    show_score([str(run), "--data", str(packed), "--damaged", "skip"])
    assert "mIoU" in capsys.readouterr().out
