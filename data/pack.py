"""Packs a dataset into shards: python -m data pack. data/shards.py describes their format."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2

from cli import Refusal
from data.dataset import Dataset, read_dataset, write_names
from data.images import encoded, read_bytes, read_pair
from data.shards import (
    INDEX,
    LENGTHS,
    SCHEMA,
    index_of,
    is_packed,
    read_shard_index,
    shard_counts,
    shard_name,
    shard_of,
    shard_paths,
)
from files import beside, held, read_json, write_json, writing

SHARDS = 8  # per split, unless it has fewer pairs
OPTIONS = "group_size:1,uncompressed"  # images are already compressed; one read per record
THREADS = 4
AT_ONCE = 64  # pairs in memory at a time


def pack(source: Path, out: Path, shards: int = SHARDS, size=None) -> list[str]:
    """Packs a dataset into `out` and returns a message for each broken pair that is left out.

    size: (H, W); larger images are downscaled until one side matches, the aspect ratio kept.
    Finished shards of an interrupted run on the same source are kept. Raises Refusal if `out`
    holds anything else.
    """
    from tqdm import tqdm

    dataset, out, broken = read_dataset(source), Path(out), []
    if is_packed(source):
        raise Refusal(f"{source} is already packed: pack the folder that it was made from")
    total = sum(len(dataset.pairs(split)) for split in dataset.splits())
    with held(out), tqdm(total=total, unit="image", leave=False, disable=None) as bar:
        claim(dataset, out, shards, size)
        for split, parts in shard_counts(out).items():
            for part in range(parts):
                path = out / shard_name(split, part, parts)
                mine = shard_of(part, parts, len(dataset.pairs(split)))
                if not (path.is_file() and index_of(path).is_file()):
                    write_shard(path, dataset, dataset.pairs(split)[mine.start : mine.stop], size)
                broken += read_shard_index(path)["broken"]
                bar.update(len(mine))
    return broken


def packed_counts(out: Path) -> dict[str, tuple[int, int]]:
    """(pairs, shards) of each split of a packed dataset."""
    return {
        split: (
            sum(len(read_shard_index(path)["images"]) for path in shard_paths(out, split)),
            parts,
        )
        for split, parts in shard_counts(out).items()
    }


def splits_line(out: Path) -> str:
    """The number of pairs and shards per split of a packed dataset, as text."""
    return ", ".join(
        f"{split} {pairs} in {parts} shard{'s' * (parts > 1)}"
        for split, (pairs, parts) in packed_counts(out).items()
    )


def claim(dataset: Dataset, out: Path, shards: int, size) -> None:
    """Records in `out` which source is packed with which options, or checks that they match."""
    splits = dataset.splits()
    wanted = {
        "schema": SCHEMA,
        "source": dataset.fingerprint(splits),
        "size": size and list(size),
        "splits": {split: min(shards, len(dataset.pairs(split))) for split in splits},
    }
    with writing(out):
        leftovers = [path for path in out.glob(".part-*") if path.is_file()]
        empty = not out.exists() or (out.is_dir() and set(out.iterdir()) <= set(leftovers))
    if is_packed(out):
        if read_json(out / INDEX) != wanted:
            raise Refusal(
                f"{out} was packed from another source, from an older state of it or with other "
                "options: choose a new folder, or remove it first"
            )
    elif not empty:
        raise Refusal(f"{out} exists but has no shards: choose a new folder, or remove it first")
    with writing(out):
        for leftover in leftovers:
            leftover.unlink()
        out.mkdir(parents=True, exist_ok=True)
    write_json(out / INDEX, wanted)
    write_names(out, dataset.classes, dataset.colours, dataset.void, dataset.mirror)


def write_shard(path: Path, dataset: Dataset, pairs: list, size) -> None:
    names, broken = [], []
    with beside(path) as part:
        with ThreadPoolExecutor(THREADS) as pool, appending(part, path) as append:
            for start in range(0, len(pairs), AT_ONCE):
                chunk = pairs[start : start + AT_ONCE]
                jobs = pool.map(lambda pair: to_record(pair, dataset, size), chunk)
                for pair, record in zip(chunk, jobs, strict=True):
                    if isinstance(record, bytes):
                        append(record)
                        names.append(pair[0].name)
                    else:
                        broken.append(record)
        length = part.stat().st_size
    write_json(index_of(path), {"bytes": length, "images": names, "broken": broken})


@contextmanager
def appending(part: Path, path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yields a function that appends a record to `part`, which will be the shard `path`."""
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(part), OPTIONS)

    def attempt(action: Callable, *record) -> None:
        try:
            action(*record)
        except RuntimeError as error:  # all that ArrayRecord raises, a full disk included
            why = str(error).partition(";")[0]
            raise Refusal(
                f"cannot write {path}: {why}. Free some space or choose a folder that you may "
                "write to"
            ) from error

    try:
        yield partial(attempt, writer.write)
    finally:
        attempt(writer.close)


def to_record(pair, dataset: Dataset, size) -> bytes | str:
    """The record of a pair, or a message if the pair is broken."""
    try:
        image, mask = read_pair(pair, dataset)
        files = [read_bytes(path) for path in pair]
    except Refusal as broken:
        return str(broken)
    height, width = image.shape[:2]
    ratio = max(size[0] / height, size[1] / width) if size else 1
    if ratio < 1:
        to = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        image = cv2.resize(image, to, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, to, interpolation=cv2.INTER_NEAREST_EXACT)
        files = [encoded(image, pair[0].suffix), encoded(mask, ".png")]
    return LENGTHS.pack(*map(len, files)) + b"".join(files)
