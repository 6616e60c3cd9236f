"""Hugging Face's image data sets: metadata.csv or .jsonl beside the images, or parquet files."""

import csv
import importlib.util
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened, temporary
from data.formats.classes import read_as, to_label_map, with_void
from data.formats.find import listed_once, missing
from data.formats.folder import label_map_of
from data.formats.masks import ENDINGS, add_label_map_options, files_below, read_text, split_of
from data.formats.polygons import read_tree, split_in
from data.images import header_of
from files import writing

ABOUT = """SOURCE: a folder or zip in a form of Hugging Face's library datasets: metadata.csv or
metadata.jsonl with the columns file_name and one that names the mask, or parquet files with a
column of images and one of masks (they need pyarrow: pip install pyarrow). --image-column and
--mask-column name the columns if others fit as well. The folder, or the name of the parquet file,
gives the split. The classes of the mask values are given by --values, --classes, or a file in
SOURCE: id2label.json, dataset.toml, classes.txt or labels.txt."""

TABLES = ("metadata.csv", "metadata.jsonl")
IMAGE_COLUMNS = ("file_name", "image_file_name", "image", "pixel_values")


def add_arguments(parser) -> None:
    for what in ("image", "mask"):
        parser.add_argument(f"--{what}-column", metavar="NAME", help=f"column of the {what}s")
    add_label_map_options(parser)


class Pair(NamedTuple):
    image: Path
    mask: Path
    split: str | None
    table: Path


def read(source: Path, args) -> Found:
    source = opened(source, args)
    files = list(files_below(source))
    tables = [path for path in files if path.name in TABLES]
    packed = [path for path in files if path.suffix.lower() == ".parquet"]
    if bool(tables) == bool(packed):
        what = "both parquet files and" if tables else "neither parquet files nor"
        raise Refusal(f"{source} contains {what} metadata.csv or metadata.jsonl")
    pairs, broken = [], []
    for path in tables or packed:
        try:
            for found in in_table(path, args) if tables else in_parquet(path, args):
                (broken if isinstance(found, str) else pairs).append(found)
        except Refusal as refusal:
            broken.append(str(refusal))
    if not pairs:
        raise Refusal(broken[0] if broken else f"{(tables or packed)[0]} lists no image")
    label_map = classes_of(source, args, pairs)
    listed = [
        (pair.table,
         Item(pair.image.stem, pair.image, partial(read_as, pair.mask, label_map),
              pair.split or split_of(pair.image.relative_to(source)) if tables else pair.split))
        for pair in pairs
    ]  # fmt: skip
    items, twice = listed_once(listed)
    return Found(label_map.classes, items, [*broken, *twice], label_map.colours)


def classes_of(source: Path, args, pairs: list[Pair]):
    """The label map: id2label.json, or what `folder` takes."""
    table = source / "id2label.json"
    if args.values or args.classes or not table.exists():
        return label_map_of(source, args, [pair.mask for pair in pairs])
    tree = read_tree(table)
    fits = isinstance(tree, dict) and all(
        id_.isdecimal() and len(id_) < 6 and isinstance(name, str) for id_, name in tree.items()
    )
    if not fits or not tree:
        raise Refusal(f'{table} is no table of the form {{"0": "background", "1": "cat"}}')
    return with_void(to_label_map([(int(id_), name) for id_, name in tree.items()], where=table))


def in_table(path: Path, args) -> Iterator[Pair | str]:
    """The pairs of metadata.csv or metadata.jsonl, or a message for each broken line."""
    rows = rows_of(path)
    if not rows:
        return
    files = {name: value for name, value in rows[0].items() if is_image(value)}
    image, mask = columns(path, list(files), args)
    for number, row in enumerate(rows, 1):
        try:
            pair = [inside(path.parent, row.get(column), path) for column in (image, mask)]
            lost = next((file for file in pair if not file.is_file()), None)
        except (Refusal, OSError) as error:
            yield str(error)
            continue
        yield (
            f"{path}: row {number} names {lost.name}: {missing(lost)}"
            if lost
            else Pair(*pair, None, path)
        )


def inside(source: Path, name, path: Path) -> Path:
    """source / name. Raises Refusal if the name points outside the source."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise Refusal(f"{path}: {name!r} is not a file name")
    parts = Path(name.replace("\\", "/"))
    if not parts.name:
        raise Refusal(f"{path}: {name!r} is not a file name")
    if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
        raise Refusal(f"{path}: {name!r} points outside its folder")
    return source / parts


def rows_of(path: Path) -> list[dict]:
    """The rows of a table. Raises Refusal."""
    lines = read_text(path).splitlines()
    if path.suffix == ".csv":
        head = lines[0] if lines else ""
        return list(
            csv.DictReader(lines, delimiter=";" if ";" in head and "," not in head else ",")
        )
    try:
        rows = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise Refusal(f"{path}: a line is no object")
    return rows


def is_image(value) -> bool:
    return isinstance(value, str) and Path(value).suffix.lower() in ENDINGS


def columns(path: Path, names: list[str], args) -> tuple[str, str]:
    """The columns of images and of masks among those that hold such. Raises Refusal."""
    image = args.image_column or next((name for name in IMAGE_COLUMNS if name in names), None)
    masks = [args.mask_column] if args.mask_column else [name for name in names if name != image]
    known = ", ".join(map(str, names)) or "none"
    if image not in names:
        raise Refusal(f"{path}: which column is of images? Add --image-column NAME; known: {known}")
    if len(masks) != 1 or masks[0] not in names or masks[0] == image:
        raise Refusal(f"{path}: which column is of masks? Add --mask-column NAME; known: {known}")
    return image, masks[0]


def in_parquet(path: Path, args) -> Iterator[Pair | str]:
    """The pairs of a parquet file, written to temporary files."""
    if importlib.util.find_spec("pyarrow") is None:
        raise Refusal(f"{path} needs the package pyarrow: type pip install pyarrow")
    import pyarrow
    from pyarrow import parquet

    folder, number = temporary(args.scratch), 0
    try:
        table = parquet.ParquetFile(path)
        names = [field.name for field in table.schema_arrow if is_struct(field.type, pyarrow)]
        image, mask = columns(path, names, args)
        for batch in table.iter_batches(16, columns=[image, mask]):
            for row in batch.to_pylist():
                number += 1
                try:
                    stem = folder / f"{path.stem[:60]}_{number:06}"
                    pair = written(row[image], stem), written(row[mask], Path(f"{stem}_mask"))
                except Refusal as refusal:
                    yield f"{path}: row {number}: {refusal}"
                    continue
                yield Pair(*pair, split_in(path.stem) or split_of(path), path)
    except pyarrow.ArrowException as error:
        raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def is_struct(kind, pyarrow) -> bool:
    """Whether a column holds images: a struct with bytes and path."""
    return pyarrow.types.is_struct(kind) and "bytes" in [field.name for field in kind]


def written(cell, stem: Path) -> Path:
    """The image of a cell as a file with the ending of its format. Raises Refusal."""
    raw = cell.get("bytes") if isinstance(cell, dict) else None
    if not raw:
        raise Refusal("an image or mask has no bytes")
    kind = header_of(stem, raw).format.lower()
    target = Path(f"{stem}.{ {'jpeg': 'jpg', 'mpo': 'jpg', 'tiff': 'tif'}.get(kind, kind) }")
    with writing(target):
        target.write_bytes(raw)
    return target
