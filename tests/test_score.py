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


@pytest.mark.parametrize("labels", [["b", "a"], ["a", "B"], ["a", "b", "c"]])
def test_other_names_are_refused(dataset, tmp_path, monkeypatch, labels):
    """Two classes there and here, but others, or in another order."""
    path = tmp_path / "model.tflite"
    path.write_bytes(with_metadata(monkeypatch, model(0.5), 127.5, 127.5, labels))
    with pytest.raises(Refusal, match=f"predicts the classes {', '.join(labels)}, but .* has a, b"):
        score.score(path, dataset, "val")


class Runtime:
    """What `fed` needs of a file: the type of its input. Returns what it is fed with."""

    def __init__(self, kind):
        self.input = {"dtype": kind}

    def __call__(self, image):
        return image


def test_each_channel_is_fed_with_its_own_mean_and_deviation():
    pixel = (np.float32([[[[200, 90, 30]]]]) - 127.5) / 127.5
    for mean, std, wanted in (
        ([100, 110, 90], [50, 20, 30], [2, -1, -2]),
        ([127.5, 0, 127.5], [127.5, 127.5, 127.5], [200 / 127.5 - 1, 90 / 127.5, 30 / 127.5 - 1]),
        ([127.5, 127.5, 127.5], [127.5, 1, 127.5], [200 / 127.5 - 1, -37.5, 30 / 127.5 - 1]),
        ([0, 0, 0], [127.5, 127.5, 127.5], [200 / 127.5, 90 / 127.5, 30 / 127.5]),
        ([255, 255, 255], [127.5, 127.5, 127.5], [-55 / 127.5, -165 / 127.5, -225 / 127.5]),
        ([127.5] * 3, [255] * 3, [72.5 / 255, -37.5 / 255, -97.5 / 255]),
    ):
        function, words = score.fed(Runtime(np.float32), {"mean": mean, "std": std})
        fed = function(pixel)
        assert fed.dtype == np.float32
        np.testing.assert_allclose(fed[0, 0, 0], wanted, atol=1e-5)
        assert words.startswith(f"({mean} and {std} are")


def test_bytes_are_fed_as_they_are_and_other_types_not():
    runtime = Runtime(np.uint8)
    assert score.fed(runtime, {}) == (runtime, "the bytes of the RGB image")
    with pytest.raises(Refusal, match=r"^the file's input is int8; float32 and uint8 files"):
        score.fed(Runtime(np.int8), {})


def red_above(threshold, classes=2):
    """A function to logits whose class is 1 where the input's red is above the threshold."""

    def logits(image):
        found = np.zeros((*image.shape[:3], classes), np.float32)
        found[..., 1] = image[..., 0] - threshold
        return found

    return logits


def test_a_run_is_scored_by_its_own_network_size_and_names(dataset, tmp_path, monkeypatch):
    from types import SimpleNamespace

    net = SimpleNamespace(predict_on_batch=red_above(0.5))
    plan = SimpleNamespace(size=(4, 8))
    manifest = {"dataset": {"classes": ["a", "b"]}}
    monkeypatch.setattr("segnet.run.load_run", lambda folder: (net, plan, manifest))
    said = []
    assert score.score(tmp_path, dataset, "val", said.append)["miou"] == 1.0
    assert said == [f"{tmp_path}: input 8x4 (width x height), RGB from -1 to 1"]
    manifest["dataset"]["classes"] = ["c", "b"]
    with pytest.raises(Refusal, match="predicts the classes c, b"):
        score.score(tmp_path, dataset, "val")


def test_a_predictor_gives_masks_of_the_images_size(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model(0.5))
    image = np.zeros((16, 24, 3), np.uint8)
    image[:, 12:, 0] = 255
    mask = score.predictor(path)(image)
    assert mask.shape == (16, 24) and mask.dtype == np.uint8
    assert (mask[:, :10] == 0).all() and (mask[:, 14:] == 1).all()  # between them it is resized


@pytest.mark.parametrize("classes", [3, 4])
def test_another_number_of_classes_is_refused(dataset, classes):
    words = f"^m predicts {classes} classes, but {dataset.folder} has 2. Score it on"
    with pytest.raises(Refusal, match=words):
        score.score_function(red_above(0.5, classes), dataset, "val", (8, 8), "m")
    words = f"^the model predicts {classes} classes"
    with pytest.raises(Refusal, match=words):
        score.score_function(red_above(0.5, classes), dataset, "val", (8, 8))


def test_fewer_classes_than_the_dataset_has_are_refused(dataset):
    with pytest.raises(Refusal, match=r"^the model predicts 1 classes"):
        score.score_function(lambda image: np.zeros((1, 8, 8, 1)), dataset, "val", (8, 8))


def blue(image):
    """b where the image is blue."""
    logits = np.zeros((*image.shape[:3], 2), np.float32)
    logits[..., 1] = image[..., 2]
    return logits


def test_classes_that_the_truth_lacks_do_not_count(tmp_path):
    """All of the truth is a; a fourth is predicted as b. The other way round b would count as 0."""
    from data.dataset import read_dataset

    image = np.zeros((8, 8, 3), np.uint8)
    image[:4, :4, 2] = 255
    for split in ("train", "val"):
        write_image(tmp_path / f"data/{split}/images/0.png", image)
        write_image(tmp_path / f"data/{split}/masks/0.png", np.zeros((8, 8), np.uint8))
    write_names(tmp_path / "data", ["a", "b"], [[0, 0, 0], [9, 9, 9]])
    dataset = read_dataset(tmp_path / "data")
    assert score.score_function(blue, dataset, "val", (8, 8))["miou"] == 0.75
    assert score.subset_miou(blue, dataset, (8, 8)) == 0.75


def test_a_search_judges_a_seeded_subset_of_val(tmp_path, monkeypatch):
    """Of three images, on which the same function is right in none, half and all of the pixels."""
    from data.dataset import read_dataset

    for stem, rows in (("0", 0), ("1", 4), ("2", 8)):
        image = np.zeros((8, 8, 3), np.uint8)
        image[:rows, :, 2] = 255
        for split in ("train", "val"):
            write_image(tmp_path / f"data/{split}/images/{stem}.png", image)
            write_image(tmp_path / f"data/{split}/masks/{stem}.png", np.ones((8, 8), np.uint8))
    write_names(tmp_path / "data", ["a", "b"], [[0, 0, 0], [9, 9, 9]])
    dataset = read_dataset(tmp_path / "data")
    assert score.subset_miou(blue, dataset, (8, 8)) == 0.5  # of all three, 12 of 24 rows
    monkeypatch.setattr(score, "SUBSET", 1)
    found = [score.subset_miou(blue, dataset, (8, 8), seed) for seed in range(20)]
    assert set(found) == {0.0, 0.5, 1.0}
    assert [score.subset_miou(blue, dataset, (8, 8), seed) for seed in range(20)] == found
    assert score.subset_miou(blue, dataset, (8, 8)) == found[0]
    monkeypatch.setattr(score, "SUBSET", 2)  # without repetition: never the same image twice
    pairs = {score.subset_miou(blue, dataset, (8, 8), seed) for seed in range(20)}
    assert pairs == {0.25, 0.5, 0.75}
