"""Safe unpacking of untrusted zip archives."""

import atexit
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from cli import Refusal
from data.layout import IMAGE_ENDINGS

MOST_FILES = 2_000_000
MOST_BYTES = 200 * 2**30
MOST_RATIO = 200  # unpacked to packed size; images are already compressed
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
SMALL = 100 * 2**20  # bytes; below this the ratio is not checked


def opened(source: Path) -> Path:
    """The folder `source`, or a temporary folder with the content of the zip `source`.

    Raises Refusal for anything else, and for a damaged or malicious zip.
    """
    source = Path(source)
    if source.is_dir():
        return source
    if not source.is_file():
        raise Refusal(f"no such folder or zip: {source}")
    if not zipfile.is_zipfile(source):
        raise Refusal(f"{source} is neither a folder nor a zip")
    folder = temporary()
    try:
        with zipfile.ZipFile(source) as archive:
            unpack(archive, source, folder)
    except (*DAMAGE, ValueError, NotImplementedError) as error:
        raise Refusal(f"{source} is damaged: {error}. Create it again") from error
    except (OSError, RuntimeError) as error:
        raise Refusal(f"{source} cannot be unpacked: {error}") from error
    return folder


def temporary() -> Path:
    """A new folder that is deleted at exit."""
    folder = Path(tempfile.mkdtemp(prefix="import-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def unpack(archive: zipfile.ZipFile, source: Path, folder: Path) -> None:
    entries = archive.infolist()
    for entry in entries:
        check_entry(entry, source)
    check_size(entries, source, folder)
    for entry in entries:
        target = folder / entry.filename
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with archive.open(entry) as packed, open(target, "wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
        except DAMAGE:
            if target.suffix.lower() not in IMAGE_ENDINGS:
                raise
            target.write_bytes(b"")  # only this image is lost: it is listed as broken later


def check_entry(entry: zipfile.ZipInfo, source: Path) -> None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if not path.parts or path.is_absolute() or windows.anchor or ".." in windows.parts:
        raise Refusal(f"{source}: entry {name!r} points outside the folder; nothing was unpacked")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refusal(f"{source}: entry {name!r} is a link or a device; nothing was unpacked")
    if entry.flag_bits & 1:
        raise Refusal(f"{source}: entry {name!r} is encrypted; unpack it yourself")


def check_size(entries: list[zipfile.ZipInfo], source: Path, folder: Path) -> None:
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or size > MOST_BYTES:
        raise Refusal(
            f"{source} unpacks to {len(entries)} files with {size} bytes, which is too large"
        )
    if size > SMALL and size > MOST_RATIO * source.stat().st_size:
        raise Refusal(
            f"{source} unpacks to {size} bytes, {size // source.stat().st_size} times its own "
            "size: it looks like a zip bomb; unpack it yourself if you trust it"
        )
    free = shutil.disk_usage(folder).free
    if size > free:
        raise Refusal(f"{source} unpacks to {size} bytes; {folder.parent} has {free} bytes left")
