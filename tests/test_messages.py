"""What damaged files, runs and models are answered: the file, the fault, the way out."""

import json
import os
import shutil
import struct
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import pytest
from conftest import train

from cli import Refusal
from data.dataset import Dataset, read_dataset
from data.images import read_image, read_mask
from data.layout import VOID
from data.shapes import write_shapes
from export.make import export_run
from export.proof.score import score
from segnet import __version__
from segnet.build import build
from segnet.checkpoint import save_checkpoint
from segnet.presets import preset
from segnet.run import load_run
from segnet.weights import load_encoder


@pytest.fixture
def copy(finished, tmp_path):
    """Copies of the dataset and of the run, to be broken."""
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("best.weights.h5", None, r"best\.weights\.h5 is missing: .* train it first"),
        ("best.weights.h5", b"no HDF5", r"best\.weights\.h5 is damaged or no .* Restore"),
        ("plan.json", b"[3]", r"plan\.json is damaged: it names no data"),
        ("plan.json", b'{"data": "x", "encoder_weights": "none"}',
         rf"plan\.json holds 'encoder_weights', which segnet {__version__} does not know"),
        ("plan.json", b"{", r"plan\.json is damaged: .* Restore it or delete its folder"),
        ("plan.json", None, r"is not a run: plan\.json is missing. train\.py --run makes one"),
        ("manifest.json", None, r"manifest\.json is missing"),
    ],
)  # fmt: skip
def test_damaged_runs(copy, name, content, words):
    path = copy / "run" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(Refusal, match=words):
        load_run(copy / "run")


def test_weights_of_another_network(copy):
    """As where a preset has changed between versions."""
    other = build(keras, preset("tiny"), (64, 64), 9)
    other.save_weights(copy / "run/best.weights.h5")
    with pytest.raises(Refusal, match=r"does not fit tiny as segnet \S+ builds it \([^.]*\)\. Use"):
        load_run(copy / "run")


def test_checkpoint_of_another_network(copy, finished):
    """Its plan says the same, but the numbers in it have other shapes."""
    save_checkpoint(copy / "run", [np.zeros(3)], {})
    end = train(finished / "shapes", copy / "run")
    assert end.returncode == 2
    assert "run/checkpoints/last.npz is of another network. Name a new --run" in end.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dear sir", r"a\.png is not an image: replace or remove it"),
        (None, r"a\.png cannot be read: No such file"),
    ],
)
def test_files_that_are_no_images(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, lambda path: read_mask(path, Dataset(tmp_path, ["a"], [], VOID))):
        with pytest.raises(Refusal, match=words):
            read(tmp_path / "a.png")


def test_png_that_ends_too_early(tmp_path):
    done, raw = cv2.imencode(".png", np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8))
    assert done
    (tmp_path / "a.png").write_bytes(raw.tobytes()[: len(raw) // 2])
    with pytest.raises(Refusal, match=r"a\.png is damaged or truncated: .*; replace or remove it"):
        read_mask(tmp_path / "a.png", Dataset(tmp_path, ["a", "b"], [], VOID))


def test_decompression_bomb(tmp_path):
    """A header of 60,000 x 60,000 pixels is refused before anything is decoded."""
    content = b"\x89PNG\r\n\x1a\n"
    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    for name, data in ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Refusal, match=r"a\.png has 60000x60000 pixels; shrink it"):
        read_image(tmp_path / "a.png")


def test_split_without_folder(copy):
    shutil.rmtree(copy / "shapes/val")
    with pytest.raises(Refusal, match="val/images is missing: a split is a folder with images/"):
        read_dataset(copy / "shapes").pairs("val")


def test_shapes_into_a_folder_in_use(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(Refusal, match="exists: name a new or an empty folder, or remove it"):
        write_shapes(tmp_path)


def test_weights_of_a_run_that_shares_no_layer(copy):
    model = build(keras, preset("mobileseg160"), (64, 64), 3)
    with pytest.raises(Refusal, match=r"only 0 of \d+ layers of .*run fit .* type .* none"):
        load_encoder(model, preset("mobileseg160"), str(copy / "run"))


def test_models_that_cannot_be_scored(copy):
    dataset = read_dataset(copy / "shapes")
    (copy / "bad.tflite").write_bytes(b"no flatbuffer")
    for model, words in (
        (copy / "bad.tflite", "the model cannot be loaded"),
        (copy / "no.tflite", r"no\.tflite cannot be read: No such file"),
    ):
        with pytest.raises(Refusal, match=words):
            score(model, dataset, "val")
    other = Dataset(dataset.folder, [*dataset.classes, "moon"], [], VOID)
    with pytest.raises(
        Refusal,
        match=r"predicts the classes background, .*, star, but .* star, moon. Score it",
    ):
        score(copy / "run", other, "val")


def test_export_of_other_classes(copy):
    plan = (copy / "run/plan.json").read_text()
    data = json.loads(plan)["data"]
    (copy / "run/plan.json").write_text(plan.replace(data, str(copy / "shapes")))
    toml = copy / "shapes/dataset.toml"
    toml.write_text(toml.read_text().replace("disc", "disk"))
    with pytest.raises(
        Refusal,
        match=r"shapes has changed since .*: the classes are background, disk",
    ):
        export_run(copy / "run")
