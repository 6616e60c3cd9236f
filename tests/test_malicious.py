"""Malicious input is refused by name; nothing outside the source is read or written."""

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
    """Writes a tiny PNG whose header states width x height."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(PNG + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))


def imported(format_, source, folder):
    command = [sys.executable, "-m", "data", "import", format_, str(source), str(folder / "out")]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode == 2 and "Traceback" not in end.stderr, end.stderr
    return end.stdout + end.stderr


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 1), (65_535, 32_768)])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_decompression_bombs(tmp_path, kind, width, height):
    source = SOURCES["folder"](tmp_path / "in")
    huge(source / kind / "b2.png", width, height)
    message = imported("folder", source, tmp_path)
    assert f"{kind}/b2.png has {width}x{height} pixels; shrink it" in message
    assert len(list((tmp_path / "out").rglob("masks/*.png"))) == 3


def test_circular_links(tmp_path):
    source = SOURCES["folder"](tmp_path / "in")
    os.symlink(source, source / "images/again")
    os.symlink(source / "images/me.png", source / "images/me.png")
    command = [sys.executable, "-m", "data", "import", "folder", source, tmp_path / "out"]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode in (0, 2) and "Traceback" not in end.stderr, end.stderr
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
