"""Killed at any moment, the same command gives the same weights to the bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.shapes import write_shapes

ROOT = Path(__file__).parent.parent


def command(data, run):
    plan = "--preset tiny --size 64 64 --epochs 3 --batch 4 --encoder-weights none".split()
    return [sys.executable, "train.py", "--data", str(data), "--run", str(run), *plan]


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def kill_after_steps(words, run, seconds):
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (run / "manifest.json").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_kill_and_continue_is_bit_equal(tmp_path):
    write_shapes(tmp_path / "shapes", train=80, val=8)
    whole = tmp_path / "whole"
    start = time.perf_counter()
    subprocess.run(command(tmp_path / "shapes", whole), cwd=ROOT, check=True)
    length = time.perf_counter() - start
    killed = tmp_path / "killed"
    words = command(tmp_path / "shapes", killed)
    for seconds in np.random.default_rng(0).uniform(0, length / 2, 3):
        kill_after_steps(words, killed, seconds)
    subprocess.run(words, cwd=ROOT, check=True, env={**os.environ})
    for name in ("best.weights.h5", "last.weights.h5"):
        one, two = arrays(whole / name), arrays(killed / name)
        assert one.keys() == two.keys() and len(one) > 20
        assert all(np.array_equal(one[key], two[key]) for key in one)
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0 and "finished already" in again.stderr
    other = subprocess.run([*words, "--seed", "9"], cwd=ROOT, capture_output=True, text=True)
    assert other.returncode == 2 and "another plan: seed is 0 there, 9 here" in other.stderr
