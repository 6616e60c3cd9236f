"""Alternative ways to train: the average and the second loss by hand, and the command."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from commands import run

from benchmarks import ideas
from data.shapes import write_shapes
from segnet import blocks, loop
from segnet.build import build
from segnet.losses import segmentation_loss
from segnet.plan import Plan
from segnet.presets import preset
from segnet.run import load_run


class Counter:
    """A model with one variable, which is 1 after the first step and 2 after the second."""

    def __init__(self):
        self.variables = [keras.Variable(0.0)]

    def train_on_batch(self):
        self.variables[0].assign(self.variables[0] + 1)
        return 0.5


def test_average_by_hand():
    """The decay is 1/10 at the first step, 2/11 at the second and 3/12 at the third."""
    model, seen = Counter(), []
    with ideas.averaged():
        hooks = loop.Hooks(
            None, lambda: seen.append(float(model.variables[0])), keep=lambda *_: None
        )
        training = loop.Loop(model, None, None, 1, hooks)
    for training.step in range(3):
        assert model.train_on_batch() == 0.5
    one = 9 / 10 * 1
    two = 2 / 11 * one + 9 / 11 * 2
    three = 3 / 12 * two + 9 / 12 * 3
    training.hooks.evaluate()
    assert seen == [pytest.approx(three)] and float(model.variables[0]) == 3
    assert loop.Loop.__name__ == "Loop"


def test_random_deconvolutions_are_not_smooth():
    def phases():
        kernel = build(keras, preset("base"), (64, 64), 2).get_layer("deconv1").get_weights()[0]
        return np.abs(kernel - kernel[:1, :1]).max()

    assert phases() == 0
    with ideas.random_deconvolutions():
        assert phases() > 0.01
    assert blocks.smooth_taps.__module__ == "segnet.blocks"


def test_second_loss_by_hand(tmp_path):
    """The loss is that of the logits plus 0.4 times that of the logits at stride 16."""
    model = build(keras, preset("base"), (64, 64), 3)
    kept = []
    with ideas.auxiliary():
        plan = Plan("shapes", "base", (64, 64))
        loop.compile_model(model, plan, 10, None, segmentation_loss)
        hooks = loop.Hooks(None, None, keep=lambda *args: kept.append(args))
        training = loop.Loop(model, plan, tmp_path, 1, hooks)
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    truth = rng.integers(0, 3, (1, 64, 64)).astype(np.uint8)
    both = np.asarray(training.model(image))
    assert np.allclose(both[..., :3], np.asarray(model(image)), atol=1e-6)
    loss = segmentation_loss(keras, 3)
    one, other = (float(loss(truth, part)) for part in (both[..., :3], both[..., 3:]))
    total = float(training.model.compute_loss(None, truth, both))
    assert total == pytest.approx(one + 0.4 * other)
    training.hooks.keep(training.model, tmp_path, "best")
    assert kept == [(model, tmp_path, "best")]


def test_checkerboard_by_hand():
    """One class has 0 and 2 in alternating columns, the other 5 everywhere.

    The standard deviations from pixel to pixel are 1 and 0; that of the means 1 and 5 is 2.
    """
    image = keras.Input((64, 96, 3))
    columns = np.tile(np.arange(96) % 2 * 2.0, (1, 64, 1))[..., None]
    logits = np.concatenate([columns, np.full_like(columns, 5)], -1).astype(np.float32)
    logits[:, :10] = 99  # a border
    model = keras.Model(image, keras.layers.Lambda(lambda _: keras.ops.array(logits))(image))
    assert ideas.checkerboard(model) == pytest.approx(0.5 / 2)


def test_only_random_deconvolutions_start_with_a_checkerboard():
    def found():
        keras.utils.set_random_seed(0)
        return ideas.checkerboard(build(keras, preset("base"), (640, 640), 3))

    assert found() < 1e-3
    with ideas.random_deconvolutions():
        assert found() > 0.1


def test_table():
    score = ideas.Score
    found = {
        "as-it-is": [score(0.6, 0.0, 0.1), score(0.62, 0.0, 0.2)],
        "average": [score(0.61, 0.5, 0.25), score(0.63, 0.5, 0.25)],
    }
    assert ideas.table(found).splitlines()[2:] == [
        "| the recipe | 0.6000, 0.6200 | 0.6100 |  | 0.0 | 15.0 |",
        "| average of the weights (EMA) | 0.6100, 0.6300 | 0.6200 | +1.00 | 50.0 | 25.0 |",
    ]


@pytest.mark.slow
def test_command(tmp_path):
    """The saved model of a run with a second loss is `base` without the second output."""
    write_shapes(tmp_path / "shapes", train=16, val=4)
    args = ["--data", tmp_path / "shapes", "--out", tmp_path / "out", "--size", 64, 64,
            "--epochs", 2, "--seeds", 0, "--ideas", "auxiliary", "growing"]  # fmt: skip
    ends = [run("benchmarks.ideas", *args) for _ in range(2)]
    assert [end.returncode for end in ends] == [0, 0], ends[0].stderr
    assert len(ends[0].stdout.splitlines()) == 4 and ends[0].stdout == ends[1].stdout
    assert "epoch 2" in ends[0].stderr and "epoch" not in ends[1].stderr
    model, _, _ = load_run(tmp_path / "out" / "auxiliary-seed0")
    assert "auxiliary" not in {layer.name for layer in model.layers}
    _, second, _ = load_run(tmp_path / "out" / "growing-seed0")
    _, first, _ = load_run(tmp_path / "out" / "growing-seed0-first")
    assert (first.size, second.size, first.epochs, second.epochs) == ((32, 32), (64, 64), 1, 1)
