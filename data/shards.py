"""Packed datasets: ArrayRecord shards that read as a folder does. python -m data pack.

OUT/dataset.toml as in a folder; OUT/shards.json: of what it is packed and how many shards a split
has; OUT/train-00000-of-00008.array_record: a record a pair, two lengths (uint32, little-endian),
the picture's file, the mask's file; beside it .json, written last: the pictures' names in order.
"""

import bisect
import itertools
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal, beside, read_json, say, write_json
from data.dataset import SPLITS, Dataset, mask_name, read_dataset, write_names
from data.pictures import read_bytes, read_pair

INDEX = "shards.json"
SCHEMA = 1
SHARDS = 8  # a split, unless it has fewer pairs
LENGTHS = struct.Struct("<II")
OPTIONS = "group_size:1,uncompressed"  # pictures are compressed already; one record, one read
THREADS = 4
AT_ONCE = 64  # pairs in memory while packing


def shard_of(part: int, parts: int, count: int) -> range:
    """Which of `count` things are part number `part` of `parts`: pairs in a shard, shards of a
    process. Parts do not overlap, make up the whole in order, and differ by one at most."""
    if not 0 <= part < parts:
        raise ValueError(f"part {part} of {parts}: from 0 to {parts - 1}")
    return range(part * count // parts, (part + 1) * count // parts)


def shard_name(split: str, part: int, parts: int) -> str:
    return f"{split}-{part:05}-of-{parts:05}.array_record"


def is_packed(folder: Path) -> bool:
    return (Path(folder) / INDEX).exists()


def shard_counts(folder: Path) -> dict[str, int]:
    """Number of shards of every split. Raises Refusal for an index that is none."""
    path = Path(folder) / INDEX
    index = read_json(path)
    counts = index.get("splits") if isinstance(index, dict) else None
    if not isinstance(counts, dict) or not all(
        split in SPLITS and type(count) is int and 0 < count < 100_000
        for split, count in counts.items()
    ):
        raise damaged(path)
    if index.get("schema") != SCHEMA:
        raise Refusal(f"{path} is of schema {index.get('schema')}; known: {SCHEMA}. Pack anew")
    return counts


def damaged(path) -> Refusal:
    return Refusal(f"{path} is damaged: pack the dataset anew, to another folder")


# Reading


@dataclass
class Record:
    """A pair in a shard, read once, when its picture or mask is asked for."""

    source: "PackedPairs"
    place: int  # among the records of all shards of its split

    @cached_property
    def parts(self) -> tuple[bytes, bytes]:
        return self.source.read(self.place)


@dataclass(frozen=True)
class Member:
    """The picture or the mask of a record: what a path is in a folder."""

    record: Record
    part: int  # 0 the picture, 1 the mask
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
    """The pairs of a split in shards, read through Grain's data source. Only names wait in memory.

    skip: leave out, and say, what cannot be read; every record is read once to know. Else a
    damaged record is a Refusal once it is read, a damaged shard at once.
    """

    def __init__(self, folder: Path, split: str, skip: bool = False):
        from data.batches import start_grain

        self.paths = shard_paths(folder, split)
        found = [read_shard_index(path) for path in self.paths]
        if not skip:
            for path, index in zip(self.paths, found, strict=True):
                check_length(path, index["bytes"])
        counts = [len(index["pictures"]) for index in found]
        self.ends = list(itertools.accumulate(counts))
        self.names = [name for index in found for name in index["pictures"]]
        # With the range nothing is read before a record is asked for.
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

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """(name, bytes, ns) of every file."""
        for path in self.paths:
            for file in (path, index_of(path)):
                stat = file.stat()
                yield file.name, stat.st_size, stat.st_mtime_ns

    def where(self, place: int) -> str:
        """The shard and the number in it, for messages."""
        shard = bisect.bisect_right(self.ends, place)
        return f"{self.paths[shard]}[{place - (self.ends[shard - 1] if shard else 0)}]"

    def read(self, place: int) -> tuple[bytes, bytes]:
        """The files of picture and mask. Raises Refusal naming the shard and the record."""
        try:
            record = self.records[place]
            picture, mask = LENGTHS.unpack_from(record)
        except (RuntimeError, ValueError, IndexError, struct.error):
            raise self.broken(place) from None
        if LENGTHS.size + picture + mask != len(record):
            raise self.broken(place)
        end = LENGTHS.size + picture
        return record[LENGTHS.size : end], record[end:]

    def broken(self, place: int) -> Refusal:
        return Refusal(
            f"{self.where(place)} ({self.names[place]}) is damaged: pack the dataset anew, or "
            "leave such records out with --damaged skip"
        )

    def readable(self) -> list[int]:
        """Places of the records that can be read; says which cannot."""
        places = []
        for place in range(len(self.names)):
            try:
                self.read(place)
                places.append(place)
            except Refusal:
                say(f"skipped: {self.where(place)} ({self.names[place]}) is damaged")
        if not places:
            raise Refusal(f"none of the {len(self.names)} records of {self.paths[0]} ... is sound")
        return places


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of a split. Raises Refusal when it has none or packing has not ended."""
    folder, counts = Path(folder), shard_counts(folder)
    if split not in counts:
        raise Refusal(f"{folder} has no shards of {split}; it has {', '.join(counts)}")
    parts = counts[split]
    paths = [folder / shard_name(split, part, parts) for part in range(parts)]
    for path in paths:
        for file in (path, index_of(path)):
            if not file.is_file():
                raise Refusal(
                    f"{file} is missing: packing has not ended. "
                    f"The same python -m data pack ... {folder} continues it"
                )
    return paths


def index_of(path: Path) -> Path:
    return path.with_suffix(".json")


def read_shard_index(path: Path) -> dict:
    """{"pictures": names, "broken": lines, "bytes": of the shard}."""
    index = read_json(index_of(path))
    sound = isinstance(index, dict) and type(index.get("bytes")) is int
    for key in ("pictures", "broken"):
        lines = index.get(key) if sound else None
        sound = isinstance(lines, list) and all(isinstance(line, str) for line in lines)
    if not sound or not all(name and name == os.path.basename(name) for name in index["pictures"]):
        raise damaged(index_of(path))
    return index


def check_length(path: Path, length: int) -> None:
    found = path.stat().st_size
    if found != length:
        raise Refusal(
            f"{path} has {found} bytes, its index says {length}: pack the dataset anew, or leave "
            "out what cannot be read with --damaged skip"
        )


# Writing


def pack(source: Path, out: Path, shards: int = SHARDS, size=None) -> list[str]:
    """Packs a dataset into `out` and gives a line for each pair that is left out as broken.

    size: (H, W) that pictures are shrunk to cover, the aspect kept. What an interrupted packing of
    the same source had finished is kept. Raises Refusal when `out` holds something else.
    """
    from tqdm import tqdm

    dataset, out = read_dataset(source), Path(out)
    if is_packed(source):
        raise Refusal(f"{source} is packed already: pack the folder that it was made of")
    claim(dataset, out, shards, size)
    total = sum(len(dataset.pairs(split)) for split in dataset.splits())
    broken = []
    with tqdm(total=total, unit="picture", leave=False) as bar:
        for split, parts in shard_counts(out).items():
            for part in range(parts):
                path = out / shard_name(split, part, parts)
                mine = shard_of(part, parts, len(dataset.pairs(split)))
                if not (path.is_file() and index_of(path).is_file()):
                    write_shard(path, dataset, dataset.pairs(split)[mine.start : mine.stop], size)
                broken += read_shard_index(path)["broken"]
                bar.update(len(mine))
    return broken


def splits_line(out: Path) -> str:
    """What is in a packed dataset, in words."""
    return ", ".join(
        f"{split} {sum(len(read_shard_index(p)['pictures']) for p in shard_paths(out, split))} "
        f"in {parts} shard{'s' * (parts > 1)}"
        for split, parts in shard_counts(out).items()
    )


def claim(dataset: Dataset, out: Path, shards: int, size) -> None:
    """Notes in `out` what is packed there, or checks that it is the same."""
    splits = dataset.splits()
    wanted = {
        "schema": SCHEMA,
        "source": dataset.fingerprint(splits),
        "size": size and list(size),
        "splits": {split: min(shards, len(dataset.pairs(split))) for split in splits},
    }
    if is_packed(out):
        if read_json(out / INDEX) != wanted:
            raise Refusal(
                f"{out} is packed from another or a changed source, or with other options: "
                "choose a new folder, or remove it first"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refusal(f"{out} exists and holds no shards: choose a new folder, or remove it first")
    for left in out.glob(".part-*"):
        left.unlink()
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / INDEX, wanted)
    write_names(out, dataset.classes, dataset.colours, dataset.void)


def write_shard(path: Path, dataset: Dataset, pairs: list, size) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    names, broken = [], []
    with beside(path) as part, ThreadPoolExecutor(THREADS) as pool:
        writer = ArrayRecordWriter(str(part), OPTIONS)
        try:
            for start in range(0, len(pairs), AT_ONCE):
                some = pairs[start : start + AT_ONCE]
                jobs = pool.map(lambda pair: to_record(pair, dataset, size), some)
                for pair, made in zip(some, jobs, strict=True):
                    if isinstance(made, bytes):
                        writer.write(made)
                        names.append(pair[0].name)
                    else:
                        broken.append(made)
        finally:
            writer.close()
        length = part.stat().st_size
    write_json(index_of(path), {"bytes": length, "pictures": names, "broken": broken})


def to_record(pair, dataset: Dataset, size) -> bytes | str:
    """A record, or in words what is broken."""
    try:
        picture, mask = read_pair(pair, dataset)
        files = [read_bytes(path) for path in pair]
    except Refusal as broken:
        return str(broken)
    height, width = picture.shape[:2]
    ratio = max(size[0] / height, size[1] / width) if size else 1
    if ratio < 1:
        to = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        picture = cv2.resize(picture, to, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, to, interpolation=cv2.INTER_NEAREST_EXACT)
        files = [encoded(picture[..., ::-1], pair[0].suffix), encoded(mask, ".png")]
    return LENGTHS.pack(*map(len, files)) + b"".join(files)


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """(H, W, 3) BGR or (H, W) uint8 as a file of this kind; JPEG at OpenCV's quality, 95."""
    return cv2.imencode(suffix, np.ascontiguousarray(pixels))[1].tobytes()
