"""python -m data preview."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from data.dataset import read_dataset
from data.images import read_pair, resize
from data.shapes import write_shapes

ROOT = Path(__file__).parent.parent


def preview(options, folder):
    command = [sys.executable, "-m", "data", "preview", "shapes", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_preview(tmp_path):
    """Three training images: nine rows of a caption and three images in each half."""
    write_shapes(tmp_path / "shapes", train=3, val=1)
    before = sorted(tmp_path.rglob("*"))
    end = preview([], tmp_path)
    assert (end.returncode, end.stdout) == (0, "preview.png\n"), end.stderr
    assert set(tmp_path.rglob("*")) - set(before) == {tmp_path / "preview.png"}
    drawn = cv2.imread(str(tmp_path / "preview.png"), cv2.IMREAD_COLOR_RGB)
    assert drawn.shape[1] == 2 * (132 + 3 * 164) and drawn.shape[0] > 9 * 164
    dataset = read_dataset(tmp_path / "shapes")
    image, mask = read_pair(dataset.pairs("train")[0], dataset)
    background = cv2.resize(mask, (160, 160), interpolation=cv2.INTER_NEAREST_EXACT) == 0
    first = drawn[:160, 132 : 132 + 160]
    assert np.array_equal(first[background], resize(image, (160, 160))[background])
    again = preview([], tmp_path)
    assert again.returncode == 2
    assert "preview.png exists. Name another --out, or add --force" in again.stderr
    assert preview(["--force", "--augment", "0"], tmp_path).returncode == 0
    other = cv2.imread(str(tmp_path / "preview.png"), cv2.IMREAD_COLOR_RGB)
    rows = [other[164 * row : 164 * row + 160, 624 + 132 : 624 + 132 + 160] for row in range(5, 9)]
    assert all(
        np.array_equal(row, first) for row in rows
    )  # all augmentations together, at strength 0
    beyond = preview(["--augment", "3", "--out", "x.png"], tmp_path)
    assert beyond.returncode == 2 and "--augment is 3; needed: 0 to 2" in beyond.stderr
