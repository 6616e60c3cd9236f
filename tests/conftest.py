"""A dataset and a run that many tests look at, made once."""

import csv
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # for tests that import keras before segnet

import numpy as np
import pytest
from hypothesis import settings

from data.shapes import write_shapes

ROOT = Path(__file__).parent.parent
# In the background a shell has it ignored, and so would the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("busy", deadline=None)  # what an example takes depends on the machine
settings.load_profile("busy")
LEARNING = 40  # epochs of two steps, after which int8 files are nearly as good as Keras
PLAN = "--preset tiny --size 64 64 --epochs 1 --batch 8 --weights none".split()


def train(data, run, *more, **options):
    """`train.py` with PLAN and more, as a person runs it."""
    words = ["train.py", "--data", str(data), "--run", str(run), *PLAN, *more]
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, **options
    )


def history(run):
    """The rows of a run's history.csv without the seconds, which differ from run to run."""
    with open(run / "history.csv", newline="") as file:
        return [{**row, "seconds": None} for row in csv.DictReader(file)]


def open_terminal():
    """(our end, the end for a command) of a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    return ours, theirs


def read(terminal) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the last process on it ends
        return b""


def spread_norms(model, rng):
    """Batch norms far from the identity, as training leaves them: folding has something to do."""
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            spread = [rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            layer.set_weights([spread[0], spread[1] - 1, spread[2] - 1, spread[3]])


def settle_norms(model, images):
    """Norms with the statistics of `images`."""
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            layer.momentum = 0.0
    model(images, training=True)


def show_all_classes(model, images):
    """Norms with the statistics of `images`, and no class ahead of the others on average."""
    settle_norms(model, images)
    kernel, bias = model.layers[-1].get_weights()
    means = np.asarray(model(images, training=False)).mean((0, 1, 2))
    model.layers[-1].set_weights([kernel, bias - means])


def learn(model, images, masks):
    """Learns images (N, H, W, 3) in [-1, 1] and masks (N, H, W) by heart."""
    import keras

    from segnet.losses import segmentation_loss

    keras.utils.set_random_seed(0)
    rate = keras.optimizers.schedules.CosineDecay(0.02, 2 * LEARNING)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
    loss = segmentation_loss(keras, model.output_shape[-1])
    model.compile(optimizer, loss, jit_compile=False)  # XLA is slow on CPUs
    model.fit(images, masks, batch_size=len(images) // 2, epochs=LEARNING, verbose=0)
    settle_norms(model, images)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """The person's cache is left alone, and what importers unpack goes with pytest's folders."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder with shapes/ and a finished run/ of it. To be looked at, not written to.

    Its best weights are of a longer training than its history says, so that they can be exported.
    """
    own = tmp_path_factory.getbasetemp()
    # The workers of pytest-xdist share one, which the first of them makes.
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "finished"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "stderr.txt").exists():
            write_shapes(folder / "shapes", train=16, val=6)
            end = train(folder / "shapes", folder / "run")
            assert end.returncode == 0, end.stderr
            change_best(folder / "run", learn)
            (folder / "stderr.txt").write_text(end.stderr)
    return folder


def change_best(run, change):
    """Replaces the best weights of a run as training would: change(model, images, masks)."""
    import cv2

    from data.batches import evaluation_pairs
    from data.dataset import read_dataset
    from export.proof.score import keras_function, score_function
    from segnet.run import keep_best, load_run

    model, plan, manifest = load_run(run)
    dataset, images, masks = read_dataset(plan.data), [], []
    for split in ("train", "val"):
        for inputs, truths, _ in evaluation_pairs(dataset, split, plan.size, 1):
            images.append(inputs[0])
            nearest = cv2.INTER_NEAREST_EXACT
            masks.append(cv2.resize(truths[0], plan.size[::-1], interpolation=nearest))
    change(model, np.stack(images), np.stack(masks))
    found = score_function(keras_function(model), dataset, "val", plan.size)
    keep_best(model, run, manifest["best"]["epoch"], found["miou"])
