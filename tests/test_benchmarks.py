"""Benchmarks: what is counted, what is shown, and one run of each command end to end."""

import json
import os
import re
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from benchmarks import accuracy, latency
from cli import Refusal
from data.shapes import write_shapes
from export.graph.convert import to_tflite
from export.graph.deploy import deploy, lowering
from export.report.plot import svg
from export.tflite import runtime
from export.tflite.inspect import macs
from export.tflite.runtime import Runtime
from segnet import cost
from segnet.build import build
from segnet.plan import Plan
from segnet.presets import preset

ROOT = Path(__file__).parent.parent
PEERS = ROOT.parent / "shared" / "peers"


def run(module, *words, **options):
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def layers():
    """A file of each kind of layer that counts, on 8x8 pixels."""
    k = keras.layers
    x = keras.Input((8, 8, 3), batch_size=1)
    y = k.Conv2D(16, 3, 2, "same")(x)
    y = k.DepthwiseConv2D(3, padding="same")(y)
    y = k.Conv2DTranspose(4, 4, 2, "same")(y)
    y = k.Dense(5)(k.Flatten()(y))
    return to_tflite(keras.Model(x, y))


@pytest.fixture(scope="module")
def dear():
    """A file that takes far longer than `layers`."""
    layer = keras.layers.Conv2D(256, 7)
    return to_tflite(keras.Sequential([keras.Input((128, 128, 8), batch_size=1), layer]))


# Counting


def test_macs_by_hand(layers):
    """4x4 pixels come out of the first, go into the deconvolution; 8x8x4 numbers into the last."""
    assert macs(layers) == (
        4 * 4 * 9 * 3 * 16 + 4 * 4 * 9 * 16 + 4 * 4 * 16 * 16 * 4 + 8 * 8 * 4 * 5
    )


def test_macs_of_a_preset_are_those_of_its_rows():
    """tiny's deconvolutions have kernel 2, so as 1x1 convolutions they cost the same."""
    rows, size = preset("tiny"), (64, 96)
    graph = deploy(build(keras, rows, size, 3), rows, size, 3, lowering("signs+depth_to_space"))
    assert macs(to_tflite(graph)) == cost.total(cost.stages(rows, size, 3)).macs


@pytest.mark.skipif(not PEERS.is_dir(), reason=f"{PEERS} is not there")
def test_macs_of_published_files():
    """As the folder's README counted them, in millions."""
    table = (PEERS / "README.md").read_text()
    wanted = dict(re.findall(r"^\| (\S+\.tflite) \|.*\| ([\d.]+) \|$", table, re.MULTILINE))
    assert len(wanted) == 12
    for name, millions in wanted.items():
        assert macs((PEERS / name).read_bytes()) / 1e6 == pytest.approx(float(millions), abs=0.05)


# Latency


def test_times_are_interleaved_and_of_warm_caches(monkeypatch):
    """By a clock of milliseconds that a run moves on: 9 and 4 when another net ran before, one less
    with each run until 7 and 2; the second round is 0.5 slower."""
    clock, last, ran = [0.0], [None, 0], []

    class Net:
        def __init__(self, cold):
            self.cold, self.interpreter = cold, self

        def invoke(self):
            last[:] = [self, last[1] + 1 if last[0] is self else 0]
            slower = 0.5 * (len(ran) >= 6)
            clock[0] += 1e-3 * (self.cold - min(last[1], 2) + slower)
            ran.append(self.cold)

    monkeypatch.setattr(runtime.time, "perf_counter", lambda: clock[0])
    found = runtime.latency_ms({"large": Net(9), "small": Net(4)}, 2)
    assert ran == [9, 9, 9, 4, 4, 4] * 2
    assert found["large"] == pytest.approx({"least": 7.0, "median": 7.25, "p90": 7.45})
    assert found["small"] == pytest.approx({"least": 2.0, "median": 2.25, "p90": 2.45})


def test_rows_of_the_fastest_form(layers, dear):
    """Of two forms of one net the dearer is left out; what a row says is of the one that stays."""
    contents = {("net", "float32", "dear"): dear, ("net", "float32", "cheap"): layers}
    (row,), (held,) = latency.measure(contents, 3)
    assert (row.name, row.recipe, row.size_bytes) == ("net", "float32", len(layers))
    assert (
        row.gmac == macs(layers) / 1e9
        and row.partitions == Runtime(layers).partitioning()["partitions"]
    )
    assert row.speed == pytest.approx(1e3 * row.gmac / row.latency_ms)
    if held is not None:
        # 122x122x256 floats come out of the dear one, of the cheap one a few thousand.
        assert held < 122 * 122 * 256 * 4 < latency.peak_memory(dear)


