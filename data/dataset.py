"""A dataset folder: DIR/{train,val[,test]}/{images,masks}, paired by stem, and dataset.toml.

dataset.toml: `classes = [...]` (a class's id on disk is its position), optional `void = N` (the
ignore index on disk, for pixels that are neither trained on nor scored; 255 is always ignored too),
optional `colours = [[r, g, b], ...]`, optional `mirror = [["left_eye", "right_eye"], ...]` (classes
that change places when an image is flipped). Without dataset.toml, labels.txt gives one class per
line.
"""

import json
import os
import shlex
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli import Refusal, one_of
from data import fingerprint, mirror
from data.layout import (
    IMAGE_ENDINGS,
    IMPORTED_ENDINGS,
    SPLITS,
    UNREAD_ENDINGS,
    VOID,
    default_colours,
    is_junk,
    mask_name,
)
from data.names import first_fault, shown
from data.shards import PackedPairs, is_packed, shard_counts
from files import beside, read_text

KEYS = ("classes", "void", "colours", "mirror")  # of dataset.toml
OTHER_ENDINGS = (*IMPORTED_ENDINGS, *UNREAD_ENDINGS)  # of images that a dataset cannot hold
MOST_TEXT = 1_000_000  # bytes of dataset.toml and labels.txt


@dataclass(frozen=True)
class Dataset:
    folder: Path
    classes: list[str]
    colours: list[list[int]]  # RGB, 0..255, one per class
    void: int  # id of void pixels on disk; 255 is always void as well
    damaged: str = "refuse"  # or "skip": what to do with unreadable records of shards
    mirror: list[list[str]] | None = None  # pairs of classes; None if dataset.toml says nothing
    listed: dict = field(default_factory=dict, repr=False, compare=False)  # split -> pairs

    def pairs(self, split: str):
        """The (image, mask) pairs of a split, sorted by name and made on access, for `data.images`.

        The files are listed once. Raises Refusal for an invalid split.
        """
        one_of(split, SPLITS, "split")
        if split not in self.listed:
            self.listed[split] = (
                PackedPairs(self.folder, split, skip=self.damaged == "skip")
                if is_packed(self.folder)
                else list_folder(self.folder / split)
            )
        return self.listed[split]

    def splits(self) -> list[str]:
        """The splits that the dataset should have: train, val and, if it exists, test."""
        packed = is_packed(self.folder)
        there = "test" in shard_counts(self.folder) if packed else (self.folder / "test").is_dir()
        return list(SPLITS if there else SPLITS[:2])

    def fingerprint(
        self, splits: tuple[str, ...] = ("train", "val"), trust_times: bool = False
    ) -> str:
        """A SHA-256 over the classes and the name and content of every file of the splits.

        trust_times: over sizes and times in place of contents, which need not be read then.
        """
        marks = ((split, self.marks(split, trust_times)) for split in splits)
        return fingerprint.whole(repr((self.classes, self.void)), marks)

    def marks(self, split: str, trust_times: bool = False) -> dict[str, str]:
        """The hash of each file of a split by name, or its size and time."""
        pairs = self.pairs(split)
        if trust_times:
            return {name: f"{size} {when}" for name, size, when in pairs.stamps()}
        return fingerprint.digests(self.folder, split, pairs.folder, pairs.files())

    def described(self, trust_times: bool = False) -> dict:
        """What a run records of its data, as JSON; `changes` compares with it later."""
        marks = {split: self.marks(split, trust_times) for split in ("train", "val")}
        mirrored = {} if self.mirror is None else {"mirror": self.mirror}
        return {
            "classes": self.classes,
            "colours": self.colours,
            "void": self.void,
            **mirrored,
            "fingerprint": fingerprint.whole(repr((self.classes, self.void)), marks.items()),
            "by": "times" if trust_times else "contents",
            "splits": {split: fingerprint.summary(own) for split, own in marks.items()},
        }

    def changes(self, before: dict) -> list[str]:
        """What has changed since `before`, a result of `described`, a sentence each; [] if nothing.

        Contents or times are compared, as they were then.
        """
        lines = []
        if before["classes"] != self.classes:
            now, then = (", ".join(names) for names in (self.classes, before["classes"]))
            lines.append(f"the classes are {now} now, {then} before")
        elif before["colours"] != self.colours:
            lines.append("classes have other colours")
        if (void := before.get("void", VOID)) != self.void:
            lines.append(f"void is {self.void} now, {void} before")
        if before.get("mirror") != self.mirror:
            lines.append("mirror, the classes that a flip swaps, is another")
        if "splits" not in before:  # recorded when only the times were compared
            same = before.get("fingerprint") == self.fingerprint(trust_times=True)
            return lines if same or lines else ["names, sizes or times of files are others"]
        now = self.described(before.get("by") == "times")["splits"]
        if not fingerprint.are_summaries(before["splits"], now):
            return [*lines, "what was recorded of its files is damaged"]
        for split, files in now.items():
            lines += fingerprint.changes(split, before["splits"][split], files)
        return lines


