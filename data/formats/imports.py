"""A source of any format to a dataset folder: python -m data import."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cli import Refusal
from data.dataset import write_names
from data.formats import Found, Item
from data.formats.selection import Selection
from data.formats.splits import assign
from data.images import open_image, orientation_of, read_image, turned, write_image
from data.layout import IMAGE_ENDINGS, SPLITS, VOID, default_colours

THREADS = 4
MOST_NAME = 200  # bytes; file systems take 255, with ending


class Sharing(NamedTuple):
    """How images without a split get one: shares, seed, and a pattern in the stem whose match
    keeps images together."""

    val: float = 0.15
    test: float = 0.0
    seed: int = 0
    group: str | None = None


def write_dataset(found: Found, out: Path, selection: Selection, sharing: Sharing) -> list[str]:
    """Writes the dataset folder `out`, all or nothing, and gives a line for each broken item.

    Raises Refusal when `out` holds something already, and when nothing is sound.
    """
    from tqdm import tqdm

    with new_folder(Path(out)) as part:
        stems = file_names([item.stem for item in found.items])
        with ThreadPoolExecutor(THREADS) as pool:
            jobs = pool.map(
                lambda pair: try_item(*pair, part, selection), zip(found.items, stems, strict=True)
            )
            results = list(tqdm(jobs, total=len(stems), unit="image", leave=False))
        broken = [*found.broken, *(r for r in results if isinstance(r, str))]
        sound = [
            (item, stem, result)
            for item, stem, result in zip(found.items, stems, results, strict=True)
            if not isinstance(result, str)
        ]
        if not sound:
            first = f" First of {len(broken)}: {broken[0]}" if broken else ""
            raise Refusal(f"nothing in the source is sound.{first}")
        for (_, stem, (image, _)), split in zip(sound, share_out(sound, sharing), strict=True):
            place(part, stem, image, split)
        shutil.rmtree(part / "all")
        colours = default_colours(len(selection.classes))
        if found.colours:
            colours = [
                colour if old is None else list(found.colours[old])
                for old, colour in zip(selection.kept, colours, strict=True)
            ]
        write_names(part, selection.classes, colours)
    return broken


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, and goes if not."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise Refusal(f"{out} exists: choose a new folder, or remove it first")
    part = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".part-{out.name[:100]}-", dir=out.parent))
        part.chmod(0o755)
        yield part
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    except OSError as error:
        raise Refusal(
            f"cannot write {out}: {error.strerror or error}. "
            "Free some space or choose a folder that you may write to"
        ) from error
    finally:
        if part:
            shutil.rmtree(part, ignore_errors=True)


def try_item(item: Item, stem: str, part: Path, selection: Selection):
    """(file name of the image, ids of its classes), or what is broken, in words."""
    try:
        return write_item(item, stem, part / "all", selection)
    except Refusal as broken:
        return str(broken)


def write_item(item: Item, stem: str, folder: Path, selection: Selection):
    image = read_image(item.image)
    _, header = open_image(item.image)
    mask = item.mask()
    mask = fitting(mask, image.shape[:2], header, item)
    low, high = int(mask.min()), int(mask.max())
    if low < -1 or high >= len(selection.table) - 1:
        raise Refusal(f"{item.image}: its mask holds id {low if low < -1 else high}, "
                      f"there are {len(selection.table) - 1} classes")  # fmt: skip
    ids = selection.table[mask]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    suffix = item.image.suffix.lower()
    name = stem + (suffix if suffix in IMAGE_ENDINGS else ".png")
    if suffix in IMAGE_ENDINGS:
        link(item.image, folder / "images" / name)
    else:
        write_image(folder / "images" / name, image)
    write_image(folder / "masks" / f"{stem}.png", ids)
    return name, frozenset(np.unique(ids[ids != VOID]).tolist())


def fitting(mask: np.ndarray, size: tuple[int, int], header: Image.Image, item: Item) -> np.ndarray:
    """The mask as EXIF turns its image. size: (H, W) of the turned image."""
    orientation = orientation_of(header)
    raw = (header.height, header.width)
    if orientation != 1 and mask.shape == raw and (not item.turned or mask.shape != size):
        mask = turned(mask, orientation)
    if mask.shape != size:
        came, needed = ("x".join(map(str, shape)) for shape in (mask.shape, size))
        raise Refusal(f"{item.image} is {needed} (HxW), its mask {came}")
    return mask


def link(source: Path, target: Path) -> None:
    """A hard link where the file system can, else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def share_out(sound: list, sharing: Sharing) -> list[str]:
    """A split for each (item, stem, (name, ids)): the source's own, else one by hash.

    A source that has training images alone shares them out as if it had no splits.
    """
    own = {item.split for item, _, _ in sound}
    if "val" in own:
        fixed = [item.split for item, _, _ in sound]
    else:
        fixed = [item.split if item.split == "test" else None for item, _, _ in sound]
    free = [entry for entry, split in zip(sound, fixed, strict=True) if split is None]
    groups = [group_of(stem, sharing.group) for _, stem, _ in free]
    test = 0.0 if "test" in own else sharing.test
    val = 0.0 if "val" in own else sharing.val
    made = iter(assign(groups, [ids for *_, (_, ids) in free], val, test, sharing.seed))
    return [split or next(made) for split in fixed]


def group_of(stem: str, pattern: str | None) -> str:
    found = pattern and re.search(pattern, stem)
    return (found[1] if found.groups() else found[0]) if found else stem


def place(part: Path, stem: str, image: str, split: str) -> None:
    for folder, name in (("images", image), ("masks", f"{stem}.png")):
        target = part / split / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part / "all" / folder / name, target)


def file_names(stems: list[str]) -> list[str]:
    """Names that every file system takes: short, no separators, none that differ in case alone."""
    taken, names = set(), []
    for stem in stems:
        stem = stem.encode("utf-8", "replace")[:MOST_NAME].decode("utf-8", "ignore")
        plain = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", stem).strip(". ") or "image"
        name, count = plain, 1
        while name.casefold() in taken:
            count += 1
            name = f"{plain}_{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def splits_line(out: Path) -> str:
    out = Path(out)
    counts = {s: len(list((out / s / "images").iterdir())) for s in SPLITS if (out / s).exists()}
    return ", ".join(f"{name} {count}" for name, count in counts.items())