def test_rows_stay_in_the_order_asked(layers, dear):
    """Whichever form of either recipe is the fastest one."""
    contents = {
        ("net", "float32", "one"): dear, ("net", "int8", "one"): layers,
        ("net", "float32", "other"): layers, ("net", "int8", "other"): dear,
    }  # fmt: skip
    rows, _ = latency.measure(contents, 3)
    assert [(row.name, row.recipe) for row in rows] == [("net", "float32"), ("net", "int8")]


def test_latency_table():
    """By hand: 2 GMAC in 10 ms are 200 GMAC/s, half of the stack's 400 and 0.8 of the encoder's."""
    rows = [
        latency.Row("base", "float32", 10.0, 2.0, 4_000_000, 1),
        latency.Row(latency.STACK, "float32", 5.0, 2.0, 1_000_000, 1),
        latency.Row(latency.encoder_name(1.0), "float32", 4.0, 1.0, 3_000_000, 1),
    ]
    lines = latency.table(rows, [5_500_000, None, 0], {"base": 1.0}).splitlines()
    assert lines[1].split() == "10.00 1.00 2000.0 200.0 0.50 0.80 5.5 4.00 1 float32 base".split()
    assert lines[2].split()[:7] == "5.00 0.50 2000.0 400.0 1.00 - -".split()


def test_what_a_file_computes_in(layers):
    assert latency.computes_in(layers) == "float32"


def test_unknown_peer():
    with pytest.raises(Refusal, match=r"no folder or peer 'unet'\. Did you mean unet_mnv2\?"):
        latency.collect([], [], ["unet"], (64, 64), 2)


def test_latency_command(tmp_path, layers):
    (tmp_path / "net.tflite").write_bytes(layers)
    path, out = tmp_path / "net.tflite", tmp_path / "rows.json"
    words = [path, path, "--peers", tmp_path, "--rounds", "9", "--json", out]
    end = run("benchmarks.latency", *words, check=True)
    rows = json.loads(out.read_text())
    assert list(rows[0]) == "name recipe latency_ms gmac size_bytes partitions".split()
    named = [(row["name"], row["recipe"]) for row in rows]
    stack = [(latency.STACK, "float32"), (latency.STACK, "int8")]
    assert named == [(str(path), "float32"), *stack]
    assert rows[1]["gmac"] == 8 * 512 * 512 * 32 * 32 / 1e9
    assert end.stdout.splitlines()[1].split()[1] == "1.00" and "9 interleaved" in end.stdout
    assert run("benchmarks.latency").returncode == 2


@pytest.mark.slow
def test_latency_of_presets_and_peers(tmp_path):
    words = ["--presets", "tiny", "--peers", "fast_scnn", "--size", "64", "96", "--rounds", "3"]
    run("benchmarks.latency", *words, "--json", tmp_path / "rows.json", check=True)
    rows = json.loads((tmp_path / "rows.json").read_text())
    names = ["tiny", "fast_scnn", latency.STACK, latency.encoder_name(0.5)]
    assert [(r["name"], r["recipe"]) for r in rows] == [
        (name, recipe) for name in names for recipe in ("float32", "int8")
    ]
    wanted = cost.total(cost.stages(preset("tiny"), (64, 96), 2)).macs
    # As a depthwise 1x1 convolution CReLU multiplies once a channel: 48, 96 and 128 at strides 8,
    # 16 and 32, 16 in the decoder at stride 4. Either lowering may be the faster one here.
    signs = 48 * 8 * 12 + 96 * 4 * 6 + 128 * 2 * 3 + 16 * 16 * 24
    assert {row["gmac"] for row in rows[:2]} <= {wanted / 1e9, (wanted + signs) / 1e9}
    assert all(row["size_bytes"] > 0 and row["latency_ms"] > 0 for row in rows)


# Accuracy


def words(tmp_path, **changes):
    asked = {"data": "DIR", "out": tmp_path, "nets": ["base", "fast_scnn"], "size": (64, 64)}
    asked |= {"epochs": 2, "seeds": [0, 3], "weights_folder": None}
    return Namespace(**asked | changes)


def test_a_run_for_every_net_and_seed(tmp_path):
    found = accuracy.plans(words(tmp_path))
    assert [
        path.name for path in found
    ] == "base-seed0 base-seed3 fast_scnn-seed0 fast_scnn-seed3".split()
    plan = found[tmp_path / "fast_scnn-seed3"]
    assert plan == Plan("DIR", "fast_scnn", (64, 64), 2, weights="none", seed=3)
    everything = accuracy.plans(words(tmp_path, nets=None))
    assert tmp_path / "unet_mnv2-seed0" in everything and tmp_path / "tiny-seed0" not in everything


