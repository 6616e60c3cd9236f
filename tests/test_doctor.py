"""python -m data check: each kind of fault is found, and nothing where nothing is wrong."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.alike import candidates, find_alike
from data.doctor.checks.table import CHECKS, ERROR, findings
from data.doctor.doctor import examine
from data.doctor.facts import ImageFacts, image_facts
from data.doctor.fix import write_sound
from data.doctor.page import proposal
from data.doctor.readings import voc_colours
from data.images import read_pair, write_image
from data.shapes import COLOURS, write_shapes
from data.statistics import balanced_weights

ROOT = Path(__file__).parent.parent
GENUINE = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """40 images. To be looked at, not written to."""
    folder = tmp_path_factory.mktemp("sound") / "shapes"
    write_shapes(folder, train=32, val=8)
    return folder


def check(*words):
    words = [sys.executable, "-m", "data", "check", *map(str, words)]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
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
    """The image 96x128 as stored, turned by EXIF to 128x96; its mask as stored."""
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
    """Indices 3, 2, 1, 0 for classes 0, 1, 2, 3: only the colours are right."""
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
    """12-bit values in 16 bits: at most 16 of 255 when the upper byte is taken."""
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
    """The image of train/`source` as `split`/`name`; `again`: enlarged and as JPEG."""
    to = photo(folder, name, split)
    shutil.copy(photo(folder, source), to)
    if again:
        Image.open(to).resize((200, 200)).save(to.with_suffix(".jpg"), quality=80)
        to.unlink()
    drawn = ids(folder, source)
    drawn = drawn[::-1] if other_mask else drawn
    cv2.imwrite(str(mask(folder, name, split)), cv2.resize(drawn, (200, 200), interpolation=0)
                if again else drawn)  # fmt: skip


# what breaks the image of this number, the check that finds it, what is said of it
N = "{}"
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
    (lambda f, n: mask(f, n).unlink(), "no mask", "{}.png has no mask"),
    (lambda f, n: photo(f, n).unlink(), "lone mask", "masks/{}.png has no image"),
    (lambda f, n: mask(f, n).rename(mask(f, n).with_suffix(".PNG")), "mask name",
     "{}.PNG is the mask of {}.png but is not called {}.png"),
    (lambda f, n: rename(f, n, f"Eye{n}", f"eye{n}"), "mask name",
     "masks/eye{}.png is the mask of"),
    (lambda f, n: shutil.copy(photo(f, n), photo(f, n).with_suffix(".bmp")), "shared stem",
     "{}.bmp and {}.png share a stem"),
    (turn, "turned mask", r"{}.png is 96x128 (HxW) but its image {}.jpg is 128x96"),
    (lambda f, n: rewrite(f, n, lambda m: m[::2, ::2]), "scaled mask",
     "is 64x64 (HxW) but its image {}.png is 128x128, exactly 1/2 of it"),
    (lambda f, n: rewrite(f, n, lambda m: cv2.resize(m, (100, 99), interpolation=0)),
     "scaled mask", "99x100 (HxW) but its image {}.png is 128x128, about 0.773 times its size"),
    (transpose, "transposed mask", "{}.png is 128x96 (HxW) but its image {}.png is 96x128"),
    (lambda f, n: rewrite(f, n, lambda m: m[:60, :90]), "mask size", "{}.png is 60x90 (HxW)"),
    (lambda f, n: as_jpeg(f, n, exif=exif(3)), "unsure turn", "{}.jpg has EXIF orientation 3"),
    (lambda f, n: rewrite(f, n, lambda m: m * np.uint8(85)), "grey levels", "{}.png holds 0, 85"),
    (lambda f, n: rewrite(f, n, lambda m: m + np.uint8(1)), "off by one", "{}.png holds 1, "),
    (colour, "colour mask", "{}.png has "),
    (lambda f, n: rewrite(f, n, lambda m: np.dstack([m, m, m])), "mask mode",
     "{}.png is a mask of mode RGB, all of it grey"),
    (lambda f, n: cv2.imwrite(str(mask(f, n)), ids(f, n).astype(np.uint16)), "mask mode",
     "{}.png is a mask of mode I;16"),
    (lambda f, n: rewrite(f, n, lambda m: np.dstack([m * 40, 9 + m, 200 - m])), "unknown values",
     "{}.png has "),
    (palette, "palette order", "{}.png holds "),
    (jpeg_mask, "smoothed mask", "{}.png is JPEG"),
    (was_jpeg, "smoothed mask", "{}.png was smoothed"),
    (lambda f, n: was_jpeg(f, n, 60), "unknown values", "{}.png has "),
    (lambda f, n: rewrite(f, n, lambda m: np.where(m == 0, 0, m + 8).astype(np.uint8)), "outside",
     "{}.png holds id "),
    (lambda f, n: rewrite(f, n, lambda m: np.where(np.arange(128) < 120, 255, m).astype(np.uint8)),
     "void", "{}.png is 94% void"),
    (lambda f, n: rewrite(f, n, np.zeros_like), "empty mask",
     "{}.png holds nothing but background"),
    (lambda f, n: rewrite(f, n, lambda m: np.full_like(m, 255)), "empty mask",
     "{}.png holds nothing but void"),
    (sixteen, "16 bits", "{}.png has 16 bits and is nearly black"),
    (cmyk, "CMYK", "{}.jpg is CMYK"),
    (alpha, "alpha", "{}.png is partly transparent"),
    (small, "tiny", "{}.png is 9x9 (HxW)"),
    (lambda f, n: rename(f, n, f"caf\u00e9{n}", f"caf\u00e9{n}"), "name letters",
     "images/caf\u00e9{}.png has letters beyond ASCII"),
    (lambda f, n: rename(f, n, f"CASE{n}", f"CASE{n}")
     or rename(f, "0099", f"case{n}", f"case{n}"), "name case",
     "images/case{}.png and CASE{}.png differ in case"),
    (lambda f, n: copy(f, n, f"again{n}"), "duplicate",
     "images/{}.png has the same pixels as train/images/again{}.png"),
    (lambda f, n: copy(f, n, f"again{n}", other_mask=True), "contradiction",
     "images/{}.png has another mask than the same image"),
    (lambda f, n: copy(f, n, f"again{n}", again=True), "near duplicate",
     "images/{}.png is nearly train/images/again{}.jpg"),
    (lambda f, n: copy(f, n, f"leak{n}", "val"), "leak",
     "train/images/{}.png has the same pixels as val/images/leak{}.png"),
    (lambda f, n: copy(f, n, f"leak{n}", "val", again=True), "near leak",
     "train/images/{}.png is nearly val/images/leak{}.jpg"),
    (lambda f, n: (f / "train/images" / f"{n}.txt").write_text("x"), "ignored", "images/{}.txt is"),
    (lambda f, n: photo(f, n).unlink() or os.mkfifo(photo(f, n)), "broken image",
     "{}.png is no file"),
    (lambda f, n: photo(f, n).unlink() or photo(f, n).symlink_to(photo(f, n)), "broken image",
     "{}.png cannot be read"),
]
# fmt: on


@pytest.fixture(scope="session")
def broken(tmp_path_factory):
    """A dataset with one of each fault; the image's number is the fault's place in FAULTS."""
    folder = tmp_path_factory.mktemp("broken") / "all"
    write_shapes(folder, train=100, val=8)
    for number, (breaks, *_) in enumerate(FAULTS):
        breaks(folder, f"{number:04}")
    return folder


@pytest.fixture(scope="session")
def found(broken):
    return {finding.check: finding for finding in findings(examine(broken))}


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=lambda n: f"{n}: {FAULTS[n][1]}")
def test_each_fault_is_found(found, number):
    _, name, words = FAULTS[number]
    words = words.replace("{}", f"{number:04}")
    said = [f"{named.name} {named.note}" for named in found[name].files]
    assert sum(words in line for line in said) == 1, said


def test_nothing_else_is_found(found):
    """A check names no image but the one that was broken for it, or that its fault brings
    along."""
    along = {
        "shared stem": "duplicate", "contradiction": "duplicate", "empty mask": "void",
        "void": "empty mask", "tiny": "empty mask", "smoothed mask": "grey levels",
    }  # fmt: skip
    for finding in found.values():
        for named in finding.files:
            fault = FAULTS[int(re.search(r"\d{4}", named.name)[0])][1]
            assert finding.check in (fault, along.get(fault)), (finding.check, named)


def test_a_sound_set_is_sound(sound):
    end = check(sound)
    assert end.returncode == 0, end.stdout
    assert "error:" not in end.stdout and "remark:" not in end.stdout
    # The shares by hand, of all training masks.
    drawn = np.concatenate([m.ravel() for m in map(cv2_ids, sorted(sound.glob("train/masks/*")))])
    for index, name in enumerate(["background", "disc", "box", "star"]):
        share = f"{(drawn == index).mean():.2%}"
        assert re.search(rf"train: 32 pairs, 32 readable\n(.*\n)*?  {name} +{share}\n", end.stdout)


def cv2_ids(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_errors_are_what_training_refuses(broken, found, tmp_path):
    """A pair that can be read, alone, has an error exactly if training would refuse it or if it
    is among those that training reads wrongly."""
    wrongly = {"palette order", "smoothed mask", "shared stem", "mask name", "leak", "grey levels"}
    dataset = read_dataset(broken)
    errors = {named.name: f.check for f in found.values() if f.rank == ERROR for named in f.files}
    exam = examine(broken)
    for pair in exam.listing.pairs:
        names = [exam.name(pair.image), exam.name(pair.mask)]
        said = {errors[name] for name in names if name in errors}
        try:
            if not pair.image.is_fifo():
                read_pair((pair.image, pair.mask), dataset)
        except Refusal as refusal:
            assert said, refusal
        else:
            assert said <= wrongly or pair.image.is_fifo(), (names, said)


def test_exit_codes_and_json(sound, broken, tmp_path):
    before = sorted(sound.rglob("*"))
    end = check(sound, "--json")
    told = json.loads(end.stdout)
    assert end.returncode == 0 and told["findings"] == [] and told["splits"]["val"]["pairs"] == 8
    end = check(broken, "--json")
    told = json.loads(end.stdout)
    assert end.returncode == 1 and re.search(r"errors of \d+ kinds in", end.stderr)
    one = next(f for f in told["findings"] if f["check"] == "scaled mask")
    assert one["fixable"] and one["rank"] == "error" and len(one["files"]) == 2
    end = check(tmp_path / "none")
    assert end.returncode == 2 and "no such folder" in end.stderr
    assert sorted(sound.rglob("*")) == before


def test_remarks_alone_are_no_error(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "s")
    rewrite(tmp_path / "s", "0003", np.zeros_like)
    end = check(tmp_path / "s")
    assert end.returncode == 0 and "masks/0003.png holds nothing but background" in end.stdout


def whole(folder, change):
    """The same change to every mask."""
    for path in sorted(folder.glob("*/masks/*.png")):
        cv2.imwrite(str(path), change(cv2_ids(path)))


# a change to all masks of a dataset, the classes, the check that names all 40
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


@pytest.mark.parametrize("kind", ALL)
def test_what_all_masks_have(sound, tmp_path, kind):
    change, classes, name = ALL[kind]
    shutil.copytree(sound, tmp_path / "s")
    whole(tmp_path / "s", change)
    (tmp_path / "s/dataset.toml").write_text(f"classes = {classes}")
    told = {finding.check: finding for finding in findings(examine(tmp_path / "s"))}
    assert len(told[name].files) == 40
    errors = {check for check, finding in told.items() if finding.rank == ERROR}
    assert errors <= {name, "smoothed mask"}


def test_void_is_not_taken_for_a_class(sound, tmp_path):
    """Masks of 0 and 255 alone, where others have 0, 1 and 255: void, not white."""
    shutil.copytree(sound, tmp_path / "s")
    stripe = np.arange(128) < 20
    whole(tmp_path / "s", lambda m: np.where(stripe, 255, np.minimum(m, 1)).astype(np.uint8))
    rewrite(tmp_path / "s", "0005", lambda m: np.where(stripe, 255, m * 0).astype(np.uint8))
    (tmp_path / "s/dataset.toml").write_text("classes = ['ground', 'thing']")
    told = [finding.check for finding in findings(examine(tmp_path / "s"))]
    assert "grey levels" not in told and "empty mask" in told


BINARY = "classes = ['ground', 'thing']"


def tiny(folder, *masks, toml=BINARY):
    """A pair for each list of ids, in columns of 16 pixels; the last is val's."""
    rng = np.random.default_rng(0)
    for number, values in enumerate(masks):
        split = "val" if number == len(masks) - 1 else "train"
        drawn = np.tile(np.repeat(np.uint8(values), 16), (32, 1))
        image = rng.integers(0, 256, (*drawn.shape, 3), np.uint8)
        write_image(photo(folder, number, split), image)
        write_image(mask(folder, number, split), drawn)
    (folder / "dataset.toml").write_text(toml)
    return folder


