"""A latency budget, what operators cost, and other widths of a preset."""

import dataclasses
import json
import math
import os
import random
import sys
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from conftest import train

from cli import Refusal, Verdict
from data.shapes import write_shapes
from export.budget import costs, fit
from export.budget.work import Work, of_file, of_rows, running
from export.graph.convert import to_tflite
from export.graph.deploy import deploy
from export.recipes import BY_NAME
from files import write_json
from segnet.build import build
from segnet.cost import stages, total
from segnet.plan import Plan
from segnet.presets import FAMILIES, PRESETS, at_width, preset
from segnet.rows import Preset, Sep, mobilenet_v1, mobilenet_v2
from segnet.run import compare
from segnet.weights import copy_encoder

SIDE = 64
# benchmark_model of android_aarch64, as it prints; only names and numbers are ours.
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


SMALL = costs.Probe(preset("tiny").encoder, (8, 8, 8, 8), 2, "concat", (SIDE, SIDE), 3)


@pytest.fixture(scope="module")
def beginnings():
    """(recipe, how many operators, file) of a small probe."""
    return list(costs.beginnings_of(SMALL))


@pytest.fixture(scope="module")
def small(beginnings):
    """Recipe to whole file."""
    return {recipe: content for recipe, _, content in beginnings}


# What a network does


@pytest.mark.parametrize("recipe", costs.RECIPES)
def test_rows_tell_what_the_file_does(small, recipe):
    told = of_rows(costs.network(SMALL), SMALL.size, SMALL.classes, recipe)
    assert [work[1:] for work in told] == [work[1:] for work in of_file(small[recipe])]


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
    told = of_rows(rows, (160, 160), 3, "float32")
    assert [w[1:] for w in told] == [w[1:] for w in of_file(file_of(rows, (160, 160), 3))]


# What operators cost


def test_coefficients_are_found_again():
    """Times made of known costs, some of them nothing; a table fitted to them has the same."""
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
    """4 weights for each of a million numbers: 4 Mmac at 2 ms, 1 ms for the operator; 16 channels
    of which 10 are there: 6.4 Mmac at 0.5."""
    table = {
        "pointwise": {"Mmac": 2.0, "operators": 1.0},
        "stem": {"Mmac, channels in 16s": 0.5},
    }
    works = [Work("a", "pointwise", 1, 10**6, 10, 4), Work("b", "stem", 1, 10**6, 10, 4)]
    assert costs.predict(table, works) == pytest.approx([9.0, 3.2])
    with pytest.raises(Refusal, match="know no MEAN, which is c; they know pointwise, stem"):
        costs.predict(table, [Work("c", "MEAN", 1, 1, 1)])


def test_probes_can_be_built_and_have_what_presets_do():
    known = set()
    for probe in costs.PROBES:
        known |= {w.kind for w in of_rows(costs.network(probe), probe.size, probe.classes, "int8")}
    for rows in fit.networks().values():
        assert {w.kind for w in of_rows(rows, (64, 64), 2, "int8")} <= known


def test_log_of_a_phone(small, tmp_path, monkeypatch):
    """The second file failed: it has no time. Long times are printed with an exponent."""
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
    with pytest.raises(Refusal, match=r"times of 1 files .* needed: 2 or more"):
        costs.read_log(log, tmp_path)


def test_this_machine_is_measured_once(small, monkeypatch):
    asked = []
    sample = (of_file(small["float32"]), 2.0)
    monkeypatch.setattr(costs, "measured", lambda: asked.append(1) or {"float32": [sample]})
    first, second = costs.of_this_machine(), costs.of_this_machine()
    assert first == second and len(asked) == 1
    predicted = costs.predict(first["recipes"]["float32"], sample[0])
    assert sum(predicted) == pytest.approx(2.0)


