"""A small graph, its batches, and every kind of fine-tuning of it."""

import os
from functools import cache
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import spread_norms

from segnet.compress import FinePlan
from segnet.finetune import finetune

ROOT = Path(__file__).parent.parent

EPOCHS, STEPS, SIZE = 3, 8, (64, 64)

LOWERINGS = [
    "signs+depth_to_space", "mirrored+transpose_conv", "depthwise+depth_to_space", "signs+late_bias"
]  # fmt: skip


@cache
def graph_of(preset="tiny", lowering="signs+depth_to_space", keras=False):
    """A deploy graph of random weights, made from batch norms that are far from the identity."""
    import tf_keras

    from export.graph import deploy
    from segnet.backend import start
    from segnet.build import build
    from segnet.presets import PRESETS

    k, rows, rng = start(), PRESETS[preset], np.random.default_rng(0)
    k.utils.set_random_seed(0)
    model = build(k, rows, SIZE, 3)
    spread_norms(model, rng)
    lower = deploy.lowering(lowering)
    if keras:
        return deploy.deploy(model, rows, SIZE, 3, lower)
    return deploy.deploy(model, rows, SIZE, 3, lower, k=tf_keras, batch=None)


def images(number, seed):
    return np.random.default_rng(seed).integers(0, 256, (number, *SIZE, 3)).astype(np.uint8)


def batches(start):
    """Images of random bytes; the class is the third of the range red is in; four rows are void."""
    for step in range(start, 10**6):
        raw = images(4, step)
        masks = raw[..., 0] // 86
        masks[:, :4] = 255
        yield np.float32(raw / 127.5 - 1), masks, len(masks)


def evaluate(model):
    found, masks, _ = next(batches(10**5))
    accuracy = float((np.asarray(model.predict_on_batch(found)).argmax(-1) == masks).mean())
    return {"miou": accuracy, "pixel_accuracy": accuracy, "iou": {"a": accuracy}}


def tune(kind, folder, graph=None, say=print, source=batches, judge=evaluate, **more):
    plan = FinePlan(**{"steps": STEPS, "epochs": EPOCHS, "learning_rate": 1e-3, "batch": 4, **more})
    return finetune(kind, graph or graph_of(), plan, folder, source, judge, say)


def tune_and_write(kind, folder):
    """Run by the process that is killed."""
    np.savez(folder / "end.npz", *tune(kind, folder / "tuned").get_weights())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """kind -> (fine-tuned model, its folder, the lines it reported), made on first use."""

    @cache
    def made(kind):
        folder, lines = tmp_path_factory.mktemp(kind), []
        return tune(kind, folder, say=lines.append), folder, lines

    return made


def to_file(model, recipe):
    from export.graph.convert import to_tflite
    from export.recipes import BY_NAME

    return to_tflite(model, BY_NAME[recipe])
