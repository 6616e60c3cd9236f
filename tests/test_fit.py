"""Proposals of a network for a latency budget."""

import json
import math
import os
import random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from test_costs import command, file_of

from cli import Refusal, Verdict
from data.shapes import write_shapes
from export.budget import costs, fit, rest
from export.budget.work import Work, of_rows
from files import write_json
from segnet.presets import FAMILIES, preset
from segnet.rows import mobilenet_v1, mobilenet_v2


def candidate(name, size, macs, ms):
    work = Work("conv1", "stem", 1, math.prod(size), 1, macs // math.prod(size))
    return fit.Candidate(name, 0.0, size, [work], [ms])


def test_sizes_keep_the_ratio():
    """4:3; half steps of 32 are rounded to the even multiple."""
    landscape = fit.sizes((180, 240))
    assert landscape == [(64, 96), (96, 128), (128, 160), (160, 224), (192, 256)]
    assert fit.sizes((240, 180)) == [size[::-1] for size in landscape]
    assert fit.sizes((50, 50)) == [(64, 64)]
    assert fit.sizes((3000, 3000))[-1] == (512, 512)


def test_candidates_are_ordered_by_their_smaller_ratio():
    """Ratios of side and width (the root of MAC per pixel, at most 1600) to their maximum:
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
    assert names == ["more", "even", "thin", "flat"]  # the last two are equal and keep their order
    assert fit.ranked(found, 9.0)[0].preset == "even"
    with pytest.raises(Verdict, match="2 ms or less: the fastest is --preset more --size 32 32 wi"):
        fit.ranked(found, 2.0)


def test_networks_have_published_weights():
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
    """A cost table for float32 only: one millisecond per 10 Mmac, nothing else costs."""
    kinds = ("stem", "pointwise", "convolution", "depthwise")
    others = ("CONCATENATION", "DEPTH_TO_SPACE", "MUL", "ADD", "PAD", "STRIDED_SLICE")
    ms = {kind: {"Mmac": 0.1} for kind in kinds} | {kind: {} for kind in others}
    path = tmp_path / "costs.json"
    write_json(path, {"schema": 1, "machine": "Phone", "recipes": {"float32": ms}})
    return path


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


def test_a_budget_for_the_frame(shapes, table, monkeypatch, capsys):
    """The rest is 1 ms for inputs of 64 rows and 4 ms for larger ones; networks may take 4 or 1."""
    asked = []

    def rest_ms(sizes, classes, recipe, frame):
        asked.append((classes, recipe, frame))
        return {size: 1.0 if size[0] == 64 else 4.0 for size in sizes}

    monkeypatch.setattr(rest, "rest_ms", rest_ms)
    monkeypatch.setattr(costs, "of_this_machine", lambda: costs.read_table(table))
    words = ("fit", "--data", shapes, "--latency-ms", 5, "--frame", 1280, 720)
    command(monkeypatch, *words, "--json")
    found = json.loads(capsys.readouterr().out)
    for each in found:
        assert each["rest_ms"] == (1 if each["size"][0] == 64 else 4)
        assert each["frame_ms"] == pytest.approx(each["ms"] + each["rest_ms"])
        assert each["frame_ms"] <= 5
    assert asked == [(4, "float32", [1280, 720])]
    command(monkeypatch, *words)
    first = found[0]
    out = capsys.readouterr().out
    assert "a frame of 1280x720 (width x height) to its overlay\n" in out
    columns = [f"{first[name]:8.2f} ms" for name in ("frame_ms", "ms", "rest_ms")]
    assert f"{'  '.join(columns)}  {first['macs'] / 1e6:7.1f} MMAC  {first['flags']}\n" in out
    with pytest.raises(Verdict, match=r"with 1\.\d\d ms, 1.00 of them besides the network. Type a"):
        command(monkeypatch, *words[:4], 1, *words[5:])


def test_the_rest_of_a_frame_is_measured():
    sizes = [(64, 96), (256, 320)]
    for recipe in ("float32", "int8-full"):
        found = rest.rest_ms(sizes, 5, recipe, (640, 480))
        assert list(found) == sizes and 0 < found[64, 96] < found[256, 320] < 100


def test_fit_refusals(shapes, table, monkeypatch):
    words = ["fit", "--data", shapes, "--costs", table, "--latency-ms"]
    with pytest.raises(Verdict, match="no network takes 1e-06 ms"):
        command(monkeypatch, *words, 1e-6)
    with pytest.raises(
        Refusal, match=r"latency of qat8 cannot be predicted: .* no int8, only float32"
    ):
        command(monkeypatch, *words, 5, "--recipe", "qat8")
    with pytest.raises(Refusal, match="type --size 64 96"):
        command(monkeypatch, *words, 5, "--size", 65, 97)
    with pytest.raises(Refusal, match="--frame measures this machine, but --costs may be another"):
        command(monkeypatch, *words, 5, "--frame", 1280, 720)
    with pytest.raises(Refusal, match="--frame is 1280 0; needed: width and height, 1 to 10000"):
        command(monkeypatch, *words, 5, "--frame", 1280, 0)
    table.write_text("[]")
    with pytest.raises(Refusal, match=r"not a cost table. python -m export costs --out"):
        command(monkeypatch, *words, 5)
    with pytest.raises(Refusal, match="--log needs --probes DIR"):
        command(monkeypatch, "costs", "--log", "x")
    with pytest.raises(Refusal, match="Type --out FILE"):
        command(monkeypatch, "costs")


# Encoders and decoders of neither a preset nor a probe.
UNSEEN = {
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
    """Errors of 10 predicted latencies, in float32 and in int8: median within 15 %, worst 30 %.

    The networks are timed interleaved with the probes to which the table is fitted.
    """
    from export.tflite.runtime import Runtime, latency_ms

    nets, rng = {**fit.networks(), **UNSEEN}, random.Random(0)
    sizes = [(h, w) for h in range(96, 385, 32) for w in range(96, 513, 32) if h * w <= 384 * 384]
    ours = rng.sample([*fit.networks()] * 6, 6)
    chosen = [(net, rng.choice(sizes), rng.randrange(2, 13)) for net in [*ours, *UNSEEN]]
    files = {
        (net, recipe): file_of(nets[net[0]], *net[1:], recipe)
        for net in chosen
        for recipe in costs.RECIPES
    }
    probes = dict(costs.probe_files())
    runtimes = {key: Runtime(content) for key, content in {**files, **probes}.items()}
    times = latency_ms(runtimes, costs.ROUNDS)
    table = costs.table("here", costs.samples_of(probes, times))
    for recipe in costs.RECIPES:
        off = []
        for net in chosen:
            works, ms = of_rows(nets[net[0]], *net[1:], recipe), times[net, recipe]["least"]
            off.append(sum(costs.predict(table["recipes"][recipe], works)) / ms - 1)
            print(f"{recipe} {net}: {ms:.2f} ms, {off[-1]:+.1%}")
        print(f"{recipe}: median {np.median(np.abs(off)):.1%}, worst {max(map(abs, off)):.1%}")
        assert np.median(np.abs(off)) <= 0.15 and max(map(abs, off)) <= 0.30
