"""Accuracy of presets and peers: the plans, the table, the plot, the command."""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from commands import ROOT, run
from conftest import history

from benchmarks import accuracy
from benchmarks import accuracy_results as results
from cli import Refusal
from data.shapes import write_shapes
from export.report.plot import svg
from segnet.plan import Plan


def arguments(tmp_path, **changes):
    args = {"data": "DIR", "out": tmp_path, "nets": ["base", "fast_scnn"], "size": (64, 64)}
    args |= {"epochs": 2, "seeds": [0, 3], "weights_folder": None}
    return Namespace(**args | changes)


def test_every_net_and_seed_has_a_run(tmp_path):
    found = accuracy.plans(arguments(tmp_path))
    assert [
        path.name for path in found
    ] == "base-seed0 base-seed3 fast_scnn-seed0 fast_scnn-seed3".split()
    plan = found[tmp_path / "fast_scnn-seed3"]
    assert plan == Plan("DIR", "fast_scnn", (64, 64), 2, weights="none", seed=3)
    defaults = accuracy.plans(arguments(tmp_path, nets=None))
    assert tmp_path / "unet_mnv2-seed0" in defaults and tmp_path / "tiny-seed0" not in defaults


def test_missing_encoder_weights_are_refused_before_training(tmp_path):
    args = arguments(tmp_path, weights_folder=tmp_path, nets=["deeplab_mnv2", "fast_scnn"])
    with pytest.raises(Refusal, match=r"mobilenet_v2_1\.0_no_top\.h5 is missing"):
        accuracy.plans(args)
    (tmp_path / "mobilenet_v2_1.0_no_top.h5").touch()
    found = accuracy.plans(args)
    assert found[tmp_path / "deeplab_mnv2-seed0"].weights == str(
        tmp_path / "mobilenet_v2_1.0_no_top.h5"
    )
    assert found[tmp_path / "fast_scnn-seed0"].weights == "none"
    with pytest.raises(Refusal, match=r"no net 'bas'\. Did you mean base\?"):
        accuracy.plans(arguments(tmp_path, nets=["bas"]))


def test_a_finished_run_may_be_from_another_machine_but_not_of_another_plan(finished):
    """The run of the fixture is `tiny` at 64x64, one epoch, batch 8."""
    plan = Plan("/elsewhere", "tiny", (64, 64), 1, 8, "none")
    assert accuracy.finished(plan, finished / "run")
    assert not accuracy.finished(plan, finished / "no run")
    with pytest.raises(Refusal, match="of another plan: seed is 0 there, 1 here"):
        accuracy.finished(
            Plan("/elsewhere", "tiny", (64, 64), 1, 8, "none", seed=1), finished / "run"
        )


ROWS = [
    results.AccuracyRow("base", "random", [0.7, 0.72], [0.69, 0.7], (4.0, 2.0),
                        (8_000_000, 2_000_000), 840_000_000, 3_000_000, (1, 1)),
    results.AccuracyRow("unet_mnv2", "mobilenet_v2_1.0", [0.6], [0.6], (16.0, 8.0),
                        (32_000_000, 8_000_000), 9_000_000_000, 8_000_000, (1, 2)),
]  # fmt: skip


def test_accuracy_table():
    """mIoU is the mean of the seeds; their spread is 2 points."""
    _, _, one, other = results.table(ROWS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (one, other)]
    assert cells[0] == (
        "base random 2 0.7100 2.00 0.6950 4.00 2.00 8.00 2.00 840 3,000,000 1 1".split()
    )
    assert cells[1][:5] == ["unet_mnv2", "mobilenet_v2_1.0", "1", "0.6000", ""]


def test_plot():
    """Per net a line from float32 to int8 and two markers, at the means of the seeds in %."""
    figure = results.plot(ROWS)
    (axes,) = figure.axes
    wanted = [([4, 2], [71, 69.5]), ([16, 8], [60, 60])]
    drawn = [[list(values) for values in line.get_data()] for line in axes.lines]
    assert drawn[::3] == [[x, pytest.approx(y)] for x, y in wanted]
    assert [(x, y) for x, y in drawn[1:3]] == [
        ([4], [pytest.approx(71)]),
        ([2], [pytest.approx(69.5)]),
    ]
    assert [line.get_fillstyle() for line in axes.lines[1:3]] == ["full", "none"]
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.texts] == ["base", "unet_mnv2"]
    colours = [line.get_color() for line in axes.lines[::3]]
    assert colours == [results.FAMILY_COLOUR, results.PEER_COLOUR]
    assert results.colour("course160") == results.OTHER_COLOUR
    assert svg(figure) == svg(results.plot(ROWS))


@pytest.mark.slow
def test_accuracy_command(tmp_path):
    """Trains, converts, scores and times; a killed command resumes with the same result."""
    write_shapes(tmp_path / "shapes", train=32, val=6)
    out = tmp_path / "out"
    args = ["--data", tmp_path / "shapes", "--nets", "tiny", "fast_scnn", "--epochs", "2",
            "--size", "64", "64"]  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.accuracy", *map(str, args), "--out", str(out)]
    killed = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (out / "fast_scnn-seed0" / "checkpoints" / "last.npz").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert (out / "tiny-seed0" / "last.weights.h5").exists()
    assert not (out / "fast_scnn-seed0" / "last.weights.h5").exists()
    first = run(
        "benchmarks.accuracy", *args, "--out", out, "--json", tmp_path / "1.json", check=True
    )
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.tflite")}
    again = run(
        "benchmarks.accuracy", *args, "--out", out, "--json", tmp_path / "2.json", check=True
    )
    assert len(times) == 4 and times == {p: p.stat().st_mtime_ns for p in times}
    assert "epoch" not in again.stderr and (out / "accuracy.svg").read_text().startswith("<svg")
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert [row["miou"] for row in one] == [row["miou"] for row in two]
    assert [line.split()[1] for line in first.stdout.splitlines()[2:]] == ["tiny", "fast_scnn"]
    score = run("export", "score", out / "tiny-seed0" / "float32.tflite", "--data",
                tmp_path / "shapes", "--json", check=True)  # fmt: skip
    assert json.loads(score.stdout)["miou"] == one[0]["miou"][0]
    run("benchmarks.accuracy", *args, "--out", tmp_path / "uninterrupted", check=True)
    for net in ("tiny-seed0", "fast_scnn-seed0"):
        histories = [history(folder / net) for folder in (out, tmp_path / "uninterrupted")]
        assert histories[0] == histories[1] and len(histories[0]) == 2
    other = run("benchmarks.accuracy", *args, "--epochs", "3", "--out", out)
    assert other.returncode == 2 and "epochs is 2 there, 3 here" in other.stderr
