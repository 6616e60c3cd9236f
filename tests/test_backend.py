"""Keras' own configuration, in keras.json and in the environment, and what is made of it."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, train
from test_resume import arrays

from cli import Refusal
from segnet import backend

STRANGE = {
    "backend": "torch", "floatx": "float16", "epsilon": 0.5, "image_data_format": "channels_first",
}  # fmt: skip


def home(folder, content) -> dict:
    """An environment in which Keras finds this keras.json."""
    (folder / "keras.json").write_text(json.dumps(content))
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    return {**environment, "KERAS_HOME": str(folder)}


@pytest.mark.slow
def test_keras_json_changes_nothing(finished, tmp_path):
    end = train(finished / "shapes", tmp_path / "run", env=home(tmp_path, STRANGE))
    assert end.returncode == 0, end.stderr
    one, two = (arrays(run / "last.weights.h5") for run in (finished / "run", tmp_path / "run"))
    assert one.keys() == two.keys() and all((one[key] == two[key]).all() for key in one)


@pytest.mark.parametrize("start", ["start", pytest.param("start_tf_keras", marks=pytest.mark.slow)])
def test_both_keras_have_our_configuration(tmp_path, start):
    code = (
        f"from segnet.backend import {start} as start; b = start().backend; "
        "print(b.backend() if hasattr(b, 'backend') else 'tensorflow', b.floatx(), b.epsilon(), "
        "b.image_data_format())"
    )
    end = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=home(tmp_path, STRANGE), capture_output=True,
        text=True,
    )  # fmt: skip
    assert end.stdout == "tensorflow float32 1e-07 channels_last\n", end.stderr


@pytest.mark.parametrize("content", [{"floatx": "float99"}, []])
def test_keras_json_that_keras_does_not_accept(tmp_path, content):
    code = "import cli; from segnet.backend import start; cli.run(start)"
    end = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=home(tmp_path, content), capture_output=True,
        text=True,
    )  # fmt: skip
    assert end.returncode == 2 and "Traceback" not in end.stderr
    assert f"Keras does not accept {tmp_path}/keras.json: " in end.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torch", "there is no backend 'torch'. Choose from: tensorflow, jax"),
        ("tensorflwo", "there is no backend 'tensorflwo'. Did you mean tensorflow"),
        ("jax", "the backend is jax, but the package jax is not installed. Type pip install -r"),
    ],
)
def test_backends_that_are_not_there(monkeypatch, name, words):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr(backend, "find_spec", lambda _: None)
    with pytest.raises(Refusal) as refusal:
        backend.start.__wrapped__()
    assert words in str(refusal.value)
