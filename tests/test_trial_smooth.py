"""python -m export try --smooth."""

import cv2
import numpy as np
import pytest
from PIL import Image
from trials import convolution, named, tried

from export.tflite.head import append

SIZE = (48, 64)


def masks(folder):
    return [np.array(Image.open(path)) for path in sorted((folder / "clip-mask").iterdir())]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with clip.mp4, whose right half is red of 210 and 175 by turns."""
    monkeypatch.chdir(tmp_path)
    fourcc = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter("clip.mp4", cv2.CAP_FFMPEG, fourcc, 25, SIZE[::-1])
    for number in range(6):
        image = np.zeros((*SIZE, 3), np.uint8)
        image[:, 32:, 2] = 175 if number % 2 else 210
        writer.write(image)
    writer.release()
    return tmp_path


def test_a_half_that_flickers_stays(here):
    """Class 1 from 191 on; green does not change, which leaves the hold of 1, and the logits of
    175 differ by 0.13."""
    (here / "model.tflite").write_bytes(named())
    assert tried("model.tflite", "clip.mp4", "--show", "mask") == 0
    assert [mask[:, 36:].mean() for mask in masks(here / "tried")] == [1, 0, 1, 0, 1, 0]
    assert tried("model.tflite", "clip.mp4", "--show", "mask", "--smooth", "--force") == 0
    found = masks(here / "tried")
    assert [mask[:, 36:].mean() for mask in found] == [1] * 6
    assert [mask[:, :28].mean() for mask in found] == [0] * 6


WORDS = ["--classes", "rest,red", "--range", "-1", "1", "--show", "mask", "--smooth"]


def test_probabilities_are_smoothed_as_their_logits(here):
    plain = convolution((0, 1), (0, -0.5))
    found = []
    for content in (
        plain,
        convolution((0, 1), (0, -0.5), "softmax"),
        append(plain, "probabilities"),
    ):
        (here / "model.tflite").write_bytes(content)
        assert tried("model.tflite", "clip.mp4", *WORDS, "--force") == 0
        found.append(np.stack(masks(here / "tried")))
    assert len(np.unique(found[0])) == 2
    for other in found[1:]:  # at the edge probabilities are interpolated, not logits
        assert np.array_equal(found[0][..., :28], other[..., :28])
        assert np.array_equal(found[0][..., 36:], other[..., 36:])


@pytest.mark.parametrize(
    ("made", "ends"),
    [
        (lambda: convolution((0, 1), (0, -0.5), "sigmoid"), "the results of a sigmoid"),
        (lambda: append(convolution((0, 1), (0, -0.5)), "classes"), "class ids"),
    ],
)
def test_what_cannot_be_smoothed(here, capsys, made, ends):
    """A hold is in logits; from 0 to 1 it would keep a class for ever."""
    (here / "model.tflite").write_bytes(made())
    assert tried("model.tflite", "clip.mp4", *WORDS) == 2
    told = f"model.tflite ends in {ends}, but --smooth needs logits or the probabilities of a soft"
    assert told in capsys.readouterr().err


def test_images_alone_are_refused(here, capsys):
    (here / "model.tflite").write_bytes(named())
    cv2.imwrite("still.png", np.zeros((8, 8, 3), np.uint8))
    assert tried("model.tflite", "still.png", "--smooth") == 2
    assert "--smooth is for videos, of which there are none" in capsys.readouterr().err
    assert tried("model.tflite", "still.png", "clip.mp4", "--smooth") == 0
