"""Masks that the model doubts: three that were exchanged stand on top."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.dataset import read_dataset
from data.labels import VOID
from export import suspects
from export.suspects import doubt, near_edges, worst_class

ROOT = Path(__file__).parent.parent


def discs(folder, count):
    """Pictures whose red disc is class 1, on black; each mask is a pixel off at its edge."""
    for split in ("train", "val"):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
        for index in range(count):
            mask = np.zeros((60, 80), np.uint8)
            place = (20 + 13 * index % 40, 15 + 7 * index % 30)
            cv2.circle(mask, place, 9 + index % 5, 1, -1)
            picture = np.zeros((60, 80, 3), np.uint8)
            picture[..., 2] = 255 * mask  # OpenCV writes BGR
            cv2.imwrite(str(folder / f"{split}/images/{index:02}.png"), picture)
            off = cv2.dilate(mask, np.ones((3, 3), np.uint8)) if index % 2 else mask
            cv2.imwrite(str(folder / f"{split}/masks/{index:02}.png"), off)
    (folder / "dataset.toml").write_text('classes = ["ground", "disc"]\n')
    return read_dataset(folder)


def by_colour(picture):
    """Logits of a model that sees red: sure everywhere."""
    red = picture[..., :1]
    return np.concatenate([-9 * red, 9 * red], -1)


def test_exchanged_masks_are_on_top(tmp_path, monkeypatch):
    dataset = discs(tmp_path / "set", 40)
    masks = tmp_path / "set/train/masks"
    wrong = {"03": "17", "11": "30", "26": "08"}
    for one, other in wrong.items():
        shutil.copyfile(masks / f"{other}.png", tmp_path / "spare.png")
        shutil.copyfile(tmp_path / "spare.png", masks / f"{one}.png")
    monkeypatch.setattr(suspects, "logits_of", lambda model: (by_colour, (60, 80)))
    found = suspects.suspects("model", dataset, "train")
    assert {suspect.picture.stem for suspect in found[:3]} == set(wrong)
    assert found[2].share > 0.2 and found[0].said == "disc"
    assert [suspect.share for suspect in found[3:]] == [0.0] * 37
    suspects.write(tmp_path / "page.html", "model", dataset, found[:3])
    page = (tmp_path / "page.html").read_text()
    assert page.count("<section>") == 3 and page.count("data:image/jpeg") == 12
    assert "http" not in page


def test_near_edges_by_hand():
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 1
    near = near_edges(mask)  # 2 pixels either side at least
    assert near[:, 8:12].all() and not near[:, :8].any() and not near[:, 12:].any()


def test_doubt_by_hand():
    """Unsure, void and edges do not count."""
    truth = np.zeros((40, 40), np.uint8)
    truth[:, 20:] = 1
    truth[0, :] = VOID
    sure, unsure = [-5.0, 5.0], [0.0, 1.0]
    logits = np.full((40, 40, 2), [5.0, -5.0], np.float32)
    logits[5:10, 5:10], logits[20:25, 5:10], logits[0], logits[:, 19] = sure, unsure, sure, sure
    wanted = np.zeros((40, 40), bool)
    wanted[5:10, 5:10] = True
    wanted[:, 22:] = True  # the model says 0 there
    wanted[:3] = False  # near the void row, an edge as any
    assert np.array_equal(doubt(logits, truth), wanted)


def test_worst_class_by_hand():
    truth, guess = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[:2], guess[:1], guess[9] = 1, 1, 2  # 20 of class 1, 10 of them seen; 10 of class 2
    doubted = truth != guess
    assert worst_class(truth, guess, doubted) == (1.0, 2)
    doubted[9] = False
    assert worst_class(truth, guess, doubted) == (0.5, 1)
    assert worst_class(truth, truth, truth != truth)[0] == 0.0


def command(*words):
    words = [sys.executable, "-m", "export", "suspects", *map(str, words)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_command(finished, tmp_path):
    end = command(finished / "run", "--split", "train", "--top", "5", "--json")
    assert end.returncode == 0 and "this run learnt these masks" in end.stderr
    rows = json.loads(end.stdout)
    assert len(rows) == 5 and [r[2] for r in rows] == sorted((r[2] for r in rows), reverse=True)
    page = tmp_path / "page.html"
    end = command(finished / "run", "--split", "val", "--html", page)
    assert end.returncode == 0 and "learnt" not in end.stderr
    assert end.stdout.splitlines()[-1] == str(page) and page.exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a.tflite",), "a.tflite is no run: say with --data which pictures are meant"),
        (("nothing", "--data", "none"), "no such folder: none"),
    ],
)
def test_refusals(words, why):
    end = command(*words)
    assert end.returncode == 2 and why in end.stderr
