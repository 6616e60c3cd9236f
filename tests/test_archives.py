"""Unpacking of zips: valid, malicious and damaged."""

import io
import stat
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest

from cli import Refusal
from data.formats import archives
from data.formats.values import read_ids


@pytest.fixture
def opened(tmp_path):
    """`archives.opened` as an import without options calls it."""
    return lambda source: archives.opened(source, Namespace(scratch=tmp_path / "s", links=False))


def zipped(path, entries, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return path


def test_a_valid_zip_is_unpacked(tmp_path, opened):
    folder = opened(zipped(tmp_path / "a.zip", [("images/", ""), ("images/a..txt", "hello")]))
    assert (folder / "images/a..txt").read_text() == "hello"
    assert opened(tmp_path) == tmp_path


def linked(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("good", ""), ("../evil", "x")], r"entry '../evil' points outside the folder"),
        ([("a/../../evil", "x")], "points outside the folder"),
        ([("/evil", "x")], "points outside the folder"),
        ([("C:/evil", "x")], "points outside the folder"),
        ([("a\\..\\..\\evil", "x")], "points outside the folder"),
        ([(linked("way"), "/etc"), ("way/passwd", "x")], "entry 'way' is a link or a device"),
        ([("a", "x"), ("a/b", "x")], "entry 'a' is a file, but other entries have it as a folder"),
        ([("a/b/c", "x"), ("a/b", "x")], "entry 'a/b' is a file, but other entries have it as a"),
        ([("a", "x"), ("a/", "")], "entry 'a' is a file, but other entries have it as a folder"),
        ([("a", "x"), ("./a", "y")], "entry './a' occurs twice"),
        ([("n" * 300, "x")], r"entry 'n{50}'...'n{30}' is in 0 folders or has a name that is too"),
        ([("a/" * 5000 + "b", "x")], r"entry '(a/){25}'.* is in 5000 folders or has a name that"),
    ],
)
def test_malicious_zips(tmp_path, opened, entries, message):
    before = sorted(tmp_path.parent.rglob("evil"))
    with pytest.raises(Refusal, match=message):
        opened(zipped(tmp_path / "a.zip", entries))
    assert sorted(tmp_path.parent.rglob("evil")) == before
    assert not Path("/evil").exists()


def test_a_zip_bomb(tmp_path, opened):
    bomb = zipped(tmp_path / "a.zip", [("a", bytes(200 << 20))], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(Refusal, match="times its own size: it looks like a zip bomb"):
        opened(bomb)


def test_invalid_zips(tmp_path, opened):
    (tmp_path / "a.zip").write_bytes(b"PK but no")
    with pytest.raises(Refusal, match=r"a.zip is neither a folder nor a zip"):
        opened(tmp_path / "a.zip")
    with pytest.raises(Refusal, match="no such folder or zip"):
        opened(tmp_path / "b.zip")
    for name in ("labels.txt", "images/a.png"):
        raw = bytearray(zipped(tmp_path / "c.zip", [(name, "hello"), ("b", "")]).read_bytes())
        raw[raw.index(b"hello")] ^= 1
        (tmp_path / "c.zip").write_bytes(raw)
        if name == "labels.txt":
            with pytest.raises(Refusal, match=r"c.zip is damaged: Bad CRC-32"):
                opened(tmp_path / "c.zip")
        else:  # only this image is lost, and listed when it is read
            with pytest.raises(Refusal, match=r"images/a.png is empty"):
                read_ids(opened(tmp_path / "c.zip") / name)
    buffer = io.BytesIO(zipped(tmp_path / "d.zip", [("a", "x")]).read_bytes())
    raw = bytearray(buffer.getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "d.zip").write_bytes(raw)
    with pytest.raises(Refusal, match="entry 'a' is encrypted"):
        opened(tmp_path / "d.zip")