WHITE = {
    "no mask holds 1": (([0, 255], [0, 255], [0, 0], [0, 255]), True),
    "one that is all 1": (([0, 255], [0, 255], [1, 1], [0, 255]), False),
    "one of ten holds 1 and no void": (([0, 1],) + ([0, 255],) * 9, False),
    "one of ten holds void alone": (([0, 1],) * 8 + ([0, 255], [0, 1]), False),
    "1 and 255 in one": (([0, 255], [0, 1, 255], [0, 1], [0, 1]), False),
}


@pytest.mark.parametrize("case", WHITE)
def test_white_is_a_class_only_where_no_mask_holds_the_class(tmp_path, case):
    masks, is_class = WHITE[case]
    told = findings(examine(tiny(tmp_path / "s", *masks)))
    assert [f.check for f in told if f.rank == ERROR] == ["grey levels"] * is_class
    notes = [named.note for finding in told for named in finding.files]
    assert any("if 255 means thing there, write 1" in note for note in notes) != is_class


def test_what_to_do_about_white_is_said(tmp_path):
    end = check(tiny(tmp_path / "s", [0, 255], [0, 0], [0, 255]))
    assert end.returncode == 1 and "(grey levels, 2)" in end.stdout
    assert "255 truly is void, write void = 255 in dataset.toml" in end.stdout
    tiny(tmp_path / "s", [0, 255], [1, 0], [0, 1])
    assert check(tmp_path / "s").returncode == 0


