"""CVAT's export "Segmentation mask 1.1"."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found
from data.formats.archives import opened
from data.formats.masks import folder_with, read_as, read_classes
from data.formats.voc import FOLDERS, listed

ABOUT = """SOURCE: an export "Segmentation mask 1.1", as zip or unpacked, made with its images
("Save images"): labelmap.txt, JPEGImages, SegmentationClass, ImageSets/Segmentation."""


def read(source: Path, words) -> Found:
    root = folder_with(opened(source), FOLDERS)
    table = root / "labelmap.txt"
    means = read_classes(table)
    if means.colours is None:
        raise Refusal(f"{table} has no colours: its lines look like NAME:R,G,B::")
    items, broken = listed(root, lambda path: partial(read_as, path, means))
    return Found(means.classes, items, broken, means.colours)
