"""Safe opening of untrusted folders and zip archives."""

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from cli import Refusal
from data.layout import IMAGE_ENDINGS, IMPORTED_ENDINGS, SPLITS, is_junk

MOST_FILES = 2_000_000
MOST_BYTES = 200 * 2**30
MOST_RATIO = 200  # unpacked to packed size; images are already compressed
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
UNPACKED = "unpacked-"  # begins the name of a temporary folder
MOST_DEEP = 50  # folders in each other
MOST_NAME = 255  # bytes, the limit of file systems
SMALL = 100 * 2**20  # bytes; below this the ratio is not checked
# Folders that mean something to a format: one that lies alone is not above the source, it is in it.
MEANT = {
    *SPLITS, "training", "valid", "validation", "testing", "images", "masks", "labels", "imagesets",
    "annotations", "jpegimages", "segmentationclass", "leftimg8bit", "gtfine",
}  # fmt: skip


def opened(source: Path, args) -> Path:
    """The folder `source`, or a folder in `args.scratch` with the content of the zip `source`; of
    either the only folder in it, if all content lies there.

    Raises Refusal for anything else, for a damaged or malicious zip and, unless `args.links`, for a
    folder with links that lead outside.
    """
    source = Path(source)
    if source.is_dir():
        if not args.links:
            refuse_links(source)
        return below_top(source)
    if not source.is_file():
        raise Refusal(f"no such folder or zip: {source}")
    if not zipfile.is_zipfile(source):
        raise Refusal(f"{source} is neither a folder nor a zip: unpack it and name the folder")
    folder = temporary(args.scratch) / source.name
    with unpacking(source):
        folder.mkdir()
        unpack(source, folder)
    return below_top(folder)


def below_top(source: Path) -> Path:
    """`source`, or the folder that it holds and nothing else, except for files of the operating
    system and a README or licence."""
    try:
        names = [name for name in os.listdir(source) if not (is_junk(name) or is_about(name))]
    except OSError:
        return source
    only = source / names[0] if len(names) == 1 else source
    if only == source or only.name.casefold() in MEANT or only.is_symlink() or not only.is_dir():
        return source
    return below_top(only)


def is_about(name: str) -> bool:
    return name.casefold().split(".")[0] in ("readme", "license", "licence")


@contextmanager
def unpacking(source) -> Iterator[None]:
    """Turns what goes wrong when the zip `source` is unpacked into a Refusal that names it."""
    try:
        yield
    except (*DAMAGE, ValueError, NotImplementedError) as error:
        raise Refusal(f"{source} is damaged: {error}. Create it again") from error
    except RuntimeError as error:
        raise Refusal(f"{source} cannot be unpacked: {error}") from error
    except OSError as error:
        raise Refusal(f"{source} cannot be unpacked: {error.strerror}") from error


def refuse_links(source: Path) -> None:
    """Raises Refusal for a symbolic link below `source` that leads outside; hidden ones are never
    read."""
    root, places = source.resolve(), [source]
    while places:
        with os.scandir(places.pop()) as entries:
            for entry in entries:
                if is_junk(entry.name):
                    continue
                if entry.is_symlink():
                    to = Path(os.path.realpath(entry.path))
                    if not to.is_relative_to(root):
                        raise Refusal(
                            f"{entry.path} is a link to {to}, outside {source}: add --links to "
                            "follow such links, or put a copy in its place"
                        )
                elif entry.is_dir():
                    places.append(entry.path)


def temporary(scratch: Path) -> Path:
    """A new folder in `scratch`, which is deleted when the import ends."""
    scratch.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=UNPACKED, dir=scratch))


def in_source(message: str, args) -> str:
    """The message with what was unpacked called as if it lay in the zip, since it will be gone."""
    unpacked = rf"{re.escape(str(args.scratch))}(?:/{UNPACKED}[^/]+)?"
    return re.sub(unpacked, lambda _: str(Path(args.source).parent), message)


