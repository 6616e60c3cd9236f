"""The folder contract: DIR/{train,val[,test]}/{images,masks}, pairs by stem, and dataset.toml.

dataset.toml: `classes = [...]` (id on disk = position), optional `void = N` (an id on disk that is
not scored; 255 never is), optional `colours = [[r, g, b], ...]`. Without it labels.txt, a name a
line.
"""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from cli import Refusal, beside, one_of
from data.labels import VOID, default_colours

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SPLITS = ("train", "val", "test")
BYTES = range(256)


@dataclass(frozen=True)
class Dataset:
    folder: Path
    classes: list[str]
    colours: list[list[int]]  # RGB, 0..255, one a class
    void: int  # id on disk of pixels that are not scored, beside 255

    def pairs(self, split: str) -> list[tuple[Path, Path]]:
        """(picture, mask) of a split, by name. Raises Refusal for a broken split."""
        one_of(split, SPLITS, "split")
        images, masks = self.folder / split / "images", self.folder / split / "masks"
        for folder in (images, masks):
            if not folder.is_dir():
                raise Refusal(f"{folder} is missing: a split is a folder with images/ and masks/")
        by_stem = {}
        for path in sorted(images.iterdir()):
            if path.suffix.lower() not in PICTURES:
                continue
            if path.stem in by_stem:
                raise Refusal(f"{path} and {by_stem[path.stem].name} share a stem: rename one")
            by_stem[path.stem] = path
        if not by_stem:
            raise Refusal(f"{images} holds no picture; known endings: {', '.join(PICTURES)}")
        for stem, path in by_stem.items():
            if not (masks / f"{stem}.png").exists():
                raise Refusal(f"{path} has no mask: {masks / stem}.png is missing; add it")
        return [(path, masks / f"{stem}.png") for stem, path in by_stem.items()]

    def fingerprint(self) -> str:
        """A hash over classes and the names, sizes and times of every file of train and val."""
        digest = hashlib.sha256(repr((self.classes, self.void)).encode())
        for split in ("train", "val"):
            for pair in self.pairs(split):
                for path in pair:
                    stat = path.stat()
                    name = path.relative_to(self.folder).as_posix()
                    digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def read_dataset(folder: Path) -> Dataset:
    """The dataset in `folder`. Raises Refusal when it is not one."""
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal(f"no such folder: {folder}. --data takes a folder with train/ and val/")
    table, source = read_names(folder)
    classes = table.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise Refusal(f"{source} has no list of names: write classes = ['background', 'lip']")
    if len(set(classes)) < len(classes) or not all(name.splitlines() == [name] for name in classes):
        raise Refusal(f"{source}: class names must differ and be one line each; came: {classes}")
    unknown = set(table) - {"classes", "void", "colours"}
    if unknown:
        raise Refusal(
            f"{source}: unknown key {sorted(unknown)[0]!r}; known: classes, void, colours"
        )
    if len(classes) > VOID:
        raise Refusal(f"{source} names {len(classes)} classes; an 8-bit mask holds at most {VOID}")
    colours = table.get("colours", default_colours(len(classes)))
    if not (isinstance(colours, list) and len(colours) == len(classes) and all(map(rgb, colours))):
        raise Refusal(f"{source}: colours needs {len(classes)} lists of three numbers, one a class")
    void = table.get("void", VOID)
    if void not in BYTES:
        raise Refusal(f"{source}: void is {void!r}; needed: an id from 0 to {VOID}")
    return Dataset(folder, classes, colours, void)


def rgb(colour) -> bool:
    return isinstance(colour, list) and len(colour) == 3 and all(part in BYTES for part in colour)


def read_names(folder: Path) -> tuple[dict, Path]:
    toml, labels = folder / "dataset.toml", folder / "labels.txt"
    if toml.exists():
        try:
            return tomllib.loads(toml.read_text()), toml
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Refusal(f"{toml} cannot be read: {error}") from error
    if labels.exists():
        try:
            return {"classes": [line for line in labels.read_text().split("\n") if line]}, labels
        except UnicodeDecodeError as error:
            raise Refusal(f"{labels} cannot be read: {error}") from error
    raise Refusal(f"{toml} is missing: write classes = ['background', ...] in it, in id order")


def write_names(folder: Path, classes: list[str], colours: list[list[int]]) -> None:
    """dataset.toml; TOML's strings are JSON's."""
    lines = [f"classes = {json.dumps(classes, ensure_ascii=False)}", f"colours = {colours}"]
    with beside(folder / "dataset.toml") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
