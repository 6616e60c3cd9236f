"""What others' datasets look like: one file a format, each with `read`, in a lazy table.

A module of this folder has

    ABOUT = "one line for --help: what SOURCE is"
    def add_arguments(parser): ...      # its own options, if it has any
    def read(source: Path, words) -> Found   # words: the parsed options

`read` lists and does not decode: masks are made later, item by item, so that one that is broken
stops no other.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import one_of

FORMATS = (
    "folder", "voc", "coco", "coco-panoptic", "labelme", "cityscapes", "camvid", "ade20k", "cvat",
    "yolo-seg", "matte", "tfds",
)  # fmt: skip


class Item(NamedTuple):
    """An image and how its mask is made.

    stem: any text; the importer makes a file name of it. split: "train", "val", "test", or None
    where the source has no splits. mask() gives (H, W) integers, the position of the class in
    Found.classes, -1 where a pixel is not scored; it raises Refusal naming the file. turned:
    whether the mask fits the image as EXIF turns it, or as its bytes lie.
    """

    stem: str
    image: Path
    mask: Callable[[], np.ndarray]
    split: str | None = None
    turned: bool = True


class Found(NamedTuple):
    """What a source holds. colours: RGB 0..255 a class, or None. broken: what could not be listed,
    a line each that names the file."""

    classes: list[str]
    items: list[Item]
    broken: list[str]
    colours: list[list[int]] | None = None


def module_of(name: str):
    """The module of a format. Raises Refusal for an unknown name."""
    return importlib.import_module(
        f"data.formats.{one_of(name, FORMATS, 'format').replace('-', '_')}"
    )
