"""The account of an import: what was read, what was written, and what became of the rest."""

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from cli import Refusal
from data.formats import Note, Objects
from data.formats.classes import VOID_ALONE
from data.formats.find import some
from data.formats.selection import BACKGROUND
from data.layout import VOID

FATES = {  # what became of objects that were not drawn, and a remark
    "boxes": ("without an outline", "their boxes are void, not trained on: "),
    "crowds": ("crowds or ignored", "void, not trained on: "),
    "empty": ("covering no pixel", "outside the image or too small: "),
}
MOST_ROWS = 30  # classes in the table; --json lists all


class Written(NamedTuple):
    """An image that was written. pixels: how many have each id. objects: None for a format whose
    label files are masks. notes: what was done to its files."""

    name: str
    pixels: dict[int, int]
    objects: Objects | None
    notes: tuple[Note, ...] = ()

    def ids(self) -> frozenset[int]:
        return frozenset(self.pixels) - {VOID}


@dataclass(frozen=True)
class Account:
    """pixels, images: of each id, how many pixels it has and how many images hold it.

    objects: the sum over all images that were written, None for a format whose label files are
    masks. left: how many objects more the label files have, those of images that were left out.
    where: the names of the images with boxes, crowds and empty objects. unlabelled: those of images
    without any object. notes, broken: sentences; what is broken was left out.
    """

    folder: str
    classes: list[str]
    splits: dict[str, int]
    label_files: int
    pixels: Counter
    images: Counter
    objects: Objects | None
    left: int
    where: dict[str, list[str]]
    unlabelled: list[str]
    notes: list[str]
    broken: list[str]

    def next(self) -> str:
        return f"python -m data check {shlex.quote(str(self.folder))}"

    def rows(self) -> list[tuple[str, float, int]]:
        """(class, share of all pixels, number of images that hold it); the last may be void."""
        total = max(self.pixels.total(), 1)
        named = [*enumerate(self.classes), *([(VOID, "void")] if self.pixels[VOID] else [])]
        return [(name, self.pixels[id_] / total, self.images[id_]) for id_, name in named]


def account_of(
    folder, classes: list[str], found, written: list[Written], splits: list[str], broken: list[str]
) -> Account:
    """The account of the images that were written. found: what the importer listed."""
    pixels, images = Counter(), Counter()
    for each in written:
        pixels.update(each.pixels)
        images.update(each.pixels.keys())
    drawn = [each for each in written if each.objects is not None]
    objects = [each.objects for each in drawn]
    read = sum(each.read for each in objects)
    files = len(written) if found.label_files is None else found.label_files
    return Account(
        str(folder),
        classes,
        {name: count for name in ("train", "val", "test") if (count := splits.count(name))},
        files,
        pixels,
        images,
        total(objects) if objects else None,
        (read if found.objects is None else found.objects) - read,
        {what: [each.name for each in drawn if getattr(each.objects, what)] for what in FATES},
        [each.name for each in drawn if not each.objects.read],
        [*found.notes, *summed(sorted(note for each in written for note in each.notes))],
        [*broken, *(line for each in objects for line in each.skipped)],
    )


def summed(notes: list[Note]) -> list[str]:
    """A sentence for each text of the notes, with the number of files and the first of them."""
    lines = []
    for text in dict.fromkeys(note.text for note in notes):
        own = [note for note in notes if note.text == text]
        more = f", and so do {len(own) - 1} more files" * (len(own) > 1)
        pixels = sum(note.pixels for note in own)
        lines.append(f"{own[0].path} {text}{f' ({pixels} pixels in all)' * bool(pixels)}{more}")
    return lines


def total(objects: list[Objects]) -> Objects:
    numbers = [sum(column) for column in zip(*(each[:-1] for each in objects), strict=True)]
    return Objects(*numbers, tuple(line for each in objects for line in each.skipped))