def test_measured_here(beginnings, monkeypatch):
    """A sample each file, its work the file's; the whole probe takes longer than its beginning."""
    monkeypatch.setattr(costs, "PROBES", (SMALL,))
    monkeypatch.setattr(costs, "beginnings_of", lambda probe: beginnings)
    found = costs.measured()
    for recipe in costs.RECIPES:
        works = [of_file(content) for name, _, content in beginnings if name == recipe]
        assert [sample[0] for sample in found[recipe]] == works
        times = [ms for _, ms in found[recipe]]
        assert 0 < times[0] < times[-1]


def test_a_probe_is_cut_at_its_end_and_before(beginnings):
    for recipe in costs.RECIPES:
        whole = len(of_rows(costs.network(SMALL), SMALL.size, SMALL.classes, recipe))
        counts = [count for name, count, _ in beginnings if name == recipe]
        assert counts == [*range(whole % costs.EVERY or costs.EVERY, whole + 1, costs.EVERY)]
    assert all(len(running(content)) == count for _, count, content in beginnings)


def test_probes_to_a_phone_and_its_log_to_a_table(beginnings, monkeypatch, tmp_path, capsys):
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
    assert f"float32: {len(names) // 2} files, fitted within" in capsys.readouterr().out
    table = costs.read_table(out)
    assert table["machine"] == "A" and [*table["recipes"]] == ["float32", "int8"]


# The proposal


def candidate(name, size, macs, ms):
    work = Work("conv1", "stem", 1, math.prod(size), 1, macs // math.prod(size))
    return fit.Candidate(name, 0.0, size, [work], [ms])


def test_sizes_keep_the_ratio():
    """4:3; 1.5 steps of 32 behind the comma round to the even number."""
    landscape = fit.sizes((180, 240))
    assert landscape == [(64, 96), (96, 128), (128, 160), (160, 224), (192, 256)]
    assert fit.sizes((240, 180)) == [size[::-1] for size in landscape]
    assert fit.sizes((50, 50)) == [(64, 64)]
    assert fit.sizes((3000, 3000))[-1] == (512, 512)


def test_order_by_the_smaller_share():
    """Shares of side and width, the root of Mmac a pixel (the most: 1600):
    "thin" 1 and 0.25, "flat" 0.25 and 1, "even" 0.5 and 0.5, "more" 0.5 and 0.75."""
    full = (128, 128)
    found = [
        candidate("thin", full, 100 * 128**2, 9.0),
        candidate("flat", (32, 32), 1600 * 32**2, 9.0),
        candidate("even", (64, 64), 400 * 64**2, 9.0),
        candidate("more", (64, 64), 900 * 64**2, 9.5),
        candidate("more", (32, 32), 900 * 32**2, 3.0),
        candidate("over", full, 1600 * 128**2, 30.0),
    ]
    names = [each.preset for each in fit.ranked(found, 10.0)]
    assert names == ["more", "even", "thin", "flat"]  # the last two alike, in their order
    assert fit.ranked(found, 9.0)[0].preset == "even"
    with pytest.raises(Verdict, match="2 ms or less: the fastest is --preset more --size 32 32 wi"):
        fit.ranked(found, 2.0)


def test_networks_are_ours_with_published_weights():
    found = fit.networks()
    assert {name for name, _ in found} == {"nano", "small", "base", "large"}
    for (name, width), rows in found.items():
        family, own = rows.pretrained
        assert not width or width == own in FAMILIES[family][1]
        assert rows == preset(name, width)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "shapes"
    write_shapes(folder, train=3, val=1)
    return folder


@pytest.fixture
def table(tmp_path):
    """A millisecond each 10 Mmac, nothing else costs; float32 alone."""
    kinds = ("stem", "pointwise", "convolution", "depthwise")
    others = ("CONCATENATION", "DEPTH_TO_SPACE", "MUL", "ADD", "PAD", "STRIDED_SLICE")
    ms = {kind: {"Mmac": 0.1} for kind in kinds} | {kind: {} for kind in others}
    path = tmp_path / "costs.json"
    write_json(path, {"schema": 1, "machine": "Phone", "recipes": {"float32": ms}})
    return path


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, words)])
    import_module("export.__main__").main()


