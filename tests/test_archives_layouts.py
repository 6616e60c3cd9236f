"""Zips as people make them: what systems add, backslashes, a folder above all, a zip in a zip."""

import io
import zipfile
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.__main__ import import_options
from data.dataset import read_dataset
from data.formats import archives
from data.formats.imports import SplitOptions, import_source
from data.formats.masks import files_below

MASK = np.uint8([[0, 1, 1], [0, 0, 1]])
JUNK = {
    "__MACOSX/images/._a.png": b"\0\5\x16\7", "images/.DS_Store": b"x", "images/Thumbs.db": b"x",
    "images/._a.png": b"\0\5\x16\7", "desktop.ini": b"x", "masks/__MACOSX/._a.png": b"x",
}  # fmt: skip


@pytest.fixture
def opened(tmp_path):
    return lambda source: archives.opened(source, Namespace(scratch=tmp_path / "s", links=False))


def png(values) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(file, "PNG")
    return file.getvalue()


def content(names: str = "a b") -> dict[str, bytes]:
    """A source of the format folder: images, masks, names of classes."""
    files = {"classes.txt": b"ground\ncat\n"}
    for name in names.split():
        files[f"images/{name}.png"] = png(np.full((2, 3, 3), ord(name)))
        files[f"masks/{name}.png"] = png(MASK)
    return files


def zipped(path, entries: dict[str, bytes], separator: str = "/"):
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in entries.items():
            entry = zipfile.ZipInfo("x")
            entry.filename = name.replace("/", separator)
            archive.writestr(entry, body, zipfile.ZIP_DEFLATED)
    return path


def below(entries: dict[str, bytes], top: str) -> dict[str, bytes]:
    return {f"{top}/{name}": body for name, body in entries.items()}


def inner(entries: dict[str, bytes]) -> bytes:
    return zipped(io.BytesIO(), entries).getvalue()


def damaged_zip() -> bytes:
    raw = bytearray(inner({"x.txt": bytes(1000)}))
    raw[40] ^= 255  # in the packed bytes, after 30 bytes of header and the name
    return bytes(raw)


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in files_below(folder))


def imported(source, tmp_path, *options):
    """The masks by stem, after an import of the format folder."""
    out = tmp_path / "out"
    args = import_options("folder").parse_args([str(source), str(out), *options])
    account = import_source("folder", args, {}, SplitOptions(val=0.5))
    assert (account.classes, account.broken) == (["ground", "cat"], [])
    pairs = [pair for split in ("train", "val") for pair in read_dataset(out).pairs(split)]
    return {mask.stem: np.array(Image.open(mask)).tolist() for _, mask in pairs}


def test_files_of_operating_systems_are_left_out(tmp_path, opened):
    wanted = sorted(content())
    assert listed(opened(zipped(tmp_path / "a.zip", content() | JUNK))) == wanted
    plain = tmp_path / "plain"
    for name, body in (content() | JUNK).items():
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes(body)
    assert listed(opened(plain)) == wanted


@pytest.mark.parametrize(
    "entries",
    [content(), content() | JUNK, below(content(), "my-data"), below(content(), "a b/c"),
     below(content(), "my-data") | JUNK | {"README.md": b"x", "LICENSE": b"x"},
     {"data.zip": inner(content())}, {"top/data.zip": inner(below(content(), "data"))},
     {"classes.txt": content()["classes.txt"],
      "images.zip": inner({"a.png": content()["images/a.png"], "b.png": png(np.ones((2, 3, 3)))}),
      "masks.zip": inner({"masks/a.png": png(MASK), "masks/b.png": png(MASK)})}],
)  # fmt: skip
@pytest.mark.parametrize("separator", ["/", "\\"])
def test_zips_of_one_content(tmp_path, entries, separator):
    """Each gives the two masks of `content`, pixel by pixel."""
    source = zipped(tmp_path / "a.zip", entries, separator)
    assert imported(source, tmp_path) == {"a": MASK.tolist(), "b": MASK.tolist()}


def test_patterns_from_above_the_only_folder(tmp_path):
    source = zipped(tmp_path / "a.zip", below(content(), "top/data"))
    for pattern in ("images/*", "top/data/images/*", "data/images/*", "**/images/*"):
        assert imported(source, tmp_path / pattern[:2], "--images", pattern).keys() == {"a", "b"}


@pytest.mark.parametrize("name", ["train", "Images", "masks", "labels"])
def test_a_folder_that_means_something_is_kept(tmp_path, opened, name):
    source = zipped(tmp_path / "a.zip", {f"{name}/x": b"", f"{name}/y": b""})
    assert listed(opened(source)) == [f"{name}/x", f"{name}/y"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a.zip": inner({"b.zip": inner({"c": b"x"})})}, "a.zip holds another zip, b.zip: unpack"),
        ({"a.zip": inner({"../evil": b"x"})}, "entry '../evil' points outside the folder"),
        ({"a.zip": inner({"..\\evil": b"x"})}, "entry '../evil' points outside the folder"),
        ({"..\\evil": b"x"}, "entry '../evil' points outside the folder"),
        ({"__MACOSX/../../evil": b"x"}, "points outside the folder"),
        ({"C:\\evil": b"x"}, "entry 'C:/evil' points outside the folder"),
        ({"\\\\host\\share": b"x"}, "points outside the folder"),
        ({"a\\b": b"x", "a/b": b"y"}, "entry 'a/b' occurs twice"),
        ({"a.zip": inner({"x": b"1"}), "a/x": b"2"}, "unpacked to a, which is there already"),
        ({"a.zip": damaged_zip()}, "a.zip: a.zip is damaged: "),
    ],
)  # fmt: skip
def test_malicious_and_nested(tmp_path, opened, entries, message):
    with pytest.raises(Refusal, match=message):
        opened(zipped(tmp_path / "a.zip", entries))
    assert not list(tmp_path.parent.rglob("evil"))


def test_limits_hold_for_all_zips_together(tmp_path, opened, monkeypatch):
    """Each alone is below the limit of a bomb, both together are above it."""
    monkeypatch.setattr(archives, "SMALL", 150_000)
    monkeypatch.setattr(archives, "MOST_RATIO", 10)
    one = {"a.zip": inner({"zeros": bytes(100_000)})}
    opened(zipped(tmp_path / "one.zip", one))
    two = one | {"b.zip": inner({"zeros": bytes(100_000)})}
    with pytest.raises(Refusal, match=r"two.zip unpacks to 20\d{4} bytes.* looks like a zip bomb"):
        opened(zipped(tmp_path / "two.zip", two))
