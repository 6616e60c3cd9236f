"""A published portrait model on a person dataset: scores by hand and the refusal."""

import sys

import keras
import numpy as np
import pytest

from benchmarks import portrait
from cli import Refusal
from data.images import write_image
from export.graph.convert import to_tflite


@pytest.fixture
def brightness(tmp_path):
    """A model that outputs the brightness as probability, and two images, one with a wrong mask."""
    image = keras.Input((32, 32, 3), batch_size=1)
    mean = keras.layers.Conv2D(1, 1, use_bias=False)
    net = keras.Model(image, mean(image))
    mean.set_weights([np.full((1, 1, 3, 1), 1 / 3, np.float32)])
    (tmp_path / "net.tflite").write_bytes(to_tflite(net))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dataset.toml").write_text('classes = ["background", "person"]\n')
    bright = np.zeros((64, 64), np.uint8)
    bright[:, 32:] = 1
    for split in ("train", "val"):
        for name, mask in (("right", bright), ("wrong", 1 - bright)):
            for part in ("images", "masks"):
                (tmp_path / "data" / split / part).mkdir(parents=True, exist_ok=True)
            pixels = np.repeat(bright[..., None] * 255, 3, -1)
            write_image(tmp_path / f"data/{split}/images/{name}.png", pixels)
            write_image(tmp_path / f"data/{split}/masks/{name}.png", mask)
    return tmp_path


def test_scores_by_hand(brightness, monkeypatch, capsys):
    """For each class the intersection is 32x64 pixels and the union three times as many."""
    args = ["portrait", str(brightness / "net.tflite"), "--data", str(brightness / "data")]
    monkeypatch.setattr(sys, "argv", args)
    portrait.main()
    assert capsys.readouterr().out == "mIoU 0.3333 (background 0.3333, person 0.3333)\n"
    (brightness / "data/dataset.toml").write_text('classes = ["a", "b", "c"]\n')
    with pytest.raises(Refusal, match=r"outputs \(1, 32, 32, 1\) and .* 3 classes; needed: one"):
        portrait.main()