@dataclass(frozen=True)
class FolderPairs:
    """The pairs of one split's folder. Only names, sizes and times are kept in memory."""

    folder: Path
    names: list[str]  # of the images
    images: dict[str, tuple[int, int]]  # name -> size in bytes, modification time in ns
    masks: dict[str, tuple[int, int]]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, at):
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        name = self.names[at]
        return self.folder / "images" / name, self.folder / "masks" / mask_name(name)

    def files(self) -> list[str]:
        """The names of all files, relative to `folder`."""
        return [name for name, *_ in self.stamps()]

    def stamps(self) -> Iterator[tuple[str, int, int]]:
        """(name, size in bytes, modification time in ns) of every file."""
        for name in self.names:
            yield f"images/{name}", *self.images[name]
            yield f"masks/{mask_name(name)}", *self.masks[mask_name(name)]


def list_folder(folder: Path) -> FolderPairs:
    """Lists the pairs of a split. Raises Refusal if the folder is not a valid split."""
    image_folder, mask_folder = folder / "images", folder / "masks"
    for part in (image_folder, mask_folder):
        if not part.is_dir():
            raise Refusal(f"{part} is missing: a split is a folder with images/ and masks/")
    images, found = stamped(image_folder, IMAGE_ENDINGS), stamped(mask_folder, (".png",))
    refuse_unread(image_folder, images)
    if not images:
        raise Refusal(
            f"{image_folder} contains no image; supported endings: {', '.join(IMAGE_ENDINGS)}"
        )
    names, taken = sorted(images), {}
    for name in names:
        mask = mask_name(name)
        if mask in taken:
            raise Refusal(f"{image_folder / name} and {taken[mask]} share a stem: rename one")
        taken[mask] = name
    for name in names:
        if mask_name(name) not in found:
            path = mask_folder / mask_name(name)
            other = next((n for n in os.listdir(mask_folder) if mask_name(n) == path.name), "")
            todo = f", and {other} is not read as one: save it as PNG" if other else "; add it"
            raise Refusal(f"{image_folder / name} has no mask: {path} is missing{todo}")
    return FolderPairs(folder, names, images, found)


def refuse_unread(folder: Path, read: Collection[str]) -> None:
    """Raises Refusal for images of a kind that is not read: the set would silently be smaller.

    One beside an image of its name that is read, such as a camera's raw file, is passed over.
    """
    stems = {os.path.splitext(name)[0] for name in read}
    unread = sorted(
        name for name in os.listdir(folder)
        if name.lower().endswith(OTHER_ENDINGS) and not is_junk(name)
        and os.path.splitext(name)[0] not in stems
    )  # fmt: skip
    if unread:
        more = f", and {len(unread) - 1} more like it" if len(unread) > 1 else ""
        dataset = shlex.quote(str(folder.parents[1]))
        raise Refusal(
            f"{folder / unread[0]} is of a kind that training does not read{more}: convert it to "
            f"PNG or JPEG, or remove it. python -m data check {dataset} "
            "--fix OUT converts HEIC, AVIF, TIFF and GIF"
        )


