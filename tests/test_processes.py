"""One run trained by one, two and four processes on this machine, stopped and killed."""

import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, history
from test_resume import arrays

from data.shapes import write_shapes

pytest.importorskip("jax")
LONG = pytest.mark.clients  # minutes each; they run before a release, with the foreign runtimes
EPOCHS = 17  # of three steps: 13 images in batches of 6 are 4, 4 and 5
PLAN = f"--preset tiny --size 64 64 --batch 6 --weights none --epochs {EPOCHS}".split()
SECONDS = 30  # in which the others end when one has been killed


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, train=13, val=5)
    return folder


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def start(data, run, processes, program="tests/clients/double_client.py"):
    """The processes of one training, all on this machine. data: a folder, or one for each."""
    port, members = free_port(), []
    for rank in range(processes):
        own = data[rank] if isinstance(data, list) else data
        words = [sys.executable, program, "--data", str(own), "--run", str(run), *PLAN]
        words += ["--backend", "jax"]
        if processes > 1:
            words += ["--coordinator", f"127.0.0.1:{port}", "--processes", str(processes)]
            words += ["--rank", str(rank)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        members.append(subprocess.Popen(words, cwd=ROOT, text=True, **pipes))
    return members


def ends(members):
    """(exit code, stdout, stderr) of each."""
    said = [member.communicate(timeout=900) for member in members]
    return [(member.returncode, *texts) for member, texts in zip(members, said, strict=True)]


@pytest.fixture(scope="module")
def alone(shapes, tmp_path_factory):
    """The run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    ((code, _, said),) = ends(start(shapes, run, 1))
    assert code == 0, said
    return run


def apart(one, two):
    """The largest differences of weights and of losses."""
    names = ("best.weights.h5", "last.weights.h5")
    weights = [(arrays(one / name), arrays(two / name)) for name in names]
    assert all(a.keys() == b.keys() and len(a) > 20 for a, b in weights)
    most = max(np.abs(a[key] - b[key]).max() for a, b in weights for key in a)
    losses = [float(row[key]) for run in (one, two) for row in history(run)
              for key in ("loss", "val_loss", "miou")]  # fmt: skip
    return float(most), float(np.abs(np.subtract(*np.split(np.array(losses), 2))).max())


@pytest.mark.parametrize(
    "processes", [pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=LONG)]
)
def test_several_processes_train_as_one(alone, shapes, tmp_path, processes):
    """Weights, statistics of batch norms, losses and scores, after 51 steps."""
    found = ends(start(shapes, tmp_path / "run", processes))
    assert [code for code, _, _ in found] == [0] * processes, found
    assert ["best mIoU" in out for _, out, _ in found] == [True, *[False] * (processes - 1)]
    weights, losses = apart(alone, tmp_path / "run")
    print(f"{processes} processes: weights {weights:.1e}, losses and scores {losses:.1e}")
    assert weights < 1e-5 and losses < 1e-5


def wait_for(run, epoch):
    """Until that epoch stands in the history."""
    limit = time.monotonic() + 300
    while not (run / "history.csv").exists() or len(history(run)) < epoch:
        assert time.monotonic() < limit
        time.sleep(0.01)


@LONG
@pytest.mark.parametrize(("victim", "then"), [(1, 2), (0, 1)])
def test_one_of_two_is_killed(alone, shapes, tmp_path, victim, then):
    """The other ends and says why; two processes, or one, go on from the checkpoint."""
    run, rng = tmp_path / "run", np.random.default_rng()
    epoch, wait = rng.integers(1, 9), rng.uniform(0, 1.5)
    print(f"killed {wait:.2f} s after epoch {epoch}")
    members = start(shapes, run, 2)
    wait_for(run, epoch)
    time.sleep(wait)
    members[victim].kill()
    killed = time.monotonic()
    found = ends(members)
    assert time.monotonic() - killed < SECONDS
    code, _, said = found[1 - victim]
    assert code not in (0, None), said
    assert "another process has ended" in said or "another task died" in said
    assert not (run / "last.weights.h5").exists(), "it ended before it was killed"
    assert [code for code, *_ in ends(start(shapes, run, then))] == [0] * then
    assert max(apart(alone, run)) < 1e-5


@LONG
def test_told_to_stop(alone, shapes, tmp_path):
    """SIGTERM to one: both end after the same step, with a checkpoint of it."""
    run = tmp_path / "run"
    members = start(shapes, run, 2)
    wait_for(run, 3)
    members[1].send_signal(signal.SIGTERM)
    found = ends(members)
    assert [code for code, *_ in found] == [143, 143], found
    assert all("run the same command again to continue" in said for _, _, said in found)
    ((code, _, said),) = ends(start(shapes, run, 1))
    assert code == 0 and "continues at step" in said
    assert max(apart(alone, run)) < 1e-5


@pytest.mark.slow
def test_the_others_hear_why_one_could_not_go_on(shapes, tmp_path):
    """The second process does not see the dataset."""
    found = ends(start([shapes, tmp_path / "none"], tmp_path / "run", 2, "train.py"))
    for code, _, said in found:
        assert code == 2 and "error: process 1 of 2 could not go on: " in said
        assert f"{tmp_path / 'none'}" in said.splitlines()[-1]