def test_void_of_255_can_be_stated(tmp_path):
    """White is void then, and what remains is that nothing is to be learnt."""
    tiny(tmp_path / "s", [0, 255], [0, 255], toml=f"{BINARY}\nvoid = 255")
    told = [finding.check for finding in findings(examine(tmp_path / "s"))]
    assert "grey levels" not in told and "nothing to learn" in told


def test_fix_writes_1_for_white(tmp_path):
    tiny(tmp_path / "s", [0, 255], [0, 0], [0, 255])
    write_sound(examine(tmp_path / "s"), tmp_path / "out")
    assert [np.unique(ids(tmp_path / "out", n)).tolist() for n in "01"] == [[0, 1], [0]]
    assert np.unique(ids(tmp_path / "out", "2", "val")).tolist() == [0, 1]


def test_a_trimap_keeps_its_void(tmp_path):
    tiny(tmp_path / "s", [0, 128, 255], [0, 128, 255], toml=f"{BINARY}\nvoid = 128")
    write_sound(examine(tmp_path / "s"), tmp_path / "out")
    assert ids(tmp_path / "out", "0")[0, ::16].tolist() == [0, 255, 1]


def test_classes(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "s")
    names = ["background", "disc", "box", "star", "twice", "val_only", "never"]
    (tmp_path / "s/dataset.toml").write_text(f"classes = {names}")
    for name in ("0000", "0001"):
        rewrite(tmp_path / "s", name, lambda m: np.where(m == 0, 4, m).astype(np.uint8))
    rewrite(tmp_path / "s", "0000", lambda m: np.where(m == 0, 5, m).astype(np.uint8), "val")
    told = {
        finding.check: [f"{named.name} {named.note}" for named in finding.files]
        for finding in findings(examine(tmp_path / "s"))
    }
    assert told["absent class"] == ["class never (id 6) is in no mask"]
    assert [line.partition(" of")[0] for line in told["rare class"]] == [
        "class twice (id 4) is in 2 images"
    ]
    assert told["class of one split"] == [
        "class twice (id 4) is missing from val", "class val_only (id 5) is missing from train",
    ]  # fmt: skip
    assert set(told) == {"absent class", "rare class", "class of one split"}


