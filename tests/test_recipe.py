"""How a network is trained: learning rates, weight decay, the teacher, what is not augmented."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT, history
from test_resume import arrays
from trained import killed, small, thirteen

from cli import Refusal
from data import batches
from data.dataset import read_dataset
from files import read_json
from segnet.build import build
from segnet.loop import compile_model, learning_rate
from segnet.presets import preset
from segnet.run import read_run, sha256
from train import train

__all__ = ["thirteen"]  # fixtures


@pytest.fixture(scope="module")
def teacher(thirteen, tmp_path_factory):
    """A finished run. To be looked at, not written to."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    train(small(thirteen, epochs=5, batch=13), run)
    return run


@pytest.fixture(scope="module")
def network():
    return build(keras, preset("tiny"), (64, 64), 3)


def test_learning_rates_by_hand(network):
    """4 steps of warm-up from 1 % of the peak 0.1, then half a cosine over 16 steps to 0."""
    compile_model(network, small("x", learning_rate=0.1, warmup_steps=4), 20)
    rates = []
    for step in (0, 1, 2, 3, 4, 8, 12, 16, 20):
        network.optimizer.iterations.assign(step)
        rates.append(learning_rate(network.optimizer))
    rising = [0.001 + 0.099 * step / 4 for step in range(4)]
    falling = [0.05 * (1 + np.cos(np.pi * part)) for part in (0, 1 / 4, 1 / 2, 3 / 4, 1)]
    assert rates == pytest.approx([*rising, *falling], abs=1e-7)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 20), (3, 1), (5000, 200)])
def test_warm_up_is_a_fifth_at_most(network, steps, warmup):
    """The peak is where the warm-up ends."""
    compile_model(network, small("x", learning_rate=0.1), steps)
    network.optimizer.iterations.assign(warmup)
    assert learning_rate(network.optimizer) == pytest.approx(0.1)


def test_weight_decay_is_on_kernels_only(network):
    """With gradients of 0 a step of AdamW is the decay alone: 1 - rate x decay times the value."""
    keras.utils.set_random_seed(0)
    for weight in network.trainable_variables:
        weight.assign(np.full(weight.shape, 2.0))
    compile_model(network, small("x", learning_rate=0.1, weight_decay=0.5, warmup_steps=1), 100)
    network.optimizer.iterations.assign(1)
    zeros = [np.zeros(weight.shape, np.float32) for weight in network.trainable_variables]
    network.optimizer.apply(zeros, network.trainable_variables)
    decayed = {"kernel": 2 * (1 - 0.1 * 0.5), "gamma": 2, "beta": 2, "bias": 2}
    names = {weight.name for weight in network.trainable_variables}
    assert names == decayed.keys()
    for weight in network.trainable_variables:
        np.testing.assert_allclose(np.asarray(weight), decayed[weight.name], 1e-6)


@pytest.mark.slow
def test_validation_is_not_augmented(thirteen, tmp_path, monkeypatch):
    """In a training, every validation image is evaluated as it is; training images are not."""
    dataset = read_dataset(thirteen)
    seen, real = [], batches.augment

    def noted(image, *rest):
        seen.append(image.tobytes())
        return real(image, *rest)

    monkeypatch.setattr(batches, "augment", noted)
    plain = next(batches.evaluation_pairs(dataset, "val", (64, 64), 3))[0]
    evaluated, predict = [], keras.Model.predict_on_batch
    monkeypatch.setattr(
        keras.Model, "predict_on_batch", lambda *a: evaluated.append(a[1]) or predict(*a)
    )
    train(small(thirteen, epochs=1, augment=2.0), tmp_path / "run")
    assert np.array_equal(evaluated[0], plain)
    images = {split: {batches.read_pair(pair, dataset)[0].tobytes()
                      for pair in dataset.pairs(split)} for split in ("train", "val")}  # fmt: skip
    assert images["train"] == set(seen) and not images["val"] & set(seen)


@pytest.mark.slow
def test_sheets_are_drawn_every_fifth_epoch_and_at_the_end(teacher, thirteen, tmp_path):
    assert [path.name for path in (teacher / "samples").iterdir()] == ["epoch0005.png"]
    train(small(thirteen, epochs=6, batch=13), tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run/samples").iterdir())
    assert names == ["epoch0005.png", "epoch0006.png"]


@pytest.mark.slow
def test_a_teacher_from_end_to_end(teacher, thirteen, tmp_path, monkeypatch):
    """It adds its loss, its hash is recorded, and a killed run continues to the same weights.

    A cross-entropy with probabilities is at least their entropy, so the loss is larger from the
    first step on, where the students' weights are the same.
    """
    run, parts = tmp_path / "run", tmp_path / "parts"
    plan = small(thirteen, teacher=f"{teacher}/")
    train(plan, run)
    train(small(thirteen), tmp_path / "alone")
    assert read_run(run)[0].teacher == str(teacher)
    assert read_run(run)[1]["teacher"] == sha256(teacher / "best.weights.h5")
    assert read_run(tmp_path / "alone")[1]["teacher"] == ""
    losses = [float(history(folder)[0]["loss"]) for folder in (run, tmp_path / "alone")]
    assert losses[0] > losses[1] + 0.3
    killed(monkeypatch, plan, parts, "Loop.save", 1)
    train(plan, parts)
    one, two = (arrays(folder / "last.weights.h5") for folder in (run, parts))
    assert all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.slow
def test_a_teacher_that_has_changed(teacher, thirteen, tmp_path, monkeypatch):
    other, run = shutil.copytree(teacher, tmp_path / "teacher"), tmp_path / "run"
    plan = small(thirteen, teacher=str(other))
    killed(monkeypatch, plan, run, "Loop.save", 1)
    shutil.copy(other / "last.weights.h5", other / "best.weights.h5")
    (other / "best.weights.h5").write_bytes((other / "best.weights.h5").read_bytes() + b"\0")
    with pytest.raises(Refusal, match=r"best weights of .*teacher have changed since .*run began"):
        train(plan, run)
    (other / "best.weights.h5").unlink()
    with pytest.raises(Refusal, match=r"teacher/best\.weights\.h5 is missing"):
        train(plan, run)


@pytest.mark.slow
def test_two_plans_begun_at_once(thirteen, tmp_path):
    """One trains; the other is refused, and nothing of the first is touched."""
    words = "--preset tiny --size 64 64 --epochs 2 --batch 6 --weights none --run".split()
    command = [sys.executable, "train.py", "--data", str(thirteen), *words, str(tmp_path / "run")]
    both = [
        subprocess.Popen([*command, "--seed", seed], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for seed in "12"
    ]
    ends = [(process.communicate()[1], process.returncode) for process in both]
    assert sorted(code for _, code in ends) == [0, 2]
    (refused,) = [said for said, code in ends if code == 2]
    assert "run is in use by process " in refused or "is a run of another plan" in refused
    winner = "12"[[code for _, code in ends].index(0)]
    assert read_json(tmp_path / "run/plan.json")["seed"] == int(winner)
    assert len(history(tmp_path / "run")) == 2
