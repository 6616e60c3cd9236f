"""The work of operators, and cost tables fitted to the latencies of probes."""

import os
import random
import sys
from importlib import import_module

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from cli import Refusal
from export.budget import costs, fit
from export.budget.work import Work, of_file, of_rows, running
from export.graph.convert import to_tflite
from export.graph.deploy import deploy
from export.recipes import BY_NAME
from segnet.build import build
from segnet.presets import PRESETS, preset

SIDE = 64
# The output of benchmark_model for android_aarch64, with our own names and numbers.
LOG = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/probes/{name}]
INFO: Loaded model /data/local/tmp/probes/{name}
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478
INFO: count=50 first=52162 curr=49785 min=49088 max=68105 avg={us} std=607
INFO: Inference timings in us: Init: 119515, First inference: 87112, Warmup (avg): 58147.4, \
Inference (avg): {us}
INFO: Memory footprint delta from the start of the tool (MB): init=55.4961 overall=55.4961
"""


def file_of(rows, size, classes, recipe="float32"):
    graph = deploy(build(keras, rows, size, classes), rows, size, classes)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    return to_tflite(graph, BY_NAME[recipe], noise if recipe == "int8" else None)


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, words)])
    import_module("export.__main__").main()


SMALL = costs.Probe(preset("tiny").encoder, (8, 8, 8, 8), 2, "concat", (SIDE, SIDE), 3)


@pytest.fixture(scope="module")
def beginnings():
    """(recipe, number of operators, file) of the beginnings of a small probe."""
    return list(costs.beginnings_of(SMALL))


@pytest.fixture(scope="module")
def small(beginnings):
    """Recipe to the complete file."""
    return {recipe: content for recipe, _, content in beginnings}


# The work of a network


@pytest.mark.parametrize("recipe", costs.RECIPES)
def test_rows_give_the_work_of_the_file(small, recipe):
    works = of_rows(costs.network(SMALL), SMALL.size, SMALL.classes, recipe)
    assert [work[1:] for work in works] == [work[1:] for work in of_file(small[recipe])]


def test_work_by_hand():
    """The first rows of tiny at 64x64: a stem to 16 channels, a depthwise to 16x16 pixels."""
    stem, depthwise, point, *_ = of_rows(preset("tiny"), (SIDE, SIDE), 3, "float32")
    assert stem == ("conv1", "stem", 64 * 64 * 3, 32 * 32 * 16, 16, 27)
    assert depthwise == ("conv2_dw", "depthwise", 32 * 32 * 16, 16 * 16 * 16, 16, 9)
    assert point == ("conv2_pw", "pointwise", 16 * 16 * 16, 16 * 16 * 24, 24, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_rows_of_every_preset(name):
    rows = PRESETS[name]
    works = of_rows(rows, (160, 160), 3, "float32")
    assert [w[1:] for w in works] == [w[1:] for w in of_file(file_of(rows, (160, 160), 3))]


# Cost tables


def test_the_fit_recovers_coefficients():
    """Latencies made from known coefficients, some of them zero, give these coefficients."""
    true = {
        "pointwise": {"Mmac": 0.02, "million numbers written": 0.5},
        "depthwise": {"million pixels written": 3.0, "operators": 0.01},
        "ADD": {"million numbers read": 0.25},
    }
    rng = random.Random(0)

    def work():
        channels = rng.randrange(8, 200)
        made = channels * rng.randrange(100, 9999)
        kind = rng.choice([*true])
        taps = 0 if kind == "ADD" else rng.randrange(1, 500)
        return Work("layer", kind, rng.randrange(1000, 10**6), made, channels, taps)

    files = [[work() for _ in range(20)] for _ in range(100)]
    found = costs.fit([(works, sum(costs.predict(true, works))) for works in files])
    for kind, wanted in true.items():
        kept = {name: ms for name, ms in found[kind].items() if ms > 1e-6}
        assert kept == pytest.approx(wanted, rel=1e-3)


def test_prediction_by_hand():
    """4 weights for each of a million values: 4 Mmac at 2 ms, and 1 ms for the operator. With 10
    channels rounded up to 16: 6.4 Mmac at 0.5 ms."""
    table = {
        "pointwise": {"Mmac": 2.0, "operators": 1.0},
        "stem": {"Mmac, channels in 16s": 0.5},
    }
    works = [Work("a", "pointwise", 1, 10**6, 10, 4), Work("b", "stem", 1, 10**6, 10, 4)]
    assert costs.predict(table, works) == pytest.approx([9.0, 3.2])
    with pytest.raises(Refusal, match=r"no coefficients for MEAN, .* of c; .* pointwise, stem"):
        costs.predict(table, [Work("c", "MEAN", 1, 1, 1)])


def test_probes_have_all_operators_of_the_presets():
    known = set()
    for probe in costs.PROBES:
        known |= {w.kind for w in of_rows(costs.network(probe), probe.size, probe.classes, "int8")}
    for rows in fit.networks().values():
        assert {w.kind for w in of_rows(rows, (64, 64), 2, "int8")} <= known


def test_log_of_a_phone(small, tmp_path, monkeypatch):
    """The second file failed and has no latency. A long latency is printed with an exponent."""
    monkeypatch.setattr(costs, "FEWEST", 2)
    names = ["float32-01-004.tflite", "float32-01-008.tflite", "float32-02-004.tflite"]
    for name in names:
        (tmp_path / name).write_bytes(small["float32"])
    good, failed, long = (
        LOG.format(name=name, us=us)
        for name, us in zip(names, ("63743.2", "1", "1.23457e+06"), strict=True)
    )
    failed = failed.split("INFO: Loaded")[0] + "ERROR: Benchmarking failed.\n"
    log = tmp_path / "log.txt"
    log.write_text(good + failed + long)
    samples = costs.read_log(log, tmp_path)
    assert [*samples] == ["float32"]
    assert [ms for _, ms in samples["float32"]] == pytest.approx([63.7432, 1234.57])
    assert samples["float32"][0][0] == of_file(small["float32"])
    log.write_text(good + failed)
    with pytest.raises(Refusal, match=r"times of only 1 files .* needed: 2 or more"):
        costs.read_log(log, tmp_path)


def test_this_machine_is_measured_once(small, monkeypatch):
    calls = []
    sample = (of_file(small["float32"]), 2.0)
    monkeypatch.setattr(costs, "measured", lambda: calls.append(1) or {"float32": [sample]})
    first, second = costs.of_this_machine(), costs.of_this_machine()
    assert first == second and len(calls) == 1
    predicted = costs.predict(first["recipes"]["float32"], sample[0])
    assert sum(predicted) == pytest.approx(2.0)


def test_measured_here(beginnings, monkeypatch):
    """One sample per file, with its works; the whole probe takes longer than its beginning."""
    monkeypatch.setattr(costs, "PROBES", (SMALL,))
    monkeypatch.setattr(costs, "beginnings_of", lambda probe: beginnings)
    found = costs.measured()
    for recipe in costs.RECIPES:
        works = [of_file(content) for name, _, content in beginnings if name == recipe]
        assert [sample[0] for sample in found[recipe]] == works
        times = [ms for _, ms in found[recipe]]
        assert 0 < times[0] < times[-1]


def test_a_probe_is_cut_every_few_operators(beginnings):
    for recipe in costs.RECIPES:
        whole = len(of_rows(costs.network(SMALL), SMALL.size, SMALL.classes, recipe))
        counts = [count for name, count, _ in beginnings if name == recipe]
        assert counts == [*range(whole % costs.EVERY or costs.EVERY, whole + 1, costs.EVERY)]
    assert all(len(running(content)) == count for _, count, content in beginnings)


def test_a_table_from_a_phone(beginnings, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(costs, "FEWEST", 2)
    monkeypatch.setattr(costs, "PROBES", (SMALL,))
    monkeypatch.setattr(costs, "beginnings_of", lambda probe: beginnings)
    probes, log, out = tmp_path / "probes", tmp_path / "log.txt", tmp_path / "costs.json"
    command(monkeypatch, "costs", "--probes", probes)
    names = [f"{recipe}-01-{count:03}.tflite" for recipe, count, _ in beginnings]
    assert {path.name for path in probes.iterdir()} == {*names}
    log.write_text("".join(LOG.format(name=name, us=1500) for name in names))
    capsys.readouterr()
    command(monkeypatch, "costs", "--probes", probes, "--log", log, "--machine", "A", "--out", out)
    assert f"float32: {len(names) // 2} files, error of the fit: " in capsys.readouterr().out
    table = costs.read_table(out)
    assert table["machine"] == "A" and [*table["recipes"]] == ["float32", "int8"]