def test_a_split_of_much_void_and_one_with_nothing(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "s")
    whole(tmp_path / "s", lambda m: np.where(np.arange(128) < 32, 255, 0).astype(np.uint8))
    told = {finding.check: finding.files for finding in findings(examine(tmp_path / "s"))}
    assert [f"{n.name} {n.note}" for n in told["void"]] == ["train is 25% void", "val is 25% void"]
    assert told["nothing to learn"][0].name == "train"


def test_without_dataset_toml(sound, tmp_path):
    """Files are still looked at; a folder of images/ and masks/ alone is looked at as one split."""
    (tmp_path / "s").mkdir()
    shutil.copytree(sound / "train/images", tmp_path / "s/images")
    shutil.copytree(sound / "train/masks", tmp_path / "s/masks")
    (tmp_path / "s/images/0004.png").write_bytes(b"")
    end = check(tmp_path / "s")
    assert end.returncode == 1
    for words in ("dataset.toml is missing", "train is missing: images/ and masks/ have no splits",
                  "images/0004.png is empty", "class_3"):  # fmt: skip
        assert words in end.stdout
    end = check(sound / "train/images")  # nothing of a dataset
    assert end.returncode == 1 and "train/images is missing" in end.stdout


@pytest.mark.parametrize("text", [
    "classes = 3", "classes = ['a', 'b']\nvoid = 'x'", "classes = ['a', 'b']\ncolours = 7",
    "classes = ['a', 'b']\ncolours = [['x', 1, 2], [1, 2, 3]]", "classes = []", "classes = [", "\0",
    "classes = ['a', 'b']\ncolours = [[1e9, 1, 2], [-1, 2, 3]]",
    "classes = ['a', 'b']\nvoid = [1]",
])  # fmt: skip
def test_odd_dataset_toml(sound, tmp_path, text):
    shutil.copytree(sound, tmp_path / "s")
    (tmp_path / "s/dataset.toml").write_text(text)
    assert check(tmp_path / "s").returncode == 1


