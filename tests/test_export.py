"""The gate, the kit and the command line of export."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal, Verdict
from export import gate, kit
from export.convert import to_tflite
from export.metadata import read_labels
from export.runtime import Runtime

ROOT = Path(__file__).parent.parent
SOUND = {"partitions": 1, "agreement": 1.0, "max_abs_error": 1e-6}


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A run of `tiny` of one epoch, to be exported."""
    return shutil.copytree(finished / "run", tmp_path_factory.mktemp("export") / "run")


@pytest.fixture
def fixed(monkeypatch):
    """Spares the tests that break a model the second lowering."""
    monkeypatch.setattr(kit, "LOWERINGS", ("depth_to_space",))


@pytest.mark.parametrize(
    ("name", "value"),
    [("partitions", 0), ("partitions", 2), ("agreement", 0.9989), ("max_abs_error", 1.1e-4)]
    + [(name, float("nan")) for name in ("agreement", "max_abs_error")],
)
def test_limits(name, value):
    assert gate.failures(SOUND) == []
    (line,) = gate.failures({**SOUND, name: value})
    assert line.startswith(f"{name} is ")


def test_kit(run):
    report = kit.export_run(run)
    out = run / "export" / "float32"
    contract = json.loads((out / "contract.json").read_text())
    content = (out / "model.tflite").read_bytes()
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()
    assert contract["input"]["shape"] == [1, 64, 64, 3] and contract["input"]["dtype"] == "float32"
    assert contract["output"]["shape"] == [1, 64, 64, 4]
    assert (contract["input"]["name"], contract["output"]["name"]) == ("image", "logits")
    labels = ["background", "disc", "box", "star"]
    assert contract["labels"] == read_labels(content) == labels
    assert (out / "labels.txt").read_text().split() == labels
    picture = np.load(out / "golden_input.npy")
    assert -1 <= picture.min() < picture.max() <= 1
    assert np.array_equal(Runtime(content)(picture), np.load(out / "golden_output.npy"))
    assert report == json.loads((out / "report.json").read_text())
    assert report["verdict"] == "yes" and report["partitions"] == 1 and report["outside"] == {}
    assert report["size_bytes"] == len(content) and report["latency_ms"] > 0
    assert report["miou_keras"] == pytest.approx(report["miou_tflite"], abs=1e-3)


def refused(run, name):
    """Exports, expects the gate to refuse for figure `name`, gives the numbers."""
    out = run / "export" / "float32"
    out.mkdir(parents=True, exist_ok=True)  # an earlier kit must not pass for this one
    (out / "model.tflite").write_bytes(b"earlier")
    with pytest.raises(Verdict, match=name) as caught:
        kit.export_run(run)
    assert caught.value.exit_code == 1
    assert not out.exists() and not list(out.parent.glob(".*"))
    return json.loads((out.parent / "float32.refused.json").read_text())


def test_wrong_weights_are_refused(run, monkeypatch, fixed):
    right = kit.deploy

    def wrong(*words):
        graph = right(*words)
        layer = graph.get_layer("conv3_pw")
        kernel, bias = layer.get_weights()
        layer.set_weights([-kernel, bias])
        return graph

    monkeypatch.setattr(kit, "deploy", wrong)
    numbers = refused(run, "max_abs_error")
    assert numbers["verdict"] == "no" and numbers["max_abs_error"] > 1e-4


def with_behind(change):
    """deploy(), and then `change` of the logits: a file that is not the trained function."""
    right = kit.deploy

    def wrong(*words):
        import keras

        class Change(keras.layers.Layer):
            def call(self, x):
                return change(x)

        graph = right(*words)
        return keras.Model(graph.input, Change()(graph.output))

    return wrong


def test_shifted_pixels_are_refused(run, monkeypatch, fixed):
    import tensorflow as tf

    shift = with_behind(lambda x: tf.concat([x[..., 1:], x[..., :1]], -1))
    monkeypatch.setattr(kit, "deploy", shift)
    assert refused(run, "agreement")["agreement"] < 0.999


def test_operators_outside_are_counted_and_refused(run, monkeypatch, fixed):
    import tensorflow as tf

    # XNNPACK has no CUMSUM, and so little of it changes no figure but the partitions.
    monkeypatch.setattr(kit, "deploy", with_behind(lambda x: x + 1e-9 * tf.cumsum(x, -1)))
    numbers = refused(run, "partitions")
    assert numbers["partitions"] == 2 and numbers["outside"] == {"CUMSUM": 1}


def test_anatomy_of_a_whole_file():
    import keras

    x = keras.Input((8, 8, 3), batch_size=1)
    net = keras.Model(x, keras.layers.Conv2D(4, 3, activation="relu")(x))
    found = Runtime(to_tflite(net)).anatomy()
    assert found == {"ops": {"CONV_2D": 1}, "partitions": 1, "outside": {}}


def test_full_disk_keeps_the_earlier_kit(run, monkeypatch, fixed):
    kit.export_run(run)
    out = run / "export" / "float32"
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kit.np, "save", full)
    with pytest.raises(Refusal, match=r"cannot write .*float32: No space left .* Free some space"):
        kit.export_run(run)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir()] == ["float32"]


def test_refusals(run, tmp_path):
    with pytest.raises(Refusal, match=r"no recipe 'float23'. Did you mean float32\?"):
        kit.export_run(run, "float23")
    with pytest.raises(Refusal, match=r"is no run: plan.json is missing"):
        kit.export_run(tmp_path / "nothing")
    words = [sys.executable, "-m", "export", str(tmp_path / "nothing")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and end.stderr.startswith("error: ") and end.stdout == ""


def test_score_of_run_and_file_agree(run, finished):
    kit.export_run(run, lowering="depth_to_space")
    data = str(finished / "shapes")
    found = []
    for model in (run, run / "export" / "float32" / "model.tflite"):
        words = [sys.executable, "-m", "export", "score", str(model), "--data", data, "--json"]
        end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        found.append(json.loads(end.stdout))
    assert found[0]["miou"] == pytest.approx(found[1]["miou"], abs=1e-3)
    assert list(found[0]["iou"]) == ["background", "disc", "box", "star"]


def test_latency_side_by_side(run):
    kit.export_run(run, lowering="depth_to_space")
    path = str(run / "export" / "float32" / "model.tflite")
    words = [sys.executable, "-m", "benchmarks.latency", path, path, "--rounds", "9"]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    head, line = end.stdout.splitlines()
    milliseconds, ratio, megabytes, name = line.split()
    assert head.split()[:3] == ["ms", "ratio", "MB"] and name == path
    assert float(milliseconds) > 0 and float(ratio) == 1
    assert float(megabytes) == pytest.approx(Path(path).stat().st_size / 1e6, abs=0.01)