def unpack(source: Path, folder: Path) -> None:
    """Unpacks a zip and the zips in it, each into a folder of its name. The limits of `check_size`
    hold for all of them together."""
    taken = unpack_one(source, folder, source, [])
    for path in sorted(path for path in folder.rglob("*") if is_zip(path)):
        within = f"{source}: {path.relative_to(folder)}"
        target = path.with_suffix("")
        if target.exists():
            raise Refusal(f"{within} would be unpacked to {target.name}, which is there already")
        target.mkdir()
        with unpacking(within):
            taken = unpack_one(path, target, source, taken)
        path.unlink()
        if deeper := next(filter(is_zip, target.rglob("*")), None):
            raise Refusal(f"{within} holds another zip, {deeper.name}: unpack it yourself")
        if os.listdir(target) == [target.name]:  # images.zip with images/ in it
            inner = target.rename(target.with_name(f"{target.name}.zip")) / target.name
            inner.rename(target)
            inner.parent.rmdir()


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path)


def unpack_one(path: Path, folder: Path, source: Path, taken: list) -> list:
    """Unpacks the zip `path`, which is `source` or in it. taken: the entries that were unpacked
    before; returns these and the new ones."""
    with zipfile.ZipFile(path) as archive:
        entries = kept_entries(archive, path.name if path != source else source)
        check_size([*taken, *entries], source, folder)
        for entry in entries:
            write_entry(archive, entry, folder)
    return [*taken, *entries]


def kept_entries(archive: zipfile.ZipFile, source) -> list[zipfile.ZipInfo]:
    """The entries that are not an operating system's own, with / between folders. Raises Refusal
    for a malicious entry, kept or not."""
    entries = archive.infolist()
    for entry in entries:
        entry.filename = entry.filename.replace("\\", "/")  # as some tools on Windows write
        check_entry(entry, source)
    kept = [e for e in entries if not any(map(is_junk, PurePosixPath(e.filename).parts))]
    check_places(kept, source)
    return kept


def write_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(entry) as packed, open(target, "wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except DAMAGE:
        if target.suffix.lower() not in IMAGE_ENDINGS + IMPORTED_ENDINGS:
            raise
        target.write_bytes(b"")  # only this image is lost: it is listed as broken later


def check_entry(entry: zipfile.ZipInfo, source: Path) -> None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if not path.parts or path.is_absolute() or windows.anchor or ".." in windows.parts:
        raise Refusal(
            f"{source}: entry {shown(name)} points outside the folder; nothing was unpacked"
        )
    if len(path.parts) > MOST_DEEP or max(map(len, map(os.fsencode, path.parts))) > MOST_NAME:
        raise Refusal(
            f"{source}: entry {shown(name)} is in {len(path.parts) - 1} folders or has a "
            f"name that is too long; at most {MOST_DEEP} and {MOST_NAME} bytes"
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refusal(f"{source}: entry {shown(name)} is a link or a device; nothing was unpacked")
    if entry.flag_bits & 1:
        raise Refusal(f"{source}: entry {shown(name)} is encrypted; unpack it yourself")


def check_places(entries: list[zipfile.ZipInfo], source: Path) -> None:
    """Raises Refusal for two files of one name, and for a file where another entry has a folder."""
    files, folders = set(), set()
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if not entry.is_dir():
            if path in files:
                raise Refusal(f"{source}: entry {shown(entry.filename)} occurs twice")
            files.add(path)
        folders.update([path, *path.parents] if entry.is_dir() else path.parents)
    if both := files & folders:
        name = shown(min(map(str, both)))
        raise Refusal(f"{source}: entry {name} is a file, but other entries have it as a folder")


def shown(name: str) -> str:
    """The name in quotes, shortened."""
    return repr(name) if len(name) < 100 else f"{name[:50]!r}...{name[-30:]!r}"


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