def test_names_that_are_no_text(sound, tmp_path):
    """Bytes that are no UTF-8 and a line break in names: printed escaped, on one line."""
    shutil.copytree(sound, tmp_path / "s")
    rename(tmp_path / "s", "0001", "a\nb", "a\nb")
    rename(tmp_path / "s", "0002", "x\udcff", "x\udcff")
    end = check(tmp_path / "s", "--fix", tmp_path / "out", "--html", tmp_path / "page.html")
    assert end.returncode == 0 and r"images/x\xff.png has letters" in end.stdout
    assert photo(tmp_path / "out", "a_b").exists() and photo(tmp_path / "out", "x").exists()


# The page


def test_the_page(broken, sound, tmp_path):
    """One file that asks for nothing elsewhere, every finding on it, names escaped."""
    assert check(sound, "--html", tmp_path / "sound.html").returncode == 0
    text = (tmp_path / "sound.html").read_text()
    assert "Nothing found." in text and text.count('<img src="data:image/jpeg;base64,') == 32
    assert check(broken, "--html", tmp_path / "page.html").returncode == 1
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text and "<script" not in text and "prefers-color-scheme: dark" in text
    for finding in findings(examine(broken)):
        assert html.escape(finding.what).replace("&#x27;", "&#39;") in text


def test_class_names_are_escaped(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "s")
    (tmp_path / "s/dataset.toml").write_text("classes = ['a', '<b>', 'c', '&d']")
    assert check(tmp_path / "s", "--html", tmp_path / "page.html").returncode == 0
    text = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;" in text and "&amp;d" in text and "<b>" not in text


