"""Packing a dataset into shards: python -m data pack. data/shards.py says what they are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from cli import Refusal
from data.dataset import Dataset, read_dataset, write_names
from data.images import read_bytes, read_pair
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
from files import beside, read_json, write_json

SHARDS = 8  # a split, unless it has fewer pairs
OPTIONS = "group_size:1,uncompressed"  # images are compressed already; one record, one read
THREADS = 4
AT_ONCE = 64  # pairs in memory while packing


def pack(source: Path, out: Path, shards: int = SHARDS, size=None) -> list[str]:
    """Packs a dataset into `out` and gives a line for each pair that is left out as broken.

    size: (H, W) that images are shrunk to cover, the aspect kept. What an interrupted packing of
    the same source had finished is kept. Raises Refusal when `out` holds something else.
    """
    from tqdm import tqdm

    dataset, out = read_dataset(source), Path(out)
    if is_packed(source):
        raise Refusal(f"{source} is packed already: pack the folder that it was made of")
    claim(dataset, out, shards, size)
    total = sum(len(dataset.pairs(split)) for split in dataset.splits())
    broken = []
    with tqdm(total=total, unit="image", leave=False) as bar:
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
        f"{split} {sum(len(read_shard_index(p)['images']) for p in shard_paths(out, split))} "
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
    write_json(index_of(path), {"bytes": length, "images": names, "broken": broken})


def to_record(pair, dataset: Dataset, size) -> bytes | str:
    """A record, or in words what is broken."""
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
        files = [encoded(image[..., ::-1], pair[0].suffix), encoded(mask, ".png")]
    return LENGTHS.pack(*map(len, files)) + b"".join(files)


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """(H, W, 3) BGR or (H, W) uint8 as a file of this kind; JPEG at OpenCV's quality, 95."""
    return cv2.imencode(suffix, np.ascontiguousarray(pixels))[1].tobytes()
