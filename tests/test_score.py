"""Scoring files of anybody: names of classes, and the preprocessing that their metadata tell."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal
from data.dataset import write_names
from data.images import write_image
from export.proof import score
from export.tflite import metadata


@pytest.fixture
def dataset(tmp_path):
    """Two images of 8x8 pixels: the right half is red, and of the class b."""
    from data.dataset import read_dataset

    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 1
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:, 0] = 200
    for split in ("train", "val"):
        write_image(tmp_path / f"data/{split}/images/0.png", image)
        write_image(tmp_path / f"data/{split}/masks/0.png", mask)
    write_names(tmp_path / "data", ["a", "b"], [[0, 0, 0], [9, 9, 9]])
    return read_dataset(tmp_path / "data")


def model(threshold):
    """A .tflite whose class is b where the input's red is above the threshold."""
    import keras

    from export.graph.convert import to_tflite

    image = keras.Input((8, 8, 3), batch_size=1)
    layer = keras.layers.Conv2D(2, 1)
    graph = keras.Model(image, layer(image))
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, 0, 1] = 1
    layer.set_weights([kernel, np.array([0, -threshold], np.float32)])
    return to_tflite(graph)


def with_metadata(monkeypatch, content, mean, std, labels):
    monkeypatch.setattr(metadata, "MEAN", mean)
    monkeypatch.setattr(metadata, "STD", std)
    return metadata.add_metadata(content, labels)


@pytest.mark.parametrize(
    ("mean", "std", "threshold"),
    [
        (127.5, 127.5, 0.5),  # red is 200 / 127.5 - 1 = 0.57, and -1 on the left
        (0.0, 1.0, 150.0),  # 200 and 0
        (0.0, 255.0, 0.7),  # 0.78 and 0
        (100.0, 50.0, 1.9),  # 2 and -2
    ],
)
def test_a_file_is_fed_as_its_metadata_say(dataset, tmp_path, monkeypatch, mean, std, threshold):
    path = tmp_path / "model.tflite"
    path.write_bytes(with_metadata(monkeypatch, model(threshold), mean, std, ["a", "b"]))
    said = []
    found = score.score(path, dataset, "val", said.append)
    assert found["miou"] == 1.0 and found["iou"] == {"a": 1.0, "b": 1.0}
    told = "RGB from -1 to 1" if mean == 127.5 else f"([{mean}] and [{std}] are mean and"
    assert said[0].startswith(f"{path}: input 8x8 (width x height), {told}") and len(said) == 1


def test_a_file_without_metadata_is_told(dataset, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model(0.5))
    said = []
    assert score.score(path, dataset, "val", said.append)["miou"] == 1.0
    assert said[0].endswith("which is assumed: the file has no metadata that tell it")
    assert (
        said[1] == f"note: {path} does not name its classes; they are taken in the dataset's order"
    )


@pytest.mark.parametrize("labels", [["b", "a"], ["a", "c"], ["a", "b", "c"]])
def test_other_names_are_refused(dataset, tmp_path, monkeypatch, labels):
    """Two classes there and here, but others, or in another order."""
    path = tmp_path / "model.tflite"
    path.write_bytes(with_metadata(monkeypatch, model(0.5), 127.5, 127.5, labels))
    with pytest.raises(Refusal, match=f"predicts the classes {', '.join(labels)}, but .* has a, b"):
        score.score(path, dataset, "val")
