"""Mask files of any mode, label maps and --values."""

from pathlib import Path

import numpy as np
import pytest
from mutations import grey_png
from PIL import Image
from sources import save, text

from cli import Refusal
from data.formats.classes import BLOCK, LabelMap, to_classes
from data.formats.masks import parse_values, read_label_map
from data.formats.values import read_ids


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_of_any_depth(tmp_path, bits):
    rows = [[0, 1, min(2, 2**bits - 1)], [2**bits - 1, 0, 1]]
    (tmp_path / "m.png").write_bytes(grey_png(bits, rows))
    assert read_ids(tmp_path / "m.png").astype(int).tolist() == rows


@pytest.mark.parametrize("mode", ["P", "LA", "RGB", "RGBA"])
def test_values_in_any_mode(tmp_path, mode):
    save(tmp_path / "m.png", [[0, 3], [7, 255]])
    image = Image.open(tmp_path / "m.png")
    if mode == "P":
        image = image.copy()
        image.putpalette(list(range(255, -1, -1)) * 3)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "n.png")
    assert Image.open(tmp_path / "n.png").mode == mode
    assert read_ids(tmp_path / "n.png").tolist() == [[0, 3], [7, 255]]


def test_masks_without_valid_values(tmp_path):
    save(tmp_path / "rgb.png", [[[1, 2, 3]]])
    Image.fromarray(np.float32([[0.5]])).save(tmp_path / "f.tif")
    save(tmp_path / "cmyk.tif", [[[1, 2, 3]]], "CMYK")
    raw = (tmp_path / "rgb.png").read_bytes()
    (tmp_path / "half.png").write_bytes(raw[: raw.index(b"IDAT") + 6])
    (tmp_path / "huge.png").write_bytes(grey_png(8, [[0]], claimed=(40000, 50000)))
    for name, message in (
        ("rgb.png", "colour mask"), ("f.tif", "contains fractions"), ("cmyk.tif", "mode CMYK"),
        ("half.png", "half.png is damaged"), ("huge.png", "40000x50000 pixels"),
    ):  # fmt: skip
        with pytest.raises(Refusal, match=message):
            read_ids(tmp_path / name)


def test_values_to_classes_at_the_edges_of_a_block():
    label_map = LabelMap(["a", "b"], {0: 0, 300: 1, 65535: -1})
    numbers = np.zeros((1, BLOCK + 2), np.uint16)
    numbers[0, BLOCK - 1 : BLOCK + 1] = 300, 65535
    mask = to_classes(numbers, label_map, Path("m.png"))
    assert mask[0, -4:].tolist() == [0, 1, -1, 0] and not mask[0, :-4].any()
    for odd in (1, 301, 65534):
        numbers[0, -1] = odd
        with pytest.raises(
            Refusal, match=f"m.png contains {odd}, which has no class; known: 0, 300"
        ):
            to_classes(numbers, label_map, Path("m.png"))


@pytest.mark.parametrize(
    ("text", "classes", "table"),
    [
        ("sky\nroad\n", ["sky", "road"], {0: 0, 1: 1, 255: -1}),
        ("\ufeff# names\n0 sky\n7: road way\n9\tvoid", ["sky", "road way"],
         {0: 0, 7: 1, 9: -1, 255: -1}),
        ("void\nsky\n2 wheels", ["sky", "2 wheels"], {0: -1, 1: 0, 2: 1, 255: -1}),
        ("0 0 0\tVoid\r\n1 2 3\tsky", ["sky"], {0: -1, 0x010203: 0}),
        ("# label:color_rgb:parts:actions\nsky:1,2,3::\nroad:255,0,0:a,b:\n", ["sky", "road"],
         {0x010203: 0, 0xFF0000: 1}),
        ("name,r,g,b\nsky,1,2,3\nroad, 255, 0, 0", ["sky", "road"], {0x010203: 0, 0xFF0000: 1}),
    ],
)  # fmt: skip
def test_lists_of_names(tmp_path, text, classes, table):
    (tmp_path / "l.txt").write_bytes(text.encode())
    label_map = read_label_map(tmp_path / "l.txt")
    assert (label_map.classes, label_map.table) == (classes, table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1"], "--values 1: write N=CLASS"),
        (["1=a", "1,2,3=b"], "either N=CLASS or R,G,B=CLASS"),
        (["1,2,300=b"], "must be from 0 to 255"),
        (["1=void"], "no class besides void is named"),
    ],
)
def test_invalid_values(values, message):
    with pytest.raises(Refusal, match=message):
        parse_values(values)


@pytest.mark.parametrize("header", ["Pixel Value, Class", "id,name", "value;label", "id\tname"])
def test_numbered_names_may_have_a_header(tmp_path, header):
    comma = next(mark for mark in ",;\t" if mark in header)
    text(tmp_path / "names.csv", header, *(f"{n}{comma}{name}" for n, name in ((0, "x"), (4, "y"))))
    label_map = read_label_map(tmp_path / "names.csv")
    assert label_map.classes == ["x", "y"] and label_map.table == {0: 0, 4: 1, 255: -1}


def test_a_first_name_without_number_is_refused(tmp_path):
    text(tmp_path / "names.txt", "background", "1 cat", "2 dog")
    with pytest.raises(Refusal, match="2 of 3 lines have the form N NAME, but 'background'"):
        read_label_map(tmp_path / "names.txt")
