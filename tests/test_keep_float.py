"""Layers that stay in float: which, and how few."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from export import make
from export.graph.convert import to_tflite
from export.graph.deploy import DEFAULT, deploy
from export.graph.keep_float import MOST, candidates
from export.graph.keep_float import search as search_layers
from export.make import Choices, export_run
from export.proof.layer_errors import layer_errors
from export.recipes import BY_NAME
from files import read_json

WORTH = {"a": 0.01, "b": 0.05, "c": 0.0, "d": 0.02, "e": 0.0, "f": 0.5}


def search(enough):
    """A network of layers that are worth so much; (what was kept, how often it was measured)."""
    asked = []

    def measure(layers):
        asked.append(layers)
        return 0.6 + sum(WORTH[name] for name in layers)

    return search_layers(measure, [(name,) for name in WORTH], enough, lambda _: None), len(asked)


def test_nothing_to_repair():
    assert search(0.6) == ((), 1)


def test_the_layer_that_gains_most_first():
    # One round tries a to e, of which b gains most; 0.65 is enough.
    assert search(0.65) == (("b",), 1 + 5)


def test_as_many_as_it_takes():
    # Without b the sixth layer is among the tried, and it is worth most.
    assert search(0.7) == (("b", "f"), 1 + 5 + 5)


def test_no_more_evaluations_than_said():
    kept, asked = search(9.9)
    assert asked <= MOST
    assert set(kept) <= set(WORTH) and len(kept) == len(set(kept))


def test_stops_when_nothing_gains():
    assert search_layers(lambda _: 0.5, [("a",), ("a", "b")], 0.9, lambda _: None) == ()


def test_a_layer_goes_with_those_that_feed_it():
    import keras

    from segnet.build import build
    from segnet.presets import preset

    graph = deploy(build(keras, preset("tiny"), (64, 64), 3), preset("tiny"), (64, 64), 3)
    names = ("conv1", "conv2_dw", "conv3_pw_crelu", "conv3_pw", "deconv2_refine_dw")
    # conv1 takes bytes; CReLU has no weights; a refinement sees the deconvolution and the skip.
    assert candidates(graph, [{"layer": name} for name in names]) == [
        ("conv2_dw",),
        ("conv3_dw", "conv3_pw"),
        ("deconv2", "conv3_pw", "deconv2_refine_dw"),
    ]


def test_the_layer_that_was_spoilt_is_suspected_first(finished):
    """One channel of conv3_dw is a thousand times the others, and nothing equalises it."""
    trained = make.load(finished / "run")
    graph = trained.graph(DEFAULT)
    depthwise, pointwise = graph.get_layer("conv3_dw"), graph.get_layer("conv3_pw")
    factor = np.ones(24, np.float32)
    factor[0] = 1000
    kernel, bias = depthwise.get_weights()
    depthwise.set_weights([kernel * factor[:, None], bias * factor + (factor > 1)])
    kernel, bias = pointwise.get_weights()
    pointwise.set_weights([kernel / factor[:, None], bias])
    content = to_tflite(graph, BY_NAME["int8"], trained.calibration)
    errors = layer_errors(content, graph, trained.calibration[:4])
    assert ("conv3_dw", "conv3_pw") in candidates(graph, errors)[:2]


@pytest.mark.slow
def test_repair_tries_and_the_gate_judges(finished, tmp_path, monkeypatch):
    """A layer that gains stays in float; the gate refuses the file all the same."""
    run = shutil.copytree(finished / "run", tmp_path / "run")
    monkeypatch.setattr(make.keep_float, "candidates", lambda *_: [("deconv5",)])
    found = iter([0.9, 0.5, 0.6])  # Keras, the int8 file, the file with deconv5 in float
    monkeypatch.setattr(make, "subset_miou", lambda *_: next(found))
    choices = Choices(lower=DEFAULT.name, max_drop=-1.0, repair=True)
    _, (said,) = export_run(run, "int8", choices)
    numbers = read_json(run / "export/int8.refused.json")
    assert "miou_drop is" in said and numbers["keep_float"] == ["deconv5"]
