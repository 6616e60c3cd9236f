"""The doctor's page, its proposals, and duplicate images."""

import html
import os
import re
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from broken_sets import ROOT, broken, check, rewrite, valid
from PIL import Image

from data.doctor.alike import candidates, find_alike
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.doctor.facts import ImageFacts, image_facts
from data.doctor.proposal import BATCH, command, proposal
from data.images import write_image
from data.statistics import balanced_weights
from segnet.plan import Plan

__all__ = ["broken", "valid"]  # fixtures


def test_the_page(broken, valid, tmp_path):
    """The page is self-contained, shows every finding and escapes names."""
    assert check(valid, "--html", tmp_path / "valid.html").returncode == 0
    text = (tmp_path / "valid.html").read_text()
    assert "No errors or warnings." in text
    assert text.count('<img src="data:image/jpeg;base64,') == 32
    assert check(broken, "--html", tmp_path / "page.html").returncode == 1
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text and "<script" not in text and "prefers-color-scheme: dark" in text
    for finding in findings(examine(broken)):
        assert html.escape(finding.what).replace("&#x27;", "&#39;") in text


def test_commands_on_the_page_can_be_pasted(valid, tmp_path):
    folder = tmp_path / "my data"
    shutil.copytree(valid, folder)
    rewrite(folder, "0003", lambda m: m + np.uint8(1))
    assert check(folder, "--html", tmp_path / "page.html").returncode == 1
    text = re.sub("<[^>]*>", "", html.unescape((tmp_path / "page.html").read_text()))
    assert "This command writes a repaired copy into the new folder OUT" in text
    assert f"dataset:python -m data check '{folder}' --fix OUT" in text
    assert f"\npython train.py --data '{folder}' --run runs/NAME --size 160 160" in text
    assert ".venv" not in text


def test_class_names_are_escaped(valid, tmp_path):
    shutil.copytree(valid, tmp_path / "s")
    (tmp_path / "s/dataset.toml").write_text("classes = ['a', '<b>', 'c', '&d']")
    assert check(tmp_path / "s", "--html", tmp_path / "page.html").returncode == 0
    text = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;" in text and "&amp;d" in text and "<b>" not in text


def test_the_page_is_written_to_the_working_folder(valid, tmp_path):
    command = [sys.executable, "-m", "data", "check", str(valid), "--html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["check.html"]


def test_weights_are_those_of_training():
    """1 / sqrt(share), divided by its mean over pixels, 0.9487 + 0.3 + 0.1; a class without pixels
    gets the weight of the rarest."""
    wanted = np.array([1.054093, 3.333333, 10, 10]) / 1.348683
    assert balanced_weights(np.array([900, 90, 10, 0])) == pytest.approx(wanted, rel=1e-5)


def test_proposed_size_by_hand(tmp_path):
    """Images of 320x640 with a class on 1 % of the pixels: for a square of 24 x 24 the input needs
    57,600 pixels. The first multiples of 32 with that aspect ratio and area are 192x352."""
    for split in ("train", "val"):
        drawn = np.zeros((320, 640), np.uint8)
        drawn[:32, :64] = 1
        write_image(tmp_path / split / "images/a.png", np.zeros((320, 640, 3), np.uint8))
        write_image(tmp_path / split / "masks/a.png", drawn)
    (tmp_path / "dataset.toml").write_text("classes = ['a', 'b']")
    made = proposal(examine(tmp_path))
    assert made["size"] == (192, 352) and made["smallest"] == "b" and made["balanced"]


def test_the_command_fits_the_dataset(tmp_path, valid):
    """Few images need a smaller batch than train.py's default, which training would refuse."""
    assert Plan.batch == BATCH
    assert command(proposal(examine(valid)), "my data") == (
        "python train.py --data 'my data' --run runs/NAME --size 160 160 --class-weights balanced"
    )
    shutil.copytree(valid, tmp_path / "few")
    for path in sorted(tmp_path.glob("few/train/*/*"))[5:]:
        if int(path.stem) >= 5:
            path.unlink()
    assert command(proposal(examine(tmp_path / "few")), "few").endswith(" --batch 5")


def test_what_the_terminal_shows_last(valid, tmp_path):
    page = tmp_path / "page.html"
    end = check(valid, "--html", page)
    size, words, page_line = end.stdout.split("\n\n")[-2:][0].split("\n") + [
        end.stdout.split("\n\n")[-1].strip()
    ]
    assert size.startswith("suggested: input 160x160 (HxW; median image 128x128)")
    assert size.endswith("; class weights balanced")
    assert words == (
        f"  python train.py --data {valid} --run runs/NAME --size 160 160 --class-weights balanced"
    )
    assert page_line == f"page: {page}"


def test_with_errors_the_repair_is_next(valid, tmp_path):
    """And training once it is repaired."""
    folder = shutil.copytree(valid, tmp_path / "a set")
    next(folder.glob("val/masks/*")).write_bytes(b"x")
    end = check(folder)
    words = f"python -m data check '{folder}' --fix OUT"
    assert end.returncode == 1 and f"  first repair the errors: {words}\n" in end.stdout
    assert "train.py" not in end.stdout
    end = check(folder, "--fix", tmp_path / "out")
    assert f"  python train.py --data {tmp_path / 'out'} " in end.stdout
    assert "first repair" not in end.stdout


def test_a_size_that_all_images_have_is_told_once(valid):
    assert "  height 128; width 128\n" in check(valid).stdout


def facts(tmp_path, name, image, quality=90):
    path = tmp_path / name
    Image.fromarray(image).save(path, quality=quality)
    return image_facts(path)


def test_plain_but_different_images_are_not_one(tmp_path):
    """Flat fields, ramps of different colours, small discs on white in different places."""
    images = [np.full((80, 80, 3), 60 + 20 * i, np.uint8) for i in range(4)]
    images += [np.full((80, 80, 3), (200, 30 * i, 40), np.uint8) for i in range(4)]
    ramp = np.tile(np.uint8(np.linspace(0, 200, 80)), (80, 1))
    images += [np.dstack([ramp, ramp * 0, ramp * 0]), np.dstack([ramp * 0, ramp, ramp * 0])]
    for at in ((20, 20), (60, 20), (40, 60)):
        images.append(cv2.circle(np.full((80, 80, 3), 255, np.uint8), at, 8, (200, 0, 0), -1))
    seen = [facts(tmp_path, f"{i}.png", image) for i, image in enumerate(images)]
    assert find_alike(seen) == ([], [])


def test_the_same_image_in_other_formats(tmp_path, valid):
    images = [np.array(Image.open(path)) for path in sorted(valid.glob("train/images/*"))[:12]]
    seen = [facts(tmp_path, f"{i}.png", image) for i, image in enumerate(images)]
    seen.append(facts(tmp_path, "poor.jpg", images[2], quality=50))
    seen.append(facts(tmp_path, "small.jpg", cv2.resize(images[5], (70, 70))))
    seen.append(facts(tmp_path, "same.bmp", images[7]))
    assert find_alike(seen) == ([[7, 14]], [[2, 12], [5, 13]])


def test_a_hundred_thousand_hashes_in_seconds():
    """All planted pairs that differ in up to 4 bits are proposed, and few others."""
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


def test_many_near_duplicates_take_seconds():
    """20,000 frames of a static camera are one group, without 200 million comparisons."""
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