def stamped(folder: Path, endings: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Size in bytes and modification time in ns of the files with these endings, by name, but for
    hidden ones, such as what macOS adds (._a.jpg)."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(endings) and not is_junk(entry.name):
                try:
                    stat = entry.stat()
                except OSError as error:
                    raise Refusal(f"{entry.path} cannot be read: {error.strerror}") from error
                found[entry.name] = (stat.st_size, stat.st_mtime_ns)
    return found


def read_dataset(folder: Path, damaged: str = "refuse") -> Dataset:
    """The dataset in `folder`, plain or packed. Raises Refusal if it is not valid."""
    folder = Path(folder)
    if not folder.is_dir():
        raise Refusal(f"no such folder: {folder}. --data takes a folder with train/ and val/")
    table, source = read_names(folder)
    classes = table.get("classes")
    if not (isinstance(classes, list) and classes and all(isinstance(n, str) for n in classes)):
        raise Refusal(f"{source} has no list of class names: write classes = ['background', 'lip']")
    classes = [name.strip() for name in classes]
    if fault := first_fault(classes):
        index, why = fault
        raise Refusal(
            f"{source}: class {index}, {shown(classes[index])}, {why}. Give it another name"
        )
    unknown = set(table) - set(KEYS)
    if unknown:
        raise Refusal(f"{source}: unknown key {sorted(unknown)[0]!r}; supported: {', '.join(KEYS)}")
    if len(classes) > VOID:
        raise Refusal(f"{source} names {len(classes)} classes; an 8-bit mask holds at most {VOID}")
    colours = table.get("colours", default_colours(len(classes)))
    if not (isinstance(colours, list) and len(colours) == len(classes) and all(map(rgb, colours))):
        raise Refusal(f"{source}: colours needs {len(classes)} [r, g, b] lists, one per class")
    void = table.get("void", VOID)
    if not is_byte(void):
        raise Refusal(f"{source}: void is {str(void)[:40]}; needed: an id from 0 to {VOID}")
    pairs = table.get("mirror")
    if pairs is not None and (fault := mirror.fault_of(pairs, classes)):
        raise Refusal(
            f"{source}: mirror {fault}; needed: pairs of classes that a flip swaps, such as "
            "mirror = [['left_eye', 'right_eye']]"
        )
    return Dataset(folder, classes, colours, void, damaged, pairs)


def rgb(colour) -> bool:
    return isinstance(colour, list) and len(colour) == 3 and all(map(is_byte, colour))


def is_byte(value) -> bool:
    return type(value) is int and 0 <= value <= 255


def read_names(folder: Path) -> tuple[dict, Path]:
    toml, labels = folder / "dataset.toml", folder / "labels.txt"
    for path, parse in ((toml, tomllib.loads), (labels, lines_of)):
        if path.exists():
            try:
                return parse(read_text(path, MOST_TEXT)), path
            except (ValueError, RecursionError) as error:
                raise Refusal(f"{path} cannot be read: {error}") from error
    raise Refusal(f"{toml} is missing: write classes = ['background', ...] in it, in id order")


def lines_of(labels: str) -> dict:
    return {"classes": labels.rstrip().split("\n")}


def write_names(
    folder: Path, classes: list[str], colours: list[list[int]], void: int | None = None,
    mirror: list[list[str]] | None = None,
) -> None:  # fmt: skip
    """Writes dataset.toml. void: None if no pixel is void. JSON strings are valid TOML strings."""
    lines = [f"classes = {json.dumps(classes, ensure_ascii=False)}", f"colours = {colours}"]
    if void is not None:
        lines.append(f"void = {void}")
    if mirror is not None:
        lines.append(f"mirror = {json.dumps(mirror, ensure_ascii=False)}")
    with beside(folder / "dataset.toml") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