def refuse_nothing(account: Account, written: list[Written]) -> None:
    """Raises Refusal if nothing was drawn: every mask would be background, or hold 0 and 255 alone
    without a word that 255 is a class."""
    if all(any(note.text == VOID_ALONE for note in each.notes) for each in written):
        raise Refusal(f"every mask {VOID_ALONE}")
    sentences = [*account.broken[:1], *account.notes]
    more = "".join(f" {line[:1].upper()}{line[1:]}." for line in sentences)
    found = account.objects
    if found is not None and not found.drawn:
        files = f"{account.label_files} label file{'s' * (account.label_files != 1)}"
        if not found.read + account.left:
            raise Refusal(f"no image has a label: {files} for {len(account.unlabelled)} images."
                          f"{more} Name the folder that holds both")  # fmt: skip
        counts = ", ".join(f"{count} {what}" for what, count, _ in parts(account) if count)
        raise Refusal(
            f"none of {found.read + account.left} objects was drawn: {counts}.{more} Classes need "
            "outlines: export polygons or masks"
        )
    held = {account.classes[id_] for id_ in account.images if id_ != VOID}
    if held <= {BACKGROUND} and account.classes != [BACKGROUND]:
        also = " or void" if account.pixels[VOID] else ""
        raise Refusal(
            f"every pixel of all {sum(account.splits.values())} masks is background{also}, none is "
            f"of {some(name for name in account.classes if name not in held)}.{more} "
            "Name the values of the masks: 255 is void unless it is named, as in --values "
            "0=background 255=NAME"
        )


def parts(account: Account) -> list[tuple[str, int, str]]:
    """(what became of objects, how many, a remark)"""
    objects = account.objects
    return [
        ("drawn", objects.drawn, ""),
        *((what, getattr(objects, fate), why + some(account.where[fate]))
          for fate, (what, why) in FATES.items()),
        ("not drawn", len(objects.skipped), "listed above"),
        ("left out", account.left, "with their images or label files, listed above"),
    ]  # fmt: skip


def table(account: Account) -> list[str]:
    """The lines of the account for a terminal."""
    counts = ", ".join(f"{name} {count}" for name, count in account.splits.items())
    labels = "masks" if account.objects is None else "label files"
    rows = [("images", sum(account.splits.values()), ""), (labels, account.label_files, "")]
    if account.objects is not None:
        rows.append(("objects read", account.objects.read + account.left, ""))
        what = parts(account)
        rows += [(f"  {name}", count, why) for name, count, why in what if count or name == "drawn"]
        if account.unlabelled:
            rows.append(("images without a label", len(account.unlabelled),
                         f"all background: {some(account.unlabelled)}"))  # fmt: skip
    if account.broken:
        rows.append(("broken and left out", len(account.broken), "listed above"))
    left, right = max(len(row[0]) for row in rows), max(len(str(row[1])) for row in rows)
    return [
        *(f"broken: {line}" for line in account.broken),
        *(f"note: {line}" for line in account.notes),
        f"{account.folder}: {counts}; {len(account.classes)} classes",
        "",
        *(f"{name:<{left}}  {count:>{right}}  {why}".rstrip() for name, count, why in rows),
        "",
        *class_table(account),
        "",
        f"next: {account.next()}",
    ]


def class_table(account: Account) -> list[str]:
    rows = account.rows()
    wide = max(len(name) for name, *_ in rows[:MOST_ROWS])
    lines = [f"{'class':<{wide}}   pixels  images"]
    lines += [f"{name:<{wide}}  {percent(share):>7}  {count:>6}"
              for name, share, count in rows[:MOST_ROWS]]  # fmt: skip
    if len(rows) > MOST_ROWS:
        lines.append(f"and {len(rows) - MOST_ROWS} more classes: --json lists all")
    return lines


def percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def as_json(account: Account) -> dict:
    objects = account.objects and dict(
        read=account.objects.read + account.left,
        **{what.replace(" ", "_"): count for what, count, _ in parts(account)},
    )
    return {
        "folder": account.folder,
        "splits": account.splits,
        "images": sum(account.splits.values()),
        "label_files": account.label_files,
        "objects": objects,
        "images_with_objects": {FATES[fate][0].replace(" ", "_"): names
                                for fate, names in account.where.items()},
        "images_without_a_label": account.unlabelled,
        "classes": [
            {"name": name, "share_of_pixels": round(share, 6), "images": images}
            for name, share, images in account.rows()
        ],
        "notes": account.notes,
        "broken": account.broken,
        "next": account.next(),
    }  # fmt: skip
