"""Trains small networks in this process, and stops where a process could be killed."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from data.shapes import write_shapes
from segnet import loop
from segnet.plan import Plan
from train import train

IMAGES, BATCH, STEPS = 13, 6, 3  # an epoch's steps are of 4, 4 and 5 images
SMALL = {"preset": "tiny", "size": (64, 64), "epochs": 2, "batch": BATCH, "weights": "none"}


class Killed(BaseException):
    """Nothing catches it, so that only files are left, as of a killed process."""


@pytest.fixture(scope="session")
def thirteen(tmp_path_factory):
    """A dataset of 13 training images and 3 validation images. To be looked at, not written to."""
    folder = tmp_path_factory.mktemp("thirteen") / "shapes"
    write_shapes(folder, train=IMAGES, val=3)
    return folder


def small(data: Path, **options) -> Plan:
    return Plan(str(data), **{**SMALL, **options})


def killed(monkeypatch, plan: Plan, run: Path, name: str, call: int, before: bool = False) -> None:
    """Trains until that call of method or function `name` of `segnet.loop` has ended (or begins).

    name: such as "Loop.say_estimate", which is called after every step, or "save_checkpoint".
    """
    owner, name = (loop.Loop, name[5:]) if name.startswith("Loop.") else (loop, name)
    real, calls = getattr(owner, name), []

    def counted(*args, **options):
        calls.append(1)
        if before and len(calls) == call:
            raise Killed
        found = real(*args, **options)
        if len(calls) == call:
            raise Killed
        return found

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, counted)
        train(plan, run)
