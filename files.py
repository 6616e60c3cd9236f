"""Atomic writes, locks, JSON, a cache that outlives a process. Standard library only."""

import codecs
import glob
import hashlib
import json
import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

from cli import Refusal

PART = ".part-"  # begins the name of what is being written
UMASK = os.umask(0o077)
os.umask(UMASK)
LONGEST = 200  # bytes of a name that is kept in a temporary one; file systems allow 255
MARKS = (  # the longer first: UTF-32's mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
MOST_JSON = 1 << 28  # bytes of a JSON file of ours


@contextmanager
def quiet():
    """Hides what native libraries write to stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def writing(path: Path):
    """Turns the errors of the file system into a Refusal that names `path`."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        if isinstance(error, FileExistsError) and error.filename:  # where a folder is needed
            why = f"{error.filename} is a file"
        raise Refusal(
            f"cannot write {path}: {why}. Free some space or choose a folder that you may write to"
        ) from error


@contextmanager
def beside(path: Path):
    """Yields a temporary path beside `path` that replaces it when the block succeeds.

    An interruption leaves either the old file or the new one. Raises Refusal when the file cannot
    be written.
    """
    path = Path(path)
    spare = None
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # The name keeps the suffix, from which writers choose their format.
            handle, spare = tempfile.mkstemp("-" + short(path), PART, path.parent)
            os.close(handle)
            os.chmod(spare, 0o666 & ~UMASK)
            yield Path(spare)
            with open(spare, "rb") as done:
                os.fsync(done.fileno())
            os.replace(spare, path)
    finally:
        if spare and os.path.exists(spare):
            os.unlink(spare)


@contextmanager
def folder_beside(out: Path):
    """Yields a new folder beside `out` that replaces it when the block succeeds.

    `out` may be a folder, which is then moved away first and deleted last: a process that is killed
    leaves the old folder, the new one or none, never half of one. Temporary folders that a killed
    process left are removed, so the caller holds `out` (`held`). Raises Refusal when the folder
    cannot be written.
    """
    out = Path(out)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        part = new_part(out)
        try:
            yield part
            old = new_part(out)
            if out.exists():
                os.replace(out, old / "old")
            try:
                os.replace(part, out)
            except BaseException:
                if (old / "old").exists():
                    os.replace(old / "old", out)
                raise
        finally:
            remove_parts(out)


@contextmanager
def new_folder(out: Path):
    """Yields a folder that becomes `out` when the block succeeds; `out` is held until then.

    Raises Refusal when `out` is anything but an empty folder or a name that is free.
    """
    with held(out):
        make_room(out)
        with folder_beside(out) as part:
            yield part


def make_room(out: Path) -> None:
    """Removes what killed processes left beside `out`, which the caller holds.

    Raises Refusal when `out` is anything but an empty folder or a name that is free.
    """
    out = Path(out)
    with writing(out):
        remove_parts(out)
        here = out.exists() and out.samefile(os.curdir)
        taken = out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))
    if here or taken:
        why = "is the current folder" if here else "exists"
        raise Refusal(f"{out} {why}: name a new or an empty folder, or remove it first")


def new_part(out: Path) -> Path:
    part = Path(tempfile.mkdtemp(f"-{short(out)}", PART, out.parent))
    part.chmod(0o777 & ~UMASK)
    return part


def remove_parts(out: Path) -> None:
    for part in out.parent.glob(f"{PART}????????-{glob.escape(short(out))}"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)


def short(path: Path) -> str:
    """The end of the name, of a length that leaves room for what is put before it."""
    return os.fsdecode(os.fsencode(path.name)[-LONGEST:])


@contextmanager
def held(path: Path):
    """Keeps other processes from writing `path`, a file or folder, until the block ends.

    The lock is a hidden file beside `path`, which names the process that holds it; a process that
    was killed holds nothing. Raises Refusal, with that name, when another process holds it.
    """
    import fcntl

    path = Path(os.path.abspath(path))
    lock = path.with_name(f".lock-{short(path)}")
    handle = None
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    while handle is None:
        with writing(path):
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 4096).decode(errors="replace") or "another process"
            os.close(handle)
            raise Refusal(
                f"{path} is in use by {holder}. Wait until it ends, or stop it first"
            ) from None
        if not is_file_of(lock, handle):  # the holder before us has just removed it
            os.close(handle)
            handle = None
    try:
        command = shlex.join([Path(sys.executable).name, *sys.argv])
        with suppress(OSError):  # a full disk: it is held without a name
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} ({command})".encode(errors="replace")[:4096])
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def is_file_of(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except OSError:
        return False


def write_json(path: Path, value) -> None:
    with beside(path) as part:
        part.write_text(json.dumps(value, indent=1) + "\n")


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes.

    Raises Refusal for anything else: a pipe would block, a device may have no end.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise Refusal(f"{path} is not a regular file: replace it by a copy of its content")
        if found.st_size > most:
            raise Refusal(f"{path} has {found.st_size} bytes; at most {most} are read")
        with open(path, "rb") as file:
            raw = file.read(found.st_size + 1)
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error
    if len(raw) > found.st_size:
        raise Refusal(f"{path} grows while it is read: replace it by a copy of its content")
    return raw


def read_text(path: Path, most: int) -> str:
    """The content of a text file of at most `most` bytes: UTF-8, or by its mark UTF-16 or UTF-32.

    The mark is no part of the text. Raises Refusal for anything else.
    """
    raw = read_regular(path, most)
    try:
        text = decoded(raw)
    except UnicodeDecodeError as error:
        raise Refusal(f"{path} cannot be read: {error}. Save it as UTF-8") from error
    if "\0" in text:
        raise Refusal(f"{path} cannot be read: it contains zero bytes. Save it as UTF-8")
    return text


def decoded(raw: bytes, errors: str = "strict") -> str:
    """Bytes as text, by their mark or as UTF-8. errors: as in bytes.decode."""
    return raw.decode(next((code for mark, code in MARKS if raw.startswith(mark)), "utf-8"), errors)


def read_json(path: Path):
    if not Path(path).exists():
        raise Refusal(f"{path} is missing")
    try:
        return json.loads(read_regular(path, MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} is damaged: {error}. Restore it or delete its folder") from error


def cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "segnet"


def cached(folder: Path, what: str, fingerprint: str, make: Callable):
    """make(), a JSON value, or its cached result if `folder` had this fingerprint then.

    The cache has one file per folder and `what`, so that a dataset that changes leaves no stale
    files.
    """
    found = read_cache(folder, what)
    if isinstance(found, dict) and found.get("fingerprint") == fingerprint and "value" in found:
        return found["value"]
    value = make()
    write_cache(folder, what, {"fingerprint": fingerprint, "value": value})
    return value


def cache_file(folder: Path, what: str) -> Path:
    key = json.dumps([str(Path(folder).resolve()), what])
    return cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def read_cache(folder: Path, what: str):
    """The JSON value that `write_cache` wrote last; None without one, or if it is damaged."""
    try:
        check, _, content = read_regular(cache_file(folder, what), MOST_JSON).partition(b"\n")
    except Refusal:
        return None
    return json.loads(content) if check == check_of(content) else None


def write_cache(folder: Path, what: str, content) -> None:
    path, content = cache_file(folder, what), json.dumps(content).encode()
    for part in path.parent.glob(f"{PART}*-{path.name}"):  # of a process that was killed
        part.unlink(missing_ok=True)
    # With a full disk or without permission the next start only takes longer.
    with suppress(Refusal), beside(path) as part:
        part.write_bytes(check_of(content) + b"\n" + content)


def check_of(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