def test_fit_command(shapes, table, monkeypatch, capsys):
    words = ("fit", "--data", shapes, "--costs", table, "--latency-ms", 5)
    command(monkeypatch, *words, "--json")
    first, *others = json.loads(capsys.readouterr().out)
    assert first["ms"] == pytest.approx(first["macs"] / 1e7) and first["ms"] <= 5
    assert sum(first["stages"].values()) == pytest.approx(first["ms"])
    rows = preset(first["preset"], first["width"] or 0)
    assert [*first["stages"]] == [row.name for row in (*rows.encoder, *rows.decoder)]
    assert len(others) <= fit.SHOWN - 1
    command(monkeypatch, *words)
    out = capsys.readouterr().out
    assert f"python train.py --data {shapes} --run runs/NAME {first['flags']}\n" in out
    assert "float32 on Phone, one thread" in out


def test_fit_refusals(shapes, table, monkeypatch):
    words = ["fit", "--data", shapes, "--costs", table, "--latency-ms"]
    with pytest.raises(Verdict, match="no network takes 1e-06 ms"):
        command(monkeypatch, *words, 1e-6)
    with pytest.raises(Refusal, match=r"nothing of int8, which qat8 is as fast as; .* float32"):
        command(monkeypatch, *words, 5, "--recipe", "qat8")
    with pytest.raises(Refusal, match="type --size 64 96"):
        command(monkeypatch, *words, 5, "--size", 65, 97)
    table.write_text("[]")
    with pytest.raises(Refusal, match=r"no table of costs. python -m export costs --out"):
        command(monkeypatch, *words, 5)
    with pytest.raises(Refusal, match="--log needs --probes DIR"):
        command(monkeypatch, "costs", "--log", "x")
    with pytest.raises(Refusal, match="Type --out FILE"):
        command(monkeypatch, "costs")


# Encoders and decoders that neither a preset nor a probe has.
STRANGE = {
    name: costs.network(costs.Probe(encoder, decoder, kernel, join, (0, 0), 0))
    for name, encoder, decoder, kernel, join in (
        ("slim v1", mobilenet_v1(0.25), (24, 16, 8, 8), 2, "concat"),
        ("slim v2", mobilenet_v2(0.35), (48, 32, 16, 8), 2, "concat"),
        ("even v2", mobilenet_v2(1.3), (64, 64, 32, 32), 2, "sum"),
        ("kernel 4", mobilenet_v1(1.0), (80, 40, 24, 16), 4, "concat"),
    )
}


@pytest.mark.slow
@pytest.mark.alone
def test_unseen_configurations():
    """Of 10, timed interleaved with the probes and predicted by the table fitted to these, the
    median error is within 15 %, the worst within 30 %; in float32 and in int8."""
    from export.tflite.runtime import Runtime, latency_ms

    nets, rng = {**fit.networks(), **STRANGE}, random.Random(0)
    sizes = [(h, w) for h in range(96, 385, 32) for w in range(96, 513, 32) if h * w <= 384 * 384]
    ours = rng.sample([*fit.networks()] * 6, 6)
    asked = [(net, rng.choice(sizes), rng.randrange(2, 13)) for net in [*ours, *STRANGE]]
    files = {
        (net, recipe): file_of(nets[net[0]], *net[1:], recipe)
        for net in asked
        for recipe in costs.RECIPES
    }
    probes = dict(costs.probe_files())
    runtimes = {key: Runtime(content) for key, content in {**files, **probes}.items()}
    times = latency_ms(runtimes, costs.ROUNDS)
    table = costs.table("here", costs.samples_of(probes, times))
    for recipe in costs.RECIPES:
        off = []
        for net in asked:
            works, ms = of_rows(nets[net[0]], *net[1:], recipe), times[net, recipe]["least"]
            off.append(sum(costs.predict(table["recipes"][recipe], works)) / ms - 1)
            print(f"{recipe} {net}: {ms:.2f} ms, {off[-1]:+.1%}")
        print(f"{recipe}: median {np.median(np.abs(off)):.1%}, worst {max(map(abs, off)):.1%}")
        assert np.median(np.abs(off)) <= 0.15 and max(map(abs, off)) <= 0.30


