"""Kits, and the commands of python -m export."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest

from cli import Refusal
from data.resizing import RULES
from export import recipes
from export.kit import write as kit_write
from export.make import Choices, export_run
from export.proof import contract, gate, golden, measure
from export.targets import run_gpu
from export.tflite.metadata import read_metadata
from export.tflite.runtime import Runtime
from segnet import __version__

ROOT = Path(__file__).parent.parent
FIXED = Choices(max_drop=0.05)  # of six small images
LABELS = ["background", "disc", "box", "star"]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A run of `tiny` with one epoch, to export from."""
    return shutil.copytree(finished / "run", tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """The same run with a float32 kit; read only."""
    copy = shutil.copytree(run, tmp_path_factory.mktemp("exported") / "run")
    export_run(copy, choices=FIXED)
    return copy


@pytest.fixture
def earlier(exported, tmp_path):
    """A copy of `exported` that a test may change."""
    return shutil.copytree(exported, tmp_path / "run")


def test_kit(run):
    reports, refused = export_run(run)
    (report,) = reports.values()
    assert refused == []
    out = run / "export" / "float32"
    contract = json.loads((out / "contract.json").read_text())
    content = (out / "model.tflite").read_bytes()
    assert contract["sha256"] == hashlib.sha256(content).hexdigest()
    assert contract["input"]["shape"] == [1, 64, 64, 3] and contract["input"]["dtype"] == "float32"
    assert contract["output"]["shape"] == [1, 64, 64, 4]
    assert (contract["input"]["name"], contract["output"]["name"]) == ("image", "logits")
    assert contract["labels"] == read_metadata(content)["labels"] == LABELS
    assert (out / "labels.txt").read_text().split() == LABELS
    image = np.fromfile(out / "golden/input.bin", "<f4").reshape(1, 64, 64, 3)
    assert -1 <= image.min() < image.max() <= 1
    logits = np.fromfile(out / "golden/output.bin", "<f4").reshape(1, 64, 64, 4)
    assert np.array_equal(Runtime(content)(image), logits)
    assert np.array_equal(cv2.imread(str(out / "golden/mask.png"), 0), logits[0].argmax(-1))
    assert report == json.loads((out / "report.json").read_text())
    assert report["verdict"] == "yes" and report["partitions"] == 1 and report["outside"] == {}
    assert report["size_bytes"] == len(content) and report["latency_ms"] > 0
    assert report["machine"].endswith(f" {os.cpu_count()} cores")
    assert report["miou_keras"] == pytest.approx(report["miou_tflite"], abs=1e-3)
    assert len(report["mistakes"]) == 4 and min(report["mistakes"].values()) > 0
    assert report["lowerings"] == {"signs+depth_to_space": "the first of the table that runs"}
    assert contract["lowering"] == report["lowering"]
    assert contract["versions"]["segnet"] == __version__
    assert json.loads((run / "manifest.json").read_text())["versions"]["segnet"] == __version__
    export_run(run, choices=Choices(lower=report["lowering"]))
    assert (out / "model.tflite").read_bytes() == content
    # Nothing is missing or without a reason, and what the figures are of is told.
    assert gate.failures({**report, "recipe": "float32"}) == []
    assert (report["judged_on"], report["judged_images"]) == ("val", 6)
    assert report["miou_by_resize"].keys() == RULES.keys()
    assert report["miou_by_resize"]["area"] == report["miou_tflite"]
    assert [line for line in report["remarks"] if not line.startswith("images resized by")] == [
        "the figures are of the validation images, which also chose the epoch; images in test/ "
        "would judge alone",
        "the figures are of only 6 images of val",
    ]


def test_a_kit_has_the_times_of_frames(exported):
    report = json.loads((exported / "export/float32/report.json").read_text())
    assert report["frame"]["machine"] == report["machine"]
    rows = report["frame"]["ms"]
    assert [(row["width"], row["path"]) for row in rows] == [
        (width, path) for width in (640, 1280, 4000) for path in ("exact", "live")
    ]
    assert all(0 < row["network"] < row["all"] for row in rows)
    assert "From a frame to its overlay" in (exported / "export/report.html").read_text()


@pytest.mark.parametrize(
    ("side", "wanted"),
    [
        ((100, 120), (100, 120)),
        ((128, 120), (80, 120)),  # half: bilinear and area averaging would give the same
        ((64, 60), (80, 80)),  # the photo must be larger than the input
        ((1280, 640), (640, 320)),
    ],
)
def test_golden_photo_distinguishes_resize_rules(side, wanted):
    noise = np.random.default_rng(0).integers(0, 256, (*side, 3), np.uint8)
    photo = golden.limited(noise, (64, 64))
    assert photo.shape == (*wanted, 3)
    right, wrong = (
        contract.input_tensor({"input": {"shape": (1, 64, 64, 3), "dtype": "uint8"},
                       "colour_order": "RGB", "resize": rule}, photo)
        for rule in (contract.RESIZE, "bilinear")
    )  # fmt: skip
    off = np.abs(right.astype(int) - wrong)
    assert (off > golden.LEVEL).mean() > 0.5


@pytest.mark.slow
def test_int8_kit(run):
    """The input tensor is the image's bytes."""
    reports, refused = export_run(run, "int8,int8-full", FIXED)
    assert refused == []
    for name, report in reports.items():
        out = run / "export" / name
        contract = json.loads((out / "contract.json").read_text())
        assert contract["input"]["dtype"] == "uint8"
        assert contract["output"]["dtype"] == ("float32" if name == "int8" else "uint8")
        assert contract["input"]["scale"] == pytest.approx(1 / 127.5)
        raw = np.fromfile(out / "golden/input.bin", np.uint8).reshape(64, 64, 3)
        image = cv2.imread(str(out / "golden/image.png"), cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(raw, image)
        assert report["partitions"] == 1 and set(report["outside"]) <= {"QUANTIZE"}
        assert report["float_operators"] == []


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_keeps_the_earlier_kit(earlier, monkeypatch):
    out = earlier / "export" / "float32"
    before = contents(out)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kit_write, "write_image", full)
    with pytest.raises(Refusal, match=r"cannot write .*float32: No space left .* Free some space"):
        export_run(earlier, choices=FIXED)
    assert contents(out) == before
    assert not list(out.parent.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("name", [None, "model.tflite", "contract.json"])
def test_stopped_export_leaves_the_earlier_kit(earlier, name, how):
    """Stopped as soon as the new kit's folder, or this file in it, exists; then exported again."""
    out = earlier / "export" / "float32"
    before = contents(out)
    command = [sys.executable, "-m", "export", str(earlier), "--lower", FIXED.lower]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        if any((part / (name or ".")).exists() for part in out.parent.glob(".part-*-float32")):
            process.send_signal(how)
            break
        time.sleep(1e-4)
    stderr = process.communicate()[1]
    assert process.returncode == (130 if how == signal.SIGINT else -how), stderr
    assert "Traceback" not in stderr
    assert contents(out) == before
    export_run(earlier, choices=FIXED)
    assert contents(out).keys() == before.keys()
    assert not list(out.parent.glob(".part-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "left"), [("raise KeyboardInterrupt", True), ("os._exit(9)", False)]
)
def test_stopped_between_the_two_renames(earlier, end, left):
    """Ctrl-C restores the earlier kit; a kill leaves no kit, but never an incomplete one."""
    out = earlier / "export" / "float32"
    before = contents(out)
    program = f"""
import os, sys
from pathlib import Path
from export.make import Choices, export_run

rename = os.replace
def stopped(source, target):
    if Path(target).name == "float32" and Path(source).name != "old":
        {end}
    rename(source, target)

os.replace = stopped
export_run(Path(sys.argv[1]), choices=Choices(lower=sys.argv[2]))"""
    words = [sys.executable, "-c", program, str(earlier), FIXED.lower]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode in (9, 130, -signal.SIGINT), end.stderr
    assert (contents(out) if out.exists() else None) == (before if left else None)
    export_run(earlier, choices=FIXED)
    assert contents(out).keys() == before.keys()
    assert not list(out.parent.glob(".part-*"))


def test_refusals(run, tmp_path):
    with pytest.raises(Refusal, match=r"no recipe 'float23'. Did you mean float32\?"):
        export_run(run, "float23")
    with pytest.raises(Refusal, match=r"no target 'gpus'. Did you mean gpu\?"):
        Choices(targets=("gpus",))
    with pytest.raises(Refusal, match=r"no lowering 'depth_to_space'.* Choose from: signs"):
        export_run(run, choices=Choices(lower="depth_to_space"))
    with pytest.raises(Refusal, match=r"is not a run: plan.json is missing"):
        export_run(tmp_path / "nothing")
    words = [sys.executable, "-m", "export", str(tmp_path / "nothing")]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and end.stderr.startswith("error: ") and end.stdout == ""


@pytest.mark.slow
def test_a_target_that_runs_no_lowering(run):
    reports, refused = export_run(run, "int8", Choices(targets=("coreml",)))
    assert reports == {}
    assert "int8 is refused: no lowering runs entirely on coreml: signs" in refused[0]
    numbers = json.loads((run / "export" / "int8.refused.json").read_text())
    assert numbers["verdict"] == "no" and "coreml: " in numbers["lowerings"]["signs+depth_to_space"]


@pytest.mark.slow
def test_score_of_run_and_file_agree(exported, finished):
    data = str(finished / "shapes")
    found = []
    for model in (exported, exported / "export" / "float32" / "model.tflite"):
        words = [sys.executable, "-m", "export", "score", str(model), "--data", data, "--json"]
        end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        found.append(json.loads(end.stdout))
    assert found[0]["miou"] == pytest.approx(found[1]["miou"], abs=1e-3)
    assert list(found[0]["iou"]) == ["background", "disc", "box", "star"]
    assert "float32/model.tflite: input 64x64 (width x height), RGB from -1 to 1" in end.stderr


@pytest.mark.parametrize(
    ("run_on_gpu", "line"),
    [
        (lambda wanted: (b"", ["CONV_2D: no"]), "CONV_2D: no"),
        (lambda wanted: ((-wanted).tobytes(), []), "0.00% pixel agreement with the CPU"),
        (lambda wanted: (wanted.tobytes(), []), None),
    ],
)
def test_an_available_gpu_runs_the_file(run_on_gpu, line, exported, monkeypatch):
    """The accelerator is mocked here; test_clients uses the real one."""
    content = (exported / "export/float32/model.tflite").read_bytes()
    runtime = Runtime(content)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    monkeypatch.setattr(run_gpu, "available", lambda _: True)
    monkeypatch.setattr(run_gpu, "run", lambda content, inputs: run_on_gpu(runtime.run(inputs)))
    found = measure.delegation(content, ("xnnpack", "gpu"), image)
    assert found["target_faults"] == ([line] if line else [])
    assert found["targets"]["gpu"]["how"] == "run here and checked against the operator list"
    found = measure.delegation(content, ("xnnpack",), image)
    assert found["target_faults"] == []
    assert found["targets"]["gpu"]["how"] == "checked against the operator list"


def test_recipes_are_listed():
    words = [sys.executable, "-m", "export", "recipes"]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = end.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in recipes.RECIPES]