def test_the_page_is_written_where_one_stands(sound, tmp_path):
    words = [sys.executable, "-m", "data", "check", str(sound), "--html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["check.html"]


def test_weights_are_those_of_training():
    """1 / sqrt(share) over its mean by pixel, 0.9487 + 0.3 + 0.1; none counts as the rarest."""
    wanted = np.array([1.054093, 3.333333, 10, 10]) / 1.348683
    assert balanced_weights(np.array([900, 90, 10, 0])) == pytest.approx(wanted, rel=1e-5)


def test_proposed_size_by_hand(tmp_path):
    """Images 320x640, a class on 1 % of the pixels: a square of 24 needs an input of 240 x 240
    pixels' area, so 57,600; in steps of 32 with the image's shape 192x352 is the first."""
    for split in ("train", "val"):
        drawn = np.zeros((320, 640), np.uint8)
        drawn[:32, :64] = 1
        write_image(tmp_path / split / "images/a.png", np.zeros((320, 640, 3), np.uint8))
        write_image(tmp_path / split / "masks/a.png", drawn)
    (tmp_path / "dataset.toml").write_text("classes = ['a', 'b']")
    made = proposal(examine(tmp_path))
    assert made["size"] == (192, 352) and made["smallest"] == "b" and made["balanced"]


# The same image twice


def facts(tmp_path, name, image, quality=90):
    path = tmp_path / name
    Image.fromarray(image).save(path, quality=quality)
    return image_facts(path)


def test_plain_but_different_images_are_not_one(tmp_path):
    """Flat fields, ramps of other colours, small discs on white in other places."""
    images = [np.full((80, 80, 3), 60 + 20 * i, np.uint8) for i in range(4)]
    images += [np.full((80, 80, 3), (200, 30 * i, 40), np.uint8) for i in range(4)]
    ramp = np.tile(np.uint8(np.linspace(0, 200, 80)), (80, 1))
    images += [np.dstack([ramp, ramp * 0, ramp * 0]), np.dstack([ramp * 0, ramp, ramp * 0])]
    for at in ((20, 20), (60, 20), (40, 60)):
        images.append(cv2.circle(np.full((80, 80, 3), 255, np.uint8), at, 8, (200, 0, 0), -1))
    seen = [facts(tmp_path, f"{i}.png", image) for i, image in enumerate(images)]
    assert find_alike(seen) == ([], [])


def test_the_same_image_saved_otherwise(tmp_path, sound):
    images = [np.array(Image.open(path)) for path in sorted(sound.glob("train/images/*"))[:12]]
    seen = [facts(tmp_path, f"{i}.png", image) for i, image in enumerate(images)]
    seen.append(facts(tmp_path, "poor.jpg", images[2], quality=50))
    seen.append(facts(tmp_path, "small.jpg", cv2.resize(images[5], (70, 70))))
    seen.append(facts(tmp_path, "same.bmp", images[7]))
    assert find_alike(seen) == ([[7, 14]], [[2, 12], [5, 13]])


def test_a_hundred_thousand_hashes_in_seconds():
    """Planted neighbours of up to 4 bits are all proposed, and few others."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 63, 100_000, np.uint64)
    for number in range(500):
        flips = np.bitwise_or.reduce(np.uint64(1) << rng.choice(64, 4, False).astype(np.uint64))
        hashes[2 * number + 1] = hashes[2 * number] ^ flips
    start = time.process_time()
    pairs = {tuple(sorted(p)) for a, b in candidates(hashes) for p in zip(a, b, strict=True)}
    assert time.process_time() - start < 5
    assert {(2 * number, 2 * number + 1) for number in range(500)} <= pairs
    assert len(pairs) < 600


def test_a_crowd_of_one_image_takes_seconds():
    """20,000 frames of a still camera: one group, not 200 million comparisons."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, 256)
    frames = [
        ImageFacts(
            size=(90, 120), digest=number.to_bytes(4), hash=7, colour=(9, 9, 9),
            thumb=np.uint8(np.clip(frame + rng.integers(-3, 4, 256), 0, 255)).tobytes(),
        )
        for number in range(20_000)
    ]  # fmt: skip
    start = time.process_time()
    alike = find_alike(frames)
    assert time.process_time() - start < 10
    assert alike.same == [] and [len(group) for group in alike.near] == [20_000]


# The genuine sets: what is truly there, seen by eye


@pytest.mark.parametrize(("name", "wanted"), [
    ("lip", {
        "near leak": ["Baidu_0220"], "near duplicate": ["Baidu_0188", "Baidu_0294", "Baidu_0484"]}),
    ("ccp_person", {"near duplicate": ["0183", "0594", "0907"], "empty mask": ["0536"]}),
    ("camvid", {"near duplicate": None}),
])  # fmt: skip
def test_genuine_sets(name, wanted):
    if not (GENUINE / name).exists():
        pytest.skip(f"{GENUINE / name} is missing: the real sets are not part of the repository")
    told = {finding.check: finding for finding in findings(examine(GENUINE / name))}
    assert set(told) == set(wanted)
    for check_, stems in wanted.items():
        assert stems is None or [Path(n.name).stem for n in told[check_].files] == stems


def test_voc_colours_by_hand():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert list(voc_colours(21))[:4] == [0x000000, 0x800000, 0x008000, 0x808000]
    assert voc_colours(21)[0xC08080] == 15 and voc_colours(21)[0x004080] == 20  # person, tvmonitor