# Other widths


def test_other_width_of_mobilenet_v1():
    base, narrow = preset("base"), preset("base", 0.25)
    assert [row.out for row in narrow.encoder] == [row.out for row in mobilenet_v1(0.25)[:-1]]
    flags = [[(r.name, r.stride, isinstance(r, Sep) and r.crelu) for r in p.encoder]
             for p in (base, narrow)]  # fmt: skip
    assert flags[0] == flags[1]
    assert narrow.decoder == base.decoder and narrow.pretrained == ("MobileNet", 0.25)
    assert preset("base", base.pretrained[1]) == base
    assert preset("base", 0.6).pretrained is None


def test_other_width_of_mobilenet_v2():
    full = Preset(mobilenet_v2(1.0)[:14], (), "", ("MobileNetV2", 1.0))
    assert at_width(full, 0.35, "small").encoder == mobilenet_v2(0.35)[:14]


def test_weights_of_the_width_fit():
    """keras.applications' own net of that width."""
    rows = preset("base", 0.25)
    net = keras.applications.MobileNet((64, 64, 3), 0.25, include_top=False, weights=None)
    source = {layer.name: layer.get_weights() for layer in net.layers if layer.weights}
    model = build(keras, rows, (64, 64), 2)
    assert copy_encoder(model, rows, source, "keras") == "weights: 13 of 13 encoder rows from keras"


def test_cost_of_another_width(monkeypatch, capsys):
    words = "segnet cost --preset base --size 64 64 --classes 2 --json".split()
    told = []
    for more in ([], ["--width", "0.25"]):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        import_module("segnet.__main__").main()
        told.append(json.loads(capsys.readouterr().out)["parameters"])
    rows = [preset("base"), preset("base", 0.25)]
    assert told == [total(stages(each, (64, 64), 2)).parameters for each in rows]
    assert told[1] < told[0] / 2


def test_no_other_width():
    with pytest.raises(Refusal, match="tiny has no other widths: its row conv1 is of no MobileNet"):
        Plan("DIR", "tiny", width=0.5).network()
    with pytest.raises(Refusal, match="no other widths: its row conv5_1"):
        preset("mobileseg80_sum", 0.5)
    with pytest.raises(Refusal, match="--width is -1; needed: above 0"):
        Plan("DIR", width=-1)


def test_a_run_of_before_there_were_widths_goes_on(tmp_path):
    plan = json.loads(json.dumps(dataclasses.asdict(Plan("DIR"))))
    (tmp_path / "manifest.json").write_text('{"dataset": {}}')
    old = {name: value for name, value in plan.items() if name != "width"}
    (tmp_path / "plan.json").write_text(json.dumps(old))
    compare(tmp_path, plan, {})
    with pytest.raises(Refusal, match=r"width is 0\.0 there, 0\.5 here"):
        compare(tmp_path, plan | {"width": 0.5}, {})


@pytest.mark.slow
def test_train_resume_and_export_at_another_width(finished, tmp_path):
    from export.make import Choices, export_run

    run = tmp_path / "run"
    words = (finished / "shapes", run, "--preset", "base", "--width", "0.25")
    for said in ("weights: random", "finished already"):
        end = train(*words)
        assert end.returncode == 0 and said in end.stderr + end.stdout, end.stderr
    _, refused = export_run(run, choices=Choices(lower="signs+depth_to_space", max_drop=1.0))
    assert not refused
    kit = Path(run, "export/float32")
    assert json.loads((kit / "contract.json").read_text())["preset"] == "base at width 0.25"
    told = of_rows(preset("base", 0.25), (64, 64), 4, "float32")
    found = of_file((kit / "model.tflite").read_bytes())
    assert [work[1:] for work in found] == [work[1:] for work in told]
