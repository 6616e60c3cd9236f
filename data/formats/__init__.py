"""Importers of other dataset formats: one module per format, imported on demand.

Every module has

    ABOUT = "text for --help: what SOURCE is"
    def add_arguments(parser): ...          # optional: options of this format
    def read(source: Path, args) -> Found   # args: the parsed options

`read` only lists the items. Masks are decoded later, one by one, so that a broken item does not
affect the others.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import one_of

FORMATS = (
    "folder", "voc", "coco", "coco-panoptic", "labelme", "cityscapes", "camvid", "ade20k", "cvat",
    "yolo-seg", "matte", "tfds", "separate-masks", "cvat-xml", "via", "label-studio", "supervisely",
    "yolo-semantic", "roboflow-masks", "sam", "huggingface", "auto",
)  # fmt: skip


class Objects(NamedTuple):
    """How many objects of an image a label file has, by what became of them.

    read = drawn + boxes + crowds + empty + skipped. boxes: without an outline, so that their box is
    void, or that around their points. crowds: void, like shapes to be ignored. empty: their outline
    covers no pixel. skipped: a sentence for each object that could not be drawn.
    """

    read: int = 0
    drawn: int = 0
    boxes: int = 0
    crowds: int = 0
    empty: int = 0
    skipped: tuple[str, ...] = ()


class Note(NamedTuple):
    """What was done to a file that was read in another way than it seems, as a predicate that fits
    many files: "holds several images: only the first was read". pixels: how many it concerns."""

    path: Path
    text: str
    pixels: int = 0


class Drawn(NamedTuple):
    """A mask as `Item.mask` returns it, the objects that it was drawn from, and what there is to
    say about its file."""

    mask: np.ndarray
    objects: Objects | None = None
    notes: tuple[Note, ...] = ()


class Item(NamedTuple):
    """An image and the function that makes its mask.

    stem: any text; the importer turns it into a file name. mask() returns (H, W) integers: the
    index of the class in Found.classes, or -1 for void (the ignore index: neither trained on nor
    scored), or `Drawn` if there are objects or notes; it raises Refusal that names the file.
    split: "train", "val", "test", or None if the source does not define it. turned: whether the
    mask matches the image with its EXIF orientation applied (True) or as stored (False).
    """

    stem: str
    image: Path
    mask: Callable[[], np.ndarray]
    split: str | None = None
    turned: bool = True


class Found(NamedTuple):
    """The content of a source. broken: a message for each item that could not be listed, which
    names the file. colours: RGB 0..255 per class, or None. notes: sentences about what the source
    holds beside the items, such as images that no label file lists. label_files: how many were
    read; None: a mask per item. objects: how many the label files have in all, in the formats whose
    masks count them."""

    classes: list[str]
    items: list[Item]
    broken: list[str]
    colours: list[list[int]] | None = None
    notes: tuple[str, ...] = ()
    label_files: int | None = None
    objects: int | None = None


def module_of(name: str):
    """Imports the module of a format. Raises Refusal for an unknown name."""
    return importlib.import_module(
        f"data.formats.{one_of(name, FORMATS, 'format').replace('-', '_')}"
    )
