"""A valid dataset, and one with every fault that the doctor knows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.shapes import COLOURS, write_shapes

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def valid(tmp_path_factory):
    """A dataset of 40 images, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("valid") / "shapes"
    write_shapes(folder, train=32, val=8)
    return folder


def check(*arguments):
    command = [sys.executable, "-m", "data", "check", *map(str, arguments)]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in end.stderr, end.stderr
    return end


def photo(folder, name, split="train"):
    return folder / split / "images" / f"{name}.png"


def mask(folder, name, split="train"):
    return folder / split / "masks" / f"{name}.png"


def ids(folder, name, split="train"):
    return cv2.imread(str(mask(folder, name, split)), cv2.IMREAD_UNCHANGED)


def rewrite(folder, name, change, split="train"):
    cv2.imwrite(str(mask(folder, name, split)), change(ids(folder, name, split)))


def as_jpeg(folder, name, **more):
    image = Image.open(photo(folder, name))
    photo(folder, name).unlink()
    image.save(photo(folder, name).with_suffix(".jpg"), quality=95, **more)
    return photo(folder, name).with_suffix(".jpg")


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def cut(folder, name):
    path = as_jpeg(folder, name)
    path.write_bytes(path.read_bytes()[:2000])


def turn(folder, name):
    """An image stored as 96x128 that EXIF rotates to 128x96; its mask is as stored."""
    image = Image.open(photo(folder, name)).crop((0, 0, 128, 96))
    photo(folder, name).unlink()
    image.save(photo(folder, name).with_suffix(".jpg"), exif=exif(6))
    rewrite(folder, name, lambda m: m[:96])


def transpose(folder, name):
    image = cv2.imread(str(photo(folder, name)))
    cv2.imwrite(str(photo(folder, name)), image[:96])
    rewrite(folder, name, lambda m: np.ascontiguousarray(m[:96].T))


def colour(folder, name):
    Image.fromarray(np.uint8(COLOURS)[ids(folder, name)]).save(mask(folder, name))


def palette(folder, name):
    """Indices 3, 2, 1, 0 for classes 0, 1, 2, 3: only the colours are correct."""
    drawn = Image.fromarray(3 - ids(folder, name)).convert("P")
    drawn.putpalette([part for entry in COLOURS[::-1] for part in entry])
    drawn.save(mask(folder, name))


def jpeg_mask(folder, name):
    _, raw = cv2.imencode(".jpg", ids(folder, name), [cv2.IMWRITE_JPEG_QUALITY, 95])
    mask(folder, name).write_bytes(raw.tobytes())


def was_jpeg(folder, name, times=85):
    _, raw = cv2.imencode(".jpg", ids(folder, name) * times, [cv2.IMWRITE_JPEG_QUALITY, 80])
    cv2.imwrite(str(mask(folder, name)), cv2.imdecode(raw, cv2.IMREAD_UNCHANGED))


def sixteen(folder, name):
    """12-bit values in 16 bits: the upper byte is at most 16 of 255."""
    image = cv2.imread(str(photo(folder, name))).astype(np.uint16)
    cv2.imwrite(str(photo(folder, name)), image * 16)


