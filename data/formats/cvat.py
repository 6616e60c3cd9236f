"""CVAT's export format "Segmentation mask 1.1"."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found
from data.formats.classes import read_as
from data.formats.find import add_images_option
from data.formats.masks import read_label_map
from data.formats.voc import listed, root_of

ABOUT = """SOURCE: an export in the format "Segmentation mask 1.1", zipped or unpacked, with images
("Save images"): labelmap.txt, JPEGImages, SegmentationClass, ImageSets/Segmentation."""


add_arguments = add_images_option


def read(source: Path, args) -> Found:
    root, masks = root_of(source, args)
    table = root / "labelmap.txt"
    label_map = read_label_map(table)
    if label_map.colours is None:
        raise Refusal(f"{table} has no colours: its lines must have the form NAME:R,G,B::")
    items, broken, notes = listed(root, masks, args, lambda path: partial(read_as, path, label_map))
    return Found(label_map.classes, items, broken, label_map.colours, tuple(notes))
