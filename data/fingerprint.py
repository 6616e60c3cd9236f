"""Whether a dataset is what it was: hashes of its files, and what has changed if they differ."""

import hashlib
import os
import stat
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from files import read_cache, write_cache

THREADS = 4
BLOCK = 1 << 20  # bytes
FRESH = 2 * 10**9  # ns; a file that was written so shortly ago may be written again unnoticed
EACH = 10_000  # up to so many files of a kind, a description holds a short hash of each
SHORT = 8  # hexadecimal digits of the hash of one file
LONG = 16  # of that of all files of a kind
CTIME = 2  # its place in a stamp
ODD = "not readable"  # stands for the hash of a pipe, a device or a file without permission


def digests(folder: Path, split: str, root: Path, names: list[str]) -> dict[str, str]:
    """The SHA-256 of each file of a split of the dataset `folder`, by name below `root`.

    A hash is computed once: it is kept in the cache with the size, the times, and the number of the
    file. Its ctime changes with every edit, even if the other time is set back.
    """
    begun, known = time.time_ns(), read_cache(folder, f"contents of {split}")
    known = known if isinstance(known, dict) else {}
    stamps = {name: stamp_of(os.path.join(root, name)) for name in names}
    found = {name: row[-1] for name, row in known.items() if row[:-1] == stamps.get(name)}
    if missing := [name for name in names if name not in found]:
        found |= computed(root, {name: stamps[name] for name in missing})
        kept = {
            name: [*stamps[name], found[name]]
            for name in names
            if found[name] != ODD and stamps[name][CTIME] < begun - FRESH
        }
        write_cache(folder, f"contents of {split}", kept)
    return {name: found[name] for name in names}


def stamp_of(path: str) -> list[int]:
    """[size, modification time, ctime, inode] of a regular file, times in ns; [] for another."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    row = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    return row if stat.S_ISREG(found.st_mode) else []


def computed(root: Path, stamps: dict[str, list[int]]) -> dict[str, str]:
    from tqdm import tqdm

    size = sum(stamp[0] for stamp in stamps.values() if stamp)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(desc="fingerprint", total=size, unit="B", unit_scale=True, leave=False, disable=None)
        as bar,
    ):  # fmt: skip

        def digest(name: str) -> str:
            return sha256(root / name, bar) if stamps[name] else ODD

        return dict(zip(stamps, pool.map(digest, stamps), strict=True))


def sha256(path: Path, bar) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                bar.update(len(block))
    except OSError:
        return ODD
    return digest.hexdigest()


def whole(head: str, marks: Iterable[tuple[str, dict[str, str]]]) -> str:
    """The SHA-256 of a text and of the marks of some splits, hex."""
    digest = hashlib.sha256(head.encode())
    for split, own in marks:
        for name, mark in own.items():
            digest.update(os.fsencode(f"{split}/{name} {mark}\n"))
    return digest.hexdigest()


def summary(marks: dict[str, str]) -> dict:
    """A description of the files of a split, by kind: images and masks, or shards.

    marks: name to hash or to size and time. A kind has the number of files, a hash of their names
    and one of their marks, and short ones of each mark in the order of the names.
    """
    kinds = {}
    for name, mark in marks.items():
        kind = name.partition("/")[0] if "/" in name else "shards"
        kinds.setdefault(kind, {})[name] = mark
    return {
        kind: {
            "files": len(own),
            "names": hash_of("\n".join(own))[:LONG],
            "contents": hash_of("\n".join(own.values()))[:LONG],
            "each": "".join(hash_of(mark)[:SHORT] for mark in own.values() if len(own) <= EACH),
        }
        for kind, own in kinds.items()
    }


def are_summaries(found, splits: Iterable[str]) -> bool:
    """Whether `found`, which may have been edited, has a `summary` for each of the splits."""
    kinds = {"files": int, "names": str, "contents": str, "each": str}
    return isinstance(found, dict) and all(
        isinstance(found.get(split), dict)
        and all(
            isinstance(files, dict)
            and all(isinstance(files.get(name), kind) for name, kind in kinds.items())
            for files in found[split].values()
        )
        for split in splits
    )


def hash_of(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def changes(split: str, before: dict, now: dict) -> list[str]:
    """What differs between two summaries of a split, a sentence each."""
    if before.keys() != now.keys():
        return [f"{split} has {' and '.join(now)} now, {' and '.join(before)} before"]
    lines = []
    for kind in now:
        line = change(f"of {split}", kind, before[kind], now[kind])
        lines += [line] if line else []
        if before[kind]["names"] != now[kind]["names"]:
            break  # masks are named after their images
    return lines


def change(of: str, kind: str, before: dict, now: dict) -> str:
    """A sentence on the files of one kind, "" if they are the same."""
    if before["files"] != now["files"]:
        what = "added" if now["files"] > before["files"] else "removed"
        return f"{kind} {of} were {what}: {before['files']} before, {now['files']} now"
    if before["names"] != now["names"]:
        return f"{kind} {of} have other names"
    if before["contents"] == now["contents"]:
        return ""
    each = [[row["each"][at : at + SHORT] for at in range(0, len(row["each"]), SHORT)]
            for row in (before, now)]  # fmt: skip
    edited = sum(one != two for one, two in zip(*each, strict=False))
    if edited == 1:
        return f"1 {kind.removesuffix('s')} {of} was edited"
    return f"{edited} {kind} {of} were edited" if edited else f"{kind} {of} were edited"
