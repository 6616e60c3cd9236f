"""What a training reports: times, rates, losses, and no control characters where none belong."""

import csv
import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import PLAN, ROOT, open_terminal, read

from data.dataset import read_dataset
from data.images import read_mask
from segnet import clock, loop
from segnet.clock import Clock, duration
from segnet.plan import Plan
from train import evaluate


def test_the_estimate_leaves_out_the_first_step(monkeypatch):
    """It takes 5 s, the nine after it 0.1 s each: 90 more take 9 s."""
    now = [0.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    measured, found = Clock(), []
    for seconds in (5.0, *[0.1] * 14):
        now[0] += seconds
        found.append(measured.step(90))
    assert found[9] == pytest.approx(9.0)
    assert [value for place, value in enumerate(found) if place != 9] == [None] * 14


def test_no_estimate_of_what_ends_at_once():
    measured = Clock()
    assert [measured.step(9) for _ in range(20)] == [None] * 20


def test_seconds_of_an_epoch_and_what_is_left(monkeypatch):
    """Two steps take 6 s, two more 2 s: three seconds a step at first, two seconds then."""
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    measured, found = Clock(), []
    for seconds, left in ((6.0, 4), (2.0, 2)):
        measured.step(0), measured.step(0)
        now[0] += seconds
        found.append(measured.end_epoch(left))
    assert found == [(6.0, 12.0), (2.0, 4.0)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99.4, "99 s"), (100, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_learning_rate_of_a_schedule(name):
    """Half a cosine from 0.1 over 10 steps: after five of them half of it."""
    k = pytest.importorskip(name)
    optimizer = k.optimizers.Adam(k.optimizers.schedules.CosineDecay(0.1, 10))
    optimizer.build([k.Variable(0.0)] if name == "keras" else [])
    optimizer.iterations.assign(5)
    assert loop.learning_rate(optimizer) == pytest.approx(0.05)


class Undecided:
    """A model that gives four classes the same logit."""

    def predict_on_batch(self, inputs):
        return np.zeros((*inputs.shape[:3], 4), np.float32)


def test_validation_loss_by_hand(finished):
    """Cross-entropy ln 4, and Dice of a quarter everywhere against each class's pixels."""
    dataset = read_dataset(finished / "shapes")
    plan = Plan(str(dataset.folder), "tiny", (128, 128), batch=4)
    masks = [read_mask(mask, dataset) for _, mask in dataset.pairs("val")]
    losses = []
    for batch in (masks[:4], masks[4:]):
        counts = np.bincount(np.ravel(batch), minlength=4)
        dice = (2 * counts / 4 + 1) / (counts.sum() / 4 + counts + 1)
        losses += [np.log(4) + 1 - dice.mean()] * len(batch)
    assert len(losses) == 6
    assert evaluate(Undecided(), dataset, plan)["loss"] == pytest.approx(np.mean(losses), 1e-5)


def test_history_and_tensorboard(finished):
    """The rate is that of the last step of two, at whose end the cosine would be at zero."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with open(finished / "run/history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row)[:7] == [
        "epoch", "seconds", "learning_rate", "loss", "val_loss", "miou", "pixel_accuracy",
    ]  # fmt: skip
    assert float(row["learning_rate"]) == pytest.approx(2e-3)
    assert float(row["val_loss"]) > 0 and float(row["seconds"]) > 0
    events = EventAccumulator(str(finished / "run/tensorboard")).Reload()
    assert {"learning_rate", "loss", "val_loss", "miou", "seconds"} <= set(events.Tags()["tensors"])
    assert "samples" in events.Tags()["tensors"]


def test_output_that_is_no_terminal_has_lines_alone(finished):
    text = (finished / "stderr.txt").read_bytes()
    assert b"\r" not in text and b"\x1b" not in text
    (line,) = [line for line in text.decode().splitlines() if line.startswith("epoch")]
    assert line.endswith(" s, 0 s left") and ", validation loss " in line


@pytest.mark.slow
def test_a_terminal_gets_a_progress_bar(finished, tmp_path):
    ours, theirs = open_terminal()
    words = [sys.executable, "train.py", "--data", str(finished / "shapes"), "--run"]
    process = subprocess.Popen([*words, str(tmp_path / "run"), *PLAN], cwd=ROOT, stderr=theirs)
    os.close(theirs)
    seen = b""
    while chunk := read(ours):
        seen += chunk
    assert process.wait() == 0 and b"2/2 [" in seen and b"\r" in seen
