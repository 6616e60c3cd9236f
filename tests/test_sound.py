"""Valid exports, none of which the gate may refuse; test_sabotage has invalid ones."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from conftest import train

from data.shapes import write_shapes
from export.make import export_run
from export.recipes import RECIPES

PRESETS = ("tiny", "small", "base", "course160")
UNTRAINED = tuple(recipe.name for recipe in RECIPES if not recipe.training)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid") / "shapes"
    write_shapes(folder, train=160, val=16)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_no_valid_export_is_refused(shapes, tmp_path, preset):
    run = tmp_path / preset
    end = train(shapes, run, "--preset", preset, "--epochs", "12", "--learning-rate", "0.005")
    assert end.returncode == 0, end.stderr
    reports, refused = export_run(run, ",".join(UNTRAINED))
    assert refused == [] and tuple(reports) == UNTRAINED
