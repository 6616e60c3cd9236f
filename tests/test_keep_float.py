"""The search for layers of an int8 file to keep in float."""

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

GAIN = {"a": 0.01, "b": 0.05, "c": 0.0, "d": 0.02, "e": 0.0, "f": 0.5}


def search(enough):
    """(layers kept, number of evaluations) if each layer in float adds its GAIN to mIoU."""
    measured = []

    def measure(layers):
        measured.append(layers)
        return 0.6 + sum(GAIN[name] for name in layers)

    kept = search_layers(measure, [(name,) for name in GAIN], enough, lambda _: None)
    return kept, len(measured)


def test_nothing_to_repair():
    assert search(0.6) == ((), 1)


def test_the_layer_with_the_largest_gain_comes_first():
    # One round tries a to e; b gains most, and 0.65 is enough.
    assert search(0.65) == (("b",), 1 + 5)


def test_layers_are_added_until_it_is_enough():
    # In the second round the sixth layer takes the place of b, and it gains most.
    assert search(0.7) == (("b", "f"), 1 + 5 + 5)


def test_evaluations_are_limited():
    kept, evaluations = search(9.9)
    assert evaluations <= MOST
    assert set(kept) <= set(GAIN) and len(kept) == len(set(kept))


def test_the_search_stops_when_nothing_gains():
    assert search_layers(lambda _: 0.5, [("a",), ("a", "b")], 0.9, lambda _: None) == ()


def test_a_layer_is_grouped_with_those_that_feed_it():
    import keras

    from segnet.build import build
    from segnet.presets import preset

    graph = deploy(build(keras, preset("tiny"), (64, 64), 3), preset("tiny"), (64, 64), 3)
    names = ("conv1", "conv2_dw", "conv3_pw_crelu", "conv3_pw", "deconv2_refine_dw")
    # conv1 takes the bytes; CReLU has no weights; deconvolution and skip feed the refinement.
    assert candidates(graph, [{"layer": name} for name in names]) == [
        ("conv2_dw",),
        ("conv3_dw", "conv3_pw"),
        ("deconv2", "conv3_pw", "deconv2_refine_dw"),
    ]


def test_a_layer_with_one_far_wider_channel_comes_first(finished):
    """One channel of conv3_dw has a thousand times the range; the graph is not equalised."""
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
    errors = layer_errors(content, graph, BY_NAME["int8"], trained.samples)
    assert ("conv3_dw", "conv3_pw") in candidates(graph, errors)[:2]


@pytest.mark.slow
def test_the_gate_checks_the_result_of_repair(finished, tmp_path, monkeypatch):
    """A layer that gains is kept in float; the gate still refuses the file."""
    run = shutil.copytree(finished / "run", tmp_path / "run")
    monkeypatch.setattr(make.keep_float, "candidates", lambda *_: [("deconv5",)])
    found = iter([0.9, 0.5, 0.6])  # Keras, the int8 file, the file with deconv5 in float
    monkeypatch.setattr(make, "subset_miou", lambda *_: next(found))
    choices = Choices(lower=DEFAULT.name, max_drop=-1.0, repair=True)
    _, (refusal,) = export_run(run, "int8", choices)
    numbers = read_json(run / "export/int8.refused.json")
    assert "miou_drop is" in refusal and numbers["keep_float"] == ["deconv5"]
