"""Presets at other widths of the encoder."""

import dataclasses
import json
import os
import sys
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
from conftest import change_best, learn, train

from cli import Refusal
from export.budget.work import of_file, of_rows
from segnet.build import build
from segnet.cost import stages, total
from segnet.plan import Plan
from segnet.presets import at_width, preset
from segnet.rows import Preset, Sep, mobilenet_v1, mobilenet_v2
from segnet.run import Origin, compare
from segnet.weights import copy_encoder


def test_mobilenet_v1_at_another_width():
    base, narrow = preset("base"), preset("base", 0.25)
    assert [row.out for row in narrow.encoder] == [row.out for row in mobilenet_v1(0.25)[:-1]]
    flags = [[(r.name, r.stride, isinstance(r, Sep) and r.crelu) for r in p.encoder]
             for p in (base, narrow)]  # fmt: skip
    assert flags[0] == flags[1]
    assert narrow.decoder == base.decoder and narrow.pretrained == ("MobileNet", 0.25)
    assert preset("base", base.pretrained[1]) == base
    assert preset("base", 0.6).pretrained is None


def test_mobilenet_v2_at_another_width():
    full = Preset(mobilenet_v2(1.0)[:14], (), "", ("MobileNetV2", 1.0))
    assert at_width(full, 0.35, "small").encoder == mobilenet_v2(0.35)[:14]


def test_published_weights_fit_the_width():
    """The network of keras.applications at this width."""
    rows = preset("base", 0.25)
    net = keras.applications.MobileNet((64, 64, 3), 0.25, include_top=False, weights=None)
    source = {layer.name: layer.get_weights() for layer in net.layers if layer.weights}
    model = build(keras, rows, (64, 64), 2)
    assert copy_encoder(model, rows, source, "keras") == "weights: 13 of 13 encoder rows from keras"


def test_cost_of_another_width(monkeypatch, capsys):
    words = "segnet cost --preset base --size 64 64 --classes 2 --json".split()
    parameters = []
    for more in ([], ["--width", "0.25"]):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        import_module("segnet.__main__").main()
        parameters.append(json.loads(capsys.readouterr().out)["parameters"])
    rows = [preset("base"), preset("base", 0.25)]
    assert parameters == [total(stages(each, (64, 64), 2)).parameters for each in rows]
    assert parameters[1] < parameters[0] / 2


def test_presets_without_other_widths():
    with pytest.raises(Refusal, match="tiny has no other widths: its row conv1 is not one of Mobi"):
        Plan("DIR", "tiny", width=0.5).network()
    with pytest.raises(Refusal, match="no other widths: its row conv5_1"):
        preset("mobileseg80_sum", 0.5)
    with pytest.raises(Refusal, match="--width is -1; needed: above 0"):
        Plan("DIR", width=-1)


def test_a_run_from_before_there_were_widths_can_be_resumed(tmp_path):
    plan = json.loads(json.dumps(dataclasses.asdict(Plan("DIR"))))
    dataset = {"classes": ["a", "b"], "colours": [[0, 0, 0], [1, 1, 1]], "fingerprint": "0"}
    manifest = {"command": [], "versions": {}, "dataset": dataset}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    origin = Origin(dataset, "", lambda before: [])
    old = {name: value for name, value in plan.items() if name != "width"}
    (tmp_path / "plan.json").write_text(json.dumps(old))
    compare(tmp_path, plan, origin)
    with pytest.raises(Refusal, match=r"width is 0\.0 there, 0\.5 here"):
        compare(tmp_path, plan | {"width": 0.5}, origin)
    changed = origin._replace(changes=lambda before: [f"{len(before['classes'])} were here"])
    with pytest.raises(Refusal, match=r"DIR has changed since .* began: 2 were here. Restore it"):
        compare(tmp_path, plan, changed)


@pytest.mark.slow
def test_train_resume_and_export_at_another_width(finished, tmp_path):
    from export.make import Choices, export_run

    run = tmp_path / "run"
    words = (finished / "shapes", run, "--preset", "base", "--width", "0.25")
    for said in ("weights: random", "finished already"):
        end = train(*words)
        assert end.returncode == 0 and said in end.stderr + end.stdout, end.stderr
    change_best(run, learn)  # one epoch predicts one class, which is refused
    _, refused = export_run(run, choices=Choices(lower="signs+depth_to_space", max_drop=1.0))
    assert not refused
    kit = Path(run, "export/float32")
    assert json.loads((kit / "contract.json").read_text())["preset"] == "base at width 0.25"
    wanted = of_rows(preset("base", 0.25), (64, 64), 4, "float32")
    found = of_file((kit / "model.tflite").read_bytes())
    assert [work[1:] for work in found] == [work[1:] for work in wanted]
