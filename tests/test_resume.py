"""Killed at any moment, the same command gives the same weights to the bit."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import history, open_terminal, read

from data.shapes import write_shapes

ROOT = Path(__file__).parent.parent
EPOCHS, STEPS = 3, 90


def command(data, run, epochs=EPOCHS):
    plan = f"--preset tiny --size 64 64 --epochs {epochs} --batch 4 --weights none".split()
    return [sys.executable, "train.py", "--data", str(data), "--run", str(run), *plan]


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def stop_at(words, step, how):
    """Runs a command until its progress bar says `step`, then sends the signal `how`."""
    ours, theirs = open_terminal()  # nothing else gets a progress bar
    process = subprocess.Popen(words, cwd=ROOT, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    while chunk := read(ours):
        seen += chunk
        done = [int(number) for number in re.findall(rb"(\d+)/%d \[" % STEPS, seen)]
        if done and max(done) >= step:
            break
    process.send_signal(how)
    while chunk := read(ours):
        seen += chunk
    process.wait()
    assert max(done) < STEPS, "it ended before the signal"
    return process.returncode, seen


def continued_is_bit_equal(folder, stops):
    """Stopped by each of (step, signal) and continued, a run gives what it gives in one go."""
    write_shapes(folder / "shapes", train=4 * STEPS // EPOCHS, val=8)
    whole, parts = folder / "whole", folder / "parts"
    subprocess.run(command(folder / "shapes", whole), cwd=ROOT, check=True, capture_output=True)
    words = command(folder / "shapes", parts)
    for step, how in stops:
        code, said = stop_at(words, step, how)
        if how == signal.SIGINT:
            assert code == 130 and b"run the same command again to continue" in said
        else:
            assert code == -signal.SIGKILL
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    for name in ("best.weights.h5", "last.weights.h5"):
        one, two = arrays(whole / name), arrays(parts / name)
        assert one.keys() == two.keys() and len(one) > 20
        assert all(np.array_equal(one[key], two[key]) for key in one)
    assert history(whole) == history(parts) and len(history(whole)) == EPOCHS
    assert not list(parts.rglob(".part-*"))
    return words


@pytest.mark.slow
def test_killed_once(tmp_path):
    """And a finished run says so; another number of epochs is a new run from its weights."""
    middle = STEPS // EPOCHS + STEPS // EPOCHS // 2  # of the second epoch
    words = continued_is_bit_equal(tmp_path, [(middle, signal.SIGKILL)])
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0 and "finished already" in again.stdout
    assert f"a new --run with --weights {tmp_path / 'parts'}" in again.stdout
    other = command(tmp_path / "shapes", tmp_path / "other", epochs=1)
    other[other.index("none")] = str(tmp_path / "parts")
    end = subprocess.run(other, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0
    # tiny: conv1 and its norm, encoder rows of 4, decoder rows of 6, the last deconvolution.
    layers = 2 + 4 * 4 + 4 * 6 + 1
    assert f"weights: {layers} of {layers} layers from {tmp_path / 'parts'}" in end.stderr


@pytest.mark.slow
def test_killed_at_three_random_moments_and_interrupted_once(tmp_path):
    steps = sorted(int(step) for step in np.random.default_rng().integers(1, STEPS - 20, 3))
    print("killed at steps", steps)
    stops = [(step, signal.SIGKILL) for step in steps]
    continued_is_bit_equal(tmp_path, [*stops, (steps[-1] + 5, signal.SIGINT)])