def test_first_weights_are_there_before_anything_is_trained(tmp_path):
    asked = words(tmp_path, weights_folder=tmp_path, nets=["deeplab_mnv2", "fast_scnn"])
    with pytest.raises(Refusal, match=r"mobilenet_v2_1\.0_no_top\.h5 is missing"):
        accuracy.plans(asked)
    (tmp_path / "mobilenet_v2_1.0_no_top.h5").touch()
    found = accuracy.plans(asked)
    assert found[tmp_path / "deeplab_mnv2-seed0"].weights == str(
        tmp_path / "mobilenet_v2_1.0_no_top.h5"
    )
    assert found[tmp_path / "fast_scnn-seed0"].weights == "none"
    with pytest.raises(Refusal, match=r"no net 'bas'\. Did you mean base\?"):
        accuracy.plans(words(tmp_path, nets=["bas"]))


def test_a_finished_run_may_come_from_elsewhere_but_not_of_another_plan(finished):
    """The fixture's run: tiny, 64x64, one epoch, batch 8."""
    plan = Plan("/elsewhere", "tiny", (64, 64), 1, 8, "none")
    assert accuracy.finished(plan, finished / "run")
    assert not accuracy.finished(plan, finished / "no run")
    with pytest.raises(Refusal, match="of another plan: seed is 0 there, 1 here"):
        accuracy.finished(
            Plan("/elsewhere", "tiny", (64, 64), 1, 8, "none", seed=1), finished / "run"
        )


ROWS = [
    accuracy.Row("base", "random", [0.7, 0.72], [0.69, 0.7], (4.0, 2.0), (8_000_000, 2_000_000),
                 840_000_000, 3_000_000, (1, 1)),
    accuracy.Row("unet_mnv2", "mobilenet_v2_1.0", [0.6], [0.6], (16.0, 8.0),
                 (32_000_000, 8_000_000), 9_000_000_000, 8_000_000, (1, 2)),
]  # fmt: skip


def test_accuracy_table():
    """Means of the seeds; the spread, largest less least, is 2 points."""
    _, _, one, other = accuracy.table(ROWS).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (one, other)]
    assert cells[0] == (
        "base random 2 0.7100 2.00 0.6950 4.00 2.00 8.00 2.00 840 3,000,000 1 1".split()
    )
    assert cells[1][:5] == ["unet_mnv2", "mobilenet_v2_1.0", "1", "0.6000", ""]


def test_plot():
    """A line a net from float32 to int8 and a mark for each, the means of the seeds in %."""
    figure = accuracy.plot(ROWS)
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
    assert [words.get_text() for words in axes.texts] == ["base", "unet_mnv2"]
    assert [line.get_color() for line in axes.lines[::3]] == [accuracy.OURS, accuracy.PEER]
    assert accuracy.colour("course160") == accuracy.OTHER
    assert svg(figure) == svg(accuracy.plot(ROWS))


@pytest.mark.slow
def test_accuracy_command(tmp_path):
    """A preset and a peer: trained, converted, scored, timed; killed and continued to the same."""
    write_shapes(tmp_path / "shapes", train=32, val=6)
    out = tmp_path / "out"
    asked = ["--data", tmp_path / "shapes", "--nets", "tiny", "fast_scnn", "--epochs", "2",
             "--size", "64", "64"]  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.accuracy", *map(str, asked), "--out", str(out)]
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
        "benchmarks.accuracy", *asked, "--out", out, "--json", tmp_path / "1.json", check=True
    )
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.tflite")}
    again = run(
        "benchmarks.accuracy", *asked, "--out", out, "--json", tmp_path / "2.json", check=True
    )
    assert len(times) == 4 and times == {p: p.stat().st_mtime_ns for p in times}
    assert "epoch" not in again.stderr and (out / "accuracy.svg").read_text().startswith("<svg")
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert [row["miou"] for row in one] == [row["miou"] for row in two]
    assert [line.split()[1] for line in first.stdout.splitlines()[2:]] == ["tiny", "fast_scnn"]
    score = run("export", "score", out / "tiny-seed0" / "float32.tflite", "--data",
                tmp_path / "shapes", "--json", check=True)  # fmt: skip
    assert json.loads(score.stdout)["miou"] == one[0]["miou"][0]
    run("benchmarks.accuracy", *asked, "--out", tmp_path / "whole", check=True)
    for net in ("tiny-seed0", "fast_scnn-seed0"):
        histories = [
            (folder / net / "history.csv").read_text() for folder in (out, tmp_path / "whole")
        ]
        assert histories[0] == histories[1] and len(histories[0].splitlines()) == 3
    other = run("benchmarks.accuracy", *asked, "--epochs", "3", "--out", out)
    assert other.returncode == 2 and "epochs is 2 there, 3 here" in other.stderr
