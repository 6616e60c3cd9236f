"""More classes than OpenCV resizes channels of, up to the 255 that a byte can name."""

import hashlib
import json
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kits import PHOTO, contract, model, scene

from data.dataset import read_dataset
from export.kit.render import render
from export.proof import golden
from export.proof.contract import predict, tensor
from export.proof.outputs import RESIZE_TEXTS
from export.proof.score import score_function
from export.tflite.runtime import Runtime
from segnet import metrics
from segnet.metrics import to_mask


def class_by_class(logits, size):
    """The mask by a running comparison in float64, which has no limit of channels."""
    best, ids = np.full(size, -np.inf), np.zeros(size, np.uint8)
    for index in range(logits.shape[-1]):
        channel = np.ascontiguousarray(logits[..., index]).astype(np.float64)
        channel = cv2.resize(channel, size[::-1], interpolation=cv2.INTER_LINEAR)
        ids[channel > best] = index
        best = np.maximum(best, channel)
    return ids


@given(st.data())
@settings(max_examples=150)
def test_blocks_change_nothing(data):
    """Whole numbers twice as large: their means are exact, and many of them are equal."""
    height, width, classes = (data.draw(st.integers(1, most)) for most in (6, 6, 20))
    values = st.lists(st.integers(-2, 2), min_size=(n := height * width * classes), max_size=n)
    logits = np.reshape(data.draw(values), (height, width, classes)).astype(np.float32)
    size = (2 * height, 2 * width)
    plain = cv2.resize(logits, size[::-1], interpolation=cv2.INTER_LINEAR)
    plain = plain.reshape(*size, classes).argmax(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "MOST_CHANNELS", data.draw(st.integers(1, classes)))
        assert np.array_equal(to_mask(logits, size), plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "MOST_VALUES", data.draw(st.integers(1, plain.size * classes)))
        assert np.array_equal(to_mask(logits, size), plain)
    assert np.array_equal(to_mask(logits, size), plain)


@pytest.mark.parametrize("classes", [128, 129, 150, 255])
@pytest.mark.parametrize("size", [(50, 70), (9, 11), (20, 30)])
def test_many_classes(classes, size):
    logits = np.random.default_rng(0).normal(size=(20, 30, classes)).astype(np.float32)
    found = to_mask(logits, size)
    assert found.dtype == np.uint8 and found.shape == size and found.max() > 120
    assert (found == class_by_class(logits, size)).mean() > 0.999


def test_memory_of_a_large_photo(monkeypatch):
    """Only a block of the resized logits of 255 classes is in memory: here 4 at a time."""
    sizes, right = [], cv2.resize
    monkeypatch.setattr(metrics, "MOST_VALUES", 4 * 60 * 80)

    def seen(image, size, **how):
        sizes.append(image.shape[-1])
        return right(image, size, **how)

    monkeypatch.setattr(metrics.cv2, "resize", seen)
    to_mask(np.zeros((6, 8, 255), np.float32), (60, 80))
    assert max(sizes) == 4 and sum(sizes) == 255


@pytest.mark.parametrize("classes", [150, 255])
def test_score(classes, tmp_path):
    """A function that knows the truth has an IoU of 1 for every class that is in it."""
    names = [f"class {index}" for index in range(classes)]
    (tmp_path / "dataset.toml").write_text(f"classes = {json.dumps(names)}\n")
    mask = np.arange(classes * 4, dtype=np.int64).reshape(-1, 10) // 4
    mask = mask.repeat(2, 0).repeat(2, 1).astype(np.uint8)
    for kind, values in (("images", scene(mask.shape, 0)), ("masks", mask)):
        for split in ("train", "val"):
            (tmp_path / split / kind).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / split / kind / "a.png"), values)
    size = (mask.shape[0] // 2, 10)
    truth = np.eye(classes, dtype=np.float32)[mask[::2, ::2]][None]
    found = score_function(lambda _: truth, read_dataset(tmp_path), "val", size)
    assert len(found["iou"]) == classes and found["miou"] > 0.3
    exact = score_function(lambda _: np.eye(classes)[mask].astype(np.float32)[None],
                           read_dataset(tmp_path), "val", mask.shape)  # fmt: skip
    assert exact["miou"] == 1.0 and set(exact["iou"].values()) == {1.0}


@pytest.mark.parametrize(("classes", "kind"), [(150, "float32"), (255, "int8")])
def test_kit(classes, kind, tmp_path):
    """The kit's own Python and the contract give the masks of a plain loop over the classes."""
    labels = [f"class {index}" for index in range(classes)]
    content, photo = model(kind, labels=labels), scene(PHOTO, 21)
    runtime = Runtime(content)
    made = contract(kind) | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": tensor(runtime.input),
        "output": {**tensor(runtime.output), "values": "logits"}, "labels": labels,
        "colours": [[i, i, i] for i in range(classes)], "resize": RESIZE_TEXTS["logits"],
    }  # fmt: skip
    made["golden"] = golden.write(tmp_path / "golden", made, content, photo)
    (tmp_path / "model.tflite").write_bytes(content)
    render(tmp_path, made)
    program = [sys.executable, str(tmp_path / "python/segment.py")]
    end = subprocess.run([*program, "--self-test"], capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    source, target = tmp_path / "golden/photo.png", tmp_path / "mask.png"
    end = subprocess.run([*program, source, target], capture_output=True, text=True)
    assert end.returncode == 0 and "class 1" in end.stdout, end.stderr
    inputs = np.fromfile(tmp_path / "golden/photo_input.bin", made["input"]["dtype"])
    logits = runtime.run(inputs.reshape(made["input"]["shape"]))[0]
    wanted = class_by_class(logits, PHOTO)
    assert len(np.unique(wanted[wanted > 127])) > 1
    assert (cv2.imread(str(target), cv2.IMREAD_UNCHANGED) == wanted).mean() > 0.999
    assert (predict(made, runtime, photo) == np.array(labels)[wanted]).mean() > 0.999
