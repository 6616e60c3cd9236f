"""Packed datasets: ArrayRecord shards that are read like a folder. Written by python -m data pack.

OUT/dataset.toml is the same as in a folder. OUT/shards.json describes the packed source and gives
the number of shards per split. OUT/train-00000-of-00008.array_record holds one record per pair: two
lengths (uint32, little-endian), the image file, the mask file. The .json of the same name, written
last, lists the image names in order.
"""

import bisect
import itertools
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cli import Refusal, say
from data.layout import SPLITS, mask_name
from files import quiet, read_json

INDEX = "shards.json"
SCHEMA = 2
LENGTHS = struct.Struct("<II")


def shard_of(part: int, parts: int, count: int) -> range:
    """The indices, out of `count`, that belong to part number `part` of `parts`.

    The parts are contiguous and disjoint, cover everything, and differ in size by at most one.
    """
    if not 0 <= part < parts:
        raise ValueError(f"part {part} of {parts}: parts are numbered from 0 to {parts - 1}")
    return range(part * count // parts, (part + 1) * count // parts)


def shard_name(split: str, part: int, parts: int) -> str:
    return f"{split}-{part:05}-of-{parts:05}.array_record"


def is_packed(folder: Path) -> bool:
    return (Path(folder) / INDEX).exists()


def shard_counts(folder: Path) -> dict[str, int]:
    """Number of shards of every split. Raises Refusal for an invalid index."""
    path = Path(folder) / INDEX
    index = read_json(path)
    counts = index.get("splits") if isinstance(index, dict) else None
    if not isinstance(counts, dict) or not all(
        split in SPLITS and type(count) is int and 0 < count < 100_000
        for split, count in counts.items()
    ):
        raise damaged(path)
    if index.get("schema") != SCHEMA:
        raise Refusal(f"{path} has schema {index.get('schema')}; supported: {SCHEMA}. Pack again")
    return counts


def damaged(path) -> Refusal:
    return Refusal(f"{path} is damaged: pack the dataset again, into another folder")


def start_grain():
    """Imports grain, without its warning about a missing profiler."""
    with quiet():
        import grain
    return grain


@dataclass
class Record:
    """A pair in a shard, read once, at the first access to its image or mask."""

    source: "PackedPairs"
    place: int  # index over all shards of the split

    @cached_property
    def parts(self) -> tuple[bytes, bytes]:
        return self.source.read(self.place)


@dataclass(frozen=True)
class Member:
    """The image or the mask of a record; it stands in for the path of a file in a folder."""

    record: Record
    part: int  # 0: the image, 1: the mask
    name: str

    @property
    def stem(self) -> str:
        return os.path.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1]

    def read_bytes(self) -> bytes:
        return self.record.parts[self.part]

    def __str__(self) -> str:
        return f"{self.record.source.where(self.record.place)} ({self.name})"


class PackedPairs:
    """The pairs of a split in shards, read by Grain. Only names are kept in memory.

    With `skip`, every record is read once, and unreadable ones are reported and left out. Without
    it, a damaged shard raises Refusal at once and a damaged record when it is read.
    """

    def __init__(self, folder: Path, split: str, skip: bool = False):
        self.folder, self.paths = Path(folder), shard_paths(folder, split)
        found = [read_shard_index(path) for path in self.paths]
        if not skip:
            for path, index in zip(self.paths, found, strict=True):
                check_length(path, index["bytes"])
        counts = [len(index["images"]) for index in found]
        self.ends = list(itertools.accumulate(counts))
        self.names = [name for index in found for name in index["images"]]
        # Given a range, Grain reads nothing before the first access to a record.
        ranges = [f"{path}[0:{count}]" for path, count in zip(self.paths, counts, strict=True)]
        self.records = start_grain().sources.ArrayRecordDataSource(ranges)
        self.places = self.readable() if skip else range(len(self.names))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at):
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        place = self.places[at]
        record, name = Record(self, place), self.names[place]
        return Member(record, 0, name), Member(record, 1, mask_name(name))

    def files(self) -> list[str]:
        """The names of all files, relative to `folder`."""
        return [file.name for path in self.paths for file in (path, index_of(path))]

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """(name, size in bytes, modification time in ns) of every file."""
        for name in self.files():
            stat = (self.folder / name).stat()
            yield name, stat.st_size, stat.st_mtime_ns

    def where(self, place: int) -> str:
        """The shard and the record's index in it, for messages."""
        shard = bisect.bisect_right(self.ends, place)
        return f"{self.paths[shard]}[{place - (self.ends[shard - 1] if shard else 0)}]"

    def read(self, place: int) -> tuple[bytes, bytes]:
        """Image file and mask file. Raises Refusal that names the shard and the record."""
        try:
            record = self.records[place]
            image, mask = LENGTHS.unpack_from(record)
        except (RuntimeError, ValueError, IndexError, struct.error):
            raise self.broken(place) from None
        if LENGTHS.size + image + mask != len(record):
            raise self.broken(place)
        end = LENGTHS.size + image
        return record[LENGTHS.size : end], record[end:]

    def broken(self, place: int) -> Refusal:
        return Refusal(
            f"{self.where(place)} ({self.names[place]}) is damaged: pack the dataset "
            "again, or leave out damaged records with --damaged skip"
        )

    def readable(self) -> list[int]:
        """Places of the readable records; the others are reported."""
        places = []
        for place in range(len(self.names)):
            try:
                self.read(place)
                places.append(place)
            except Refusal:
                say(f"skipped: {self.where(place)} ({self.names[place]}) is damaged")
        if not places:
            raise Refusal(
                f"none of the {len(self.names)} records of {self.paths[0]} ... can be read"
            )
        return places


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of a split. Raises Refusal if it has none or packing is incomplete."""
    folder, counts = Path(folder), shard_counts(folder)
    if split not in counts:
        raise Refusal(f"{folder} has no shards of split {split}; it has {', '.join(counts)}")
    parts = counts[split]
    paths = [folder / shard_name(split, part, parts) for part in range(parts)]
    for path in paths:
        for file in (path, index_of(path)):
            if not file.is_file():
                raise Refusal(
                    f"{file} is missing: packing is incomplete. "
                    f"Run the same python -m data pack ... {folder} again to continue"
                )
    return paths


def index_of(path: Path) -> Path:
    return path.with_suffix(".json")


def read_shard_index(path: Path) -> dict:
    """{"images": file names, "broken": messages, "bytes": size of the shard}."""
    index = read_json(index_of(path))
    valid = isinstance(index, dict) and type(index.get("bytes")) is int
    for key in ("images", "broken"):
        lines = index.get(key) if valid else None
        valid = isinstance(lines, list) and all(isinstance(line, str) for line in lines)
    if not valid or not all(name and name == os.path.basename(name) for name in index["images"]):
        raise damaged(index_of(path))
    return index


def check_length(path: Path, length: int) -> None:
    found = path.stat().st_size
    if found != length:
        raise Refusal(
            f"{path} has {found} bytes but {length} according to its index: pack the dataset "
            "again, or leave out damaged records with --damaged skip"
        )
