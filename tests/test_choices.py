"""The options of an export: recipes, lowerings, layers kept in float, fine-tuning."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from cli import Refusal
from export import make, recipes, tune
from export.graph import lowering
from export.graph.deploy import DECONV, Lowering
from export.make import Choices, export_run
from export.tflite import inspect
from files import held
from segnet import compress

LOOSE = Choices(max_drop=0.05)  # judged on six small images


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    return shutil.copytree(finished / "run", tmp_path_factory.mktemp("choices") / "run")


def test_options_of_fine_tuning(run):
    trained = make.load(run)
    for kind in ("sparse", "qat"):
        fine = tune.fine_plan(trained, kind, 0.5, 3)
        assert (fine.epochs, fine.sparsity) == (3, 0.5 if kind == "sparse" else 0.7)
        assert fine.steps == 2  # 16 images in batches of 8
    assert tune.fine_plan(trained, "sparse", 0.7, None).epochs == compress.KINDS["sparse"].epochs
    with pytest.raises(Refusal, match=r"sparsity is 1.5; needed: between 0 and 1"):
        tune.fine_plan(trained, "sparse", 1.5, None)


@pytest.mark.slow
def test_layers_kept_in_float(run):
    """The last deconvolution is float, the rest int8; there is still one delegate partition."""
    choices = Choices(max_drop=0.05, keep_float=("deconv5",))
    reports, refused = export_run(run, "int8", choices)
    assert refused == []
    kept = inspect.float_operators((run / "export/int8/model.tflite").read_bytes())
    assert {o.layer.removeprefix("after ") for o in kept if o.name == "CONV_2D"} == {"deconv5"}
    assert reports["int8"]["float_operators"] == [] and reports["int8"]["partitions"] == 1
    with pytest.raises(Refusal, match=r"no layer 'deconv55'. Did you mean deconv5\?"):
        export_run(run, "int8", Choices(max_drop=0.05, keep_float=("deconv55",)))
    with pytest.raises(Refusal, match=r"the first layer cannot stay in float"):
        export_run(run, "int8", Choices(max_drop=0.05, keep_float=("conv1",)))


@pytest.mark.parametrize("choices", [{"keep_float": ("deconv5",)}, {"repair": True}])
def test_int8_full_keeps_nothing_in_float(run, choices):
    """Its output would be float."""
    why = "int8-full: it is for processors without float arithmetic, so that no layer can stay"
    with pytest.raises(Refusal, match=why):
        export_run(run, "int8-full", Choices(max_drop=0.05, **choices))


def milliseconds(**times):
    """As `latency_rounds`: three rounds, the second twice as slow for all, as under load."""
    return lambda runtimes: {
        each: np.array([1.0, 2.0, 1.0]) * times[each.deconv] for each in runtimes
    }


@pytest.mark.parametrize(
    ("times", "sizes", "wanted"),
    [
        ((1.0, 0.96, 0.99), (9, 9, 9), "depth_to_space"),  # no other saves 5 %
        ((1.0, 0.94, 0.99), (9, 9, 9), "transpose_conv"),
        ((1.0, 0.94, 0.93), (9, 8, 9), "transpose_conv"),  # equally fast, and smaller
        ((1.0, 0.94, 0.80), (9, 8, 9), "late_bias"),
    ],
)
def test_auto_replaces_the_lowering_of_the_table_by_a_faster_one(times, sizes, wanted, monkeypatch):
    names = dict(zip(DECONV, times, strict=True))
    monkeypatch.setattr(lowering, "latency_rounds", milliseconds(**names))
    monkeypatch.setattr(lowering, "Runtime", lambda content: content)
    supported = {
        Lowering(deconv=name): b"x" * size for name, size in zip(DECONV, sizes, strict=True)
    }
    costs = {}
    assert lowering.fastest(supported, costs, "float").deconv == wanted
    assert costs == {f"signs+{name}": time for name, time in names.items()}


@pytest.mark.slow
def test_one_recipe_that_cannot_be_made_leaves_the_others(run, monkeypatch):
    right = make.to_tflite

    def fails(graph, recipe=recipes.BY_NAME["float32"], *args):
        if recipe.name == "float16":
            raise Refusal("this layer cannot be converted")
        return right(graph, recipe, *args)

    monkeypatch.setattr(make, "to_tflite", fails)
    reports, refused = export_run(run, "float16,float32", LOOSE)
    assert list(reports) == ["float32"]
    assert refused == ["float16: this layer cannot be converted"]
    with pytest.raises(Refusal, match="float16: this layer cannot be converted"):
        export_run(run, "float16", LOOSE)


def test_a_run_in_use_is_refused_by_name(run):
    """By another export, or by a training that goes on."""
    with held(run), pytest.raises(Refusal, match=r"run is in use by process \d+ \(.*\)"):
        export_run(run, choices=LOOSE)


def test_another_backend_is_refused(run, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(Refusal, match="needs TensorFlow, but KERAS_BACKEND is jax: unset it"):
        export_run(run, choices=LOOSE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_drop", float("nan")), ("max_drop", float("inf")), ("sparsity", 0.0),
        ("sparsity", float("nan")), ("epochs", 0), ("epochs", -1),
    ],
)  # fmt: skip
def test_options_out_of_range(name, value):
    with pytest.raises(Refusal, match=f"--{name.replace('_', '-')} is {value}; needed: "):
        Choices(**{name: value})
