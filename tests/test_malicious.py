"""Input that is made to do harm: named and refused, nothing read or written outside."""

import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mutations import PNG, chunk
from sources import SOURCES

ROOT = Path(__file__).parent.parent


def huge(path: Path, width: int, height: int) -> None:
    """A PNG of some bytes whose header says width x height."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(PNG + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))


def imported(format_, source, folder):
    words = [sys.executable, "-m", "data", "import", format_, str(source), str(folder / "out")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode == 2 and "Traceback" not in end.stderr, end.stderr
    return end.stdout + end.stderr


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 1), (65_535, 32_768)])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_images_and_masks_that_are_bombs(tmp_path, kind, width, height):
    source = SOURCES["folder"](tmp_path / "in")
    huge(source / kind / "b2.png", width, height)
    said = imported("folder", source, tmp_path)
    assert f"{kind}/b2.png has {width}x{height} pixels; shrink it" in said
    assert len(list((tmp_path / "out").rglob("masks/*.png"))) == 3


def test_links_that_go_round(tmp_path):
    source = SOURCES["folder"](tmp_path / "in")
    os.symlink(source, source / "images/again")
    os.symlink(source / "images/me.png", source / "images/me.png")
    words = [sys.executable, "-m", "data", "import", "folder", str(source), str(tmp_path / "out")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode in (0, 2) and "Traceback" not in end.stderr, end.stderr
    assert len(list((tmp_path / "out").rglob("masks/*.png"))) == 4


@pytest.mark.parametrize("name", ["../out.png", "/tmp/out.png", "a/../../out.png", "C:\\out.png"])
def test_zip_entries_outside(tmp_path, name):
    source = SOURCES["cvat zip"](tmp_path / "in")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr(name, b"x")
    said = imported("cvat", source, tmp_path)
    assert "export.zip" in said and "out.png" in said
    assert not (tmp_path / "out").exists()


def test_zip_that_unpacks_to_a_disk_full(tmp_path):
    source = SOURCES["cvat zip"](tmp_path / "in")
    with zipfile.ZipFile(source, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("JPEGImages/zeros.png", bytes(150 * 2**20))
    assert "export.zip" in imported("cvat", source, tmp_path)