def alpha(folder, name):
    image = Image.open(photo(folder, name)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(photo(folder, name))


def cmyk(folder, name):
    path = as_jpeg(folder, name)
    Image.open(path).convert("CMYK").save(path)


def rename(folder, name, image, its_mask):
    photo(folder, name).rename(photo(folder, image))
    mask(folder, name).rename(mask(folder, its_mask))


def small(folder, name):
    cv2.imwrite(str(photo(folder, name)), cv2.imread(str(photo(folder, name)))[:9, :9])
    rewrite(folder, name, lambda m: m[:9, :9])


def copy(folder, source, name, split="train", again=False, other_mask=False):
    """Copies train/`source` to `split`/`name`; `again`: upscaled and saved as JPEG."""
    to = photo(folder, name, split)
    shutil.copy(photo(folder, source), to)
    if again:
        Image.open(to).resize((200, 200)).save(to.with_suffix(".jpg"), quality=80)
        to.unlink()
    drawn = ids(folder, source)
    drawn = drawn[::-1] if other_mask else drawn
    cv2.imwrite(str(mask(folder, name, split)), cv2.resize(drawn, (200, 200), interpolation=0)
                if again else drawn)  # fmt: skip


# (function that breaks image number n in folder f, check that finds it, what the check reports)
# fmt: off
FAULTS = [
    (lambda f, n: photo(f, n).write_bytes(b""), "broken image", r"{}.png is empty, 0 bytes"),
    (cut, "broken image", "{}.jpg is truncated"),
    (lambda f, n: photo(f, n).write_bytes(b"no image"), "broken image",
     "{}.png is not an image"),
    (lambda f, n: photo(f, n).write_bytes(photo(f, n).read_bytes()[:3000]), "broken image",
     "{}.png is damaged"),
    (lambda f, n: mask(f, n).write_bytes(mask(f, n).read_bytes()[:80]), "broken mask",
     "{}.png is "),
    (lambda f, n: mask(f, n).unlink(), "image without mask", "{}.png has no mask"),
    (lambda f, n: photo(f, n).unlink(), "mask without image", "masks/{}.png has no image"),
    (lambda f, n: mask(f, n).rename(mask(f, n).with_suffix(".PNG")), "mask name",
     "{}.PNG is the mask of {}.png but is not named {}.png"),
    (lambda f, n: rename(f, n, f"Eye{n}", f"eye{n}"), "mask name",
     "masks/eye{}.png is the mask of"),
    (lambda f, n: shutil.copy(photo(f, n), photo(f, n).with_suffix(".bmp")), "shared mask",
     "{}.bmp and {}.png have the same file name"),
    (turn, "rotated mask", r"{}.png is 96x128 (HxW) but its image {}.jpg is 128x96"),
    (lambda f, n: rewrite(f, n, lambda m: m[::2, ::2]), "scaled mask",
     "is 64x64 (HxW) but its image {}.png is 128x128, exactly 1/2 of the image's size"),
    (lambda f, n: rewrite(f, n, lambda m: cv2.resize(m, (100, 99), interpolation=0)),
     "scaled mask", "99x100 (HxW) but its image {}.png is 128x128, about 0.773 times the"),
    (transpose, "transposed mask", "{}.png is 128x96 (HxW) but its image {}.png is 96x128"),
    (lambda f, n: rewrite(f, n, lambda m: m[:60, :90]), "mask size", "{}.png is 60x90 (HxW)"),
    (lambda f, n: as_jpeg(f, n, exif=exif(3)), "EXIF orientation", "{}.jpg has EXIF orientation 3"),
    (lambda f, n: rewrite(f, n, lambda m: m * np.uint8(85)), "grey levels",
     "{}.png contains the values 0, 85"),
    (lambda f, n: rewrite(f, n, lambda m: m + np.uint8(1)), "off by one",
     "{}.png contains the values 1, "),
    (colour, "colour mask", "{}.png has "),
    (lambda f, n: rewrite(f, n, lambda m: np.dstack([m, m, m])), "mask format",
     "{}.png is stored with image mode RGB"),
    (lambda f, n: cv2.imwrite(str(mask(f, n)), ids(f, n).astype(np.uint16)), "mask format",
     "{}.png is stored with image mode I;16"),
    (lambda f, n: rewrite(f, n, lambda m: np.dstack([m * 40, 9 + m, 200 - m])), "unknown values",
     "{}.png has "),
    (palette, "palette indices", "{}.png contains the palette indices "),
    (jpeg_mask, "smoothed mask", "{}.png is a JPEG file"),
    (was_jpeg, "smoothed mask", "{}.png was smoothed"),
    (lambda f, n: was_jpeg(f, n, 60), "unknown values", "{}.png has "),
    (lambda f, n: rewrite(f, n, lambda m: np.where(m == 0, 0, m + 8).astype(np.uint8)),
     "unknown ids", "{}.png contains id"),
    (lambda f, n: rewrite(f, n, lambda m: np.where(np.arange(128) < 120, 255, m).astype(np.uint8)),
     "much void", "{}.png is 94% void"),
    (lambda f, n: rewrite(f, n, np.zeros_like), "empty mask",
     "{}.png contains nothing but background"),
    (lambda f, n: rewrite(f, n, lambda m: np.full_like(m, 255)), "empty mask",
     "{}.png contains nothing but void"),
    (sixteen, "16-bit image", "{}.png has 16 bits per channel and is nearly black"),
    (cmyk, "CMYK image", "{}.jpg is CMYK"),
    (alpha, "transparency", "{}.png is partly transparent"),
    (small, "tiny image", "{}.png is 9x9 (HxW)"),
    (lambda f, n: rename(f, n, f"caf\u00e9{n}", f"caf\u00e9{n}"), "non-ASCII name",
     "images/caf\u00e9{}.png has non-ASCII characters"),
    (lambda f, n: rename(f, n, f"CASE{n}", f"CASE{n}")
     or rename(f, "0099", f"case{n}", f"case{n}"), "similar names",
     "images/case{}.png and CASE{}.png differ only in case"),
    (lambda f, n: copy(f, n, f"again{n}"), "duplicate",
     "images/{}.png has the same pixels as train/images/again{}.png"),
    (lambda f, n: copy(f, n, f"again{n}", other_mask=True), "contradiction",
     "images/{}.png has a different mask from its copy"),
    (lambda f, n: copy(f, n, f"again{n}", again=True), "near duplicate",
     "images/{}.png is nearly identical to train/images/again{}.jpg"),
    (lambda f, n: copy(f, n, f"leak{n}", "val"), "leak",
     "train/images/{}.png has the same pixels as val/images/leak{}.png"),
    (lambda f, n: copy(f, n, f"leak{n}", "val", again=True), "near leak",
     "train/images/{}.png is nearly identical to val/images/leak{}.jpg"),
    (lambda f, n: (f / "train/images" / f"{n}.txt").write_text("x"), "ignored file",
     "images/{}.txt has a file type"),
    (lambda f, n: photo(f, n).unlink() or os.mkfifo(photo(f, n)), "broken image",
     "{}.png is not a regular file"),
    (lambda f, n: photo(f, n).unlink() or photo(f, n).symlink_to(photo(f, n)), "broken image",
     "{}.png cannot be read"),
]


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """A dataset with one of each fault; an image's number is the index of its fault in FAULTS."""
    folder = tmp_path_factory.mktemp("broken") / "all"
    write_shapes(folder, train=100, val=8)
    for number, (breaks, *_) in enumerate(FAULTS):
        breaks(folder, f"{number:04}")
    return folder


@pytest.fixture(scope="session")
def found(broken):
    return {finding.check: finding for finding in findings(examine(broken))}


def cv2_ids(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def whole(folder, change):
    """The same change to every mask."""
    for path in sorted(folder.glob("*/masks/*.png")):
        cv2.imwrite(str(path), change(cv2_ids(path)))


# name -> (change to all masks, classes, check that reports all 40)
ALL = {
    "0 and 255": (lambda m: np.uint8(m > 0) * 255, ["ground", "thing"], "grey levels"),
    "0 and 128": (lambda m: np.uint8(m > 0) * 128, ["ground", "thing"], "grey levels"),
    "1 and 2": (lambda m: np.uint8(m > 0) + 1, ["ground", "thing"], "off by one"),
    "1 to 4": (lambda m: m + 1, ["a", "b", "c", "d"], "off by one"),
    "soft": (lambda m: cv2.blur(np.uint8(m > 0) * 255, (5, 5)), ["a", "b"], "grey levels"),
    "VOC's colours": (
        lambda m: np.uint8([[0, 0, 0], [0, 0, 128], [0, 128, 0], [0, 128, 128]])[m],  # BGR
        ["a", "b", "c", "d"], "colour mask"),
}  # fmt: skip
