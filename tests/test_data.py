"""Decoding, batches and overlays, and the refusals of invalid datasets."""

import itertools
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from mutations import PNG, chunk
from PIL import Image

from cli import Refusal
from data.batches import training_batches
from data.dataset import Dataset, read_dataset
from data.drawing import overlay, sheet
from data.images import read_image, read_mask, read_pair
from data.layout import VOID
from data.shapes import write_shapes
from data.statistics import count_pixels
from files import cache_file

ROOT = Path(__file__).parent.parent


@pytest.fixture
def shapes(tmp_path):
    write_shapes(tmp_path / "shapes", train=6, val=2)
    return tmp_path / "shapes"


def test_batches_do_not_depend_on_the_start_step(shapes):
    dataset = read_dataset(shapes)
    whole = list(itertools.islice(training_batches(dataset, (64, 64), 3, seed=3), 5))
    resumed = next(training_batches(dataset, (64, 64), 3, seed=3, start=4))
    assert all(np.array_equal(a, b) for a, b in zip(whole[4], resumed, strict=True))
    assert whole[0][0].shape == (3, 64, 64, 3) and whole[0][1].shape == (3, 64, 64)
    other = next(training_batches(dataset, (64, 64), 3, seed=4))
    assert not np.array_equal(whole[0][0], other[0])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_low_bit_grey_masks_keep_their_values(tmp_path, bits):
    """Pillow scales the largest value to 255."""
    ids = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**bits
    packed = np.zeros((8, 8 * bits // 8), np.uint8)
    for column in range(8):
        at, shift = column * bits // 8, 8 - bits - column * bits % 8
        packed[:, at] |= ids[:, column] << shift
    lines = b"".join(b"\0" + row.tobytes() for row in packed)
    head = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    raw = PNG + b"".join(chunk(kind, body) for kind, body in parts)
    (tmp_path / "m.png").write_bytes(raw)
    dataset = Dataset(tmp_path, [str(i) for i in range(16)], [[0, 0, 0]] * 16, VOID)
    assert np.array_equal(read_mask(tmp_path / "m.png", dataset), ids)


def test_palette_masks_are_read_as_indices(tmp_path):
    ids = np.array([[0, 1], [2, 7]], np.uint8)
    image = Image.new("P", (2, 2))
    image.putpalette([v for i in range(256) for v in (i, 255 - i, i // 2)])
    image.putdata(ids.ravel().tolist())
    path = tmp_path / "m.png"
    image.save(path)
    dataset = Dataset(tmp_path, ["a", "b", "c"], [], 7)
    assert read_mask(path, dataset).tolist() == [[0, 1], [2, VOID]]


def test_exif_rotation(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed rotated 90 degrees clockwise: the left half is on top
    Image.fromarray(image).save(tmp_path / "a.jpg", exif=exif, quality=95)
    read = read_image(tmp_path / "a.jpg")
    assert read.shape == (60, 40, 3)
    assert read[:25].min() > 200 and read[35:].max() < 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes = 3", r"dataset.toml has no list of class names: write classes ="),
        ("classes = ['a', 'a']", r"toml: class 1, 'a', equals class 0, 'a'. Give it another"),
        ("classes = ['a', '']", r"dataset.toml: class 1, '', has no visible character"),
        (
            "classes = ['a', 'b']\nviod = 3",
            r"unknown key 'viod'; supported: classes, void, colours, mirror",
        ),
        ("classes = ['a', 'b']\ncolours = [[0, 0, 0]]", r"colours needs 2 \[r, g, b\] lists"),
        ("classes = [", r"dataset.toml cannot be read"),
    ],
)
def test_dataset_toml_refusals(tmp_path, text, message):
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(Refusal, match=message):
        read_dataset(tmp_path)


def test_labels_txt_replaces_dataset_toml(tmp_path):
    with pytest.raises(Refusal, match=r"dataset\.toml is missing: write classes"):
        read_dataset(tmp_path)
    (tmp_path / "labels.txt").write_text("sky\nground\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ["sky", "ground"] and dataset.void == VOID


def test_two_images_with_one_stem(shapes):
    image = shapes / "train/images/0000.png"
    image.with_suffix(".jpg").write_bytes(image.read_bytes())
    with pytest.raises(Refusal, match=r"0000.png and 0000.jpg share a stem: rename one"):
        read_dataset(shapes).pairs("train")


def test_valid_dataset_passes_the_check(shapes):
    done = subprocess.run([sys.executable, "-m", "data", "check", shapes], cwd=ROOT)
    assert done.returncode == 0


def test_colour_alone_does_not_separate_the_shapes(tmp_path):
    """The likeliest class of each of 4096 colours, counted on train, has mIoU below 0.5 on val."""
    from segnet.metrics import confusion, scores

    write_shapes(tmp_path / "s", train=60, val=20)
    dataset = read_dataset(tmp_path / "s")
    counts = np.zeros((4096, 4))

    def colours(image):
        return (image.astype(int) // 16) @ [256, 16, 1]

    for pair in dataset.pairs("train"):
        image, mask = read_pair(pair, dataset)
        np.add.at(counts, (colours(image).ravel(), mask.ravel()), 1)
    likelihood = counts / counts.sum(0)  # per class, else background would always win
    matrix = 0
    for pair in dataset.pairs("val"):
        image, mask = read_pair(pair, dataset)
        matrix = matrix + confusion(mask, likelihood.argmax(1)[colours(image)], 4)
    assert scores(matrix, dataset.classes)["miou"] < 0.5


@pytest.mark.parametrize(
    "value", [[-1] * 256, [1] * 3, [1.5] * 256, ["1"] * 256, [[1]] * 256, None, 7, {}, [0] * 256]
)
def test_damaged_pixel_counts_are_made_again(shapes, value):
    dataset = read_dataset(shapes)
    counts = count_pixels(dataset, "val")
    by_hand = sum(np.bincount(np.array(Image.open(mask)).ravel(), minlength=4)
                  for _, mask in dataset.pairs("val"))  # fmt: skip
    assert counts.tolist() == by_hand.tolist() and counts.sum() == 2 * 128 * 128
    path = cache_file(shapes, "pixels of val")
    check, content = path.read_text().splitlines()
    tree = json.loads(content)
    assert tree["value"][:4] == by_hand.tolist()
    path.write_text(f"{check}\n{json.dumps(tree | {'value': value})}")
    assert count_pixels(dataset, "val").tolist() == by_hand.tolist()
    assert path.read_text() == f"{check}\n{content}"


def test_overlay_by_hand():
    image = np.full((1, 4, 3), 100, np.uint8)
    mask = np.uint8([[0, 1, 2, VOID]])
    drawn = overlay(image, mask, [[9, 9, 9], [200, 0, 50], [0, 0, 0]])
    # The first class and void leave the image unchanged; the others are blended half and half.
    assert drawn.tolist() == [[[100] * 3, [150, 50, 75], [50] * 3, [100] * 3]]


def test_sheet_shows_image_ground_truth_and_model(shapes):
    """A perfect prediction equals the ground truth row; an all-background one, the image row."""
    dataset = read_dataset(shapes)
    truths = iter([read_pair(pair, dataset)[1] for pair in dataset.pairs("val")])
    drawn = sheet(dataset, (64, 64), lambda inputs, shape: next(truths))
    assert drawn.shape == (600, 400, 3)
    caption = 20  # pixels
    assert np.array_equal(drawn[200 + caption : 400], drawn[400 + caption :])
    assert not np.array_equal(drawn[caption:200], drawn[200 + caption : 400])
    blank = sheet(dataset, (64, 64), lambda inputs, shape: np.zeros(shape, np.uint8))
    assert np.array_equal(blank[caption:200], blank[400 + caption :])
