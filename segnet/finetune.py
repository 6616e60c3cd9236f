"""Fine-tuning of a deploy graph for a smaller file, as one of the kinds of `segnet.compress`."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cli import Refusal, one_of
from files import read_json, write_json
from segnet.compress import KINDS, FinePlan, Tuned, arrays, assign
from segnet.loop import CLIP_NORM, Hooks, Loop
from segnet.run import checkpoint_file, differences, read_checkpoint, save_checkpoint, sweep

WARM_STEPS, TIMED_STEPS = 2, 3


def finetune(
    kind: str, graph, plan: FinePlan, folder: Path,
    batches: Callable[[int], Iterator], evaluate: Callable, say: Callable[[str], None],
    class_weights=None,
):  # fmt: skip
    """A tf_keras model (1, H, W, 3) to logits, with the weights of the best epoch by mIoU.

    kind: "qat", "sparse" or "cluster". graph: the tf_keras deploy graph of any batch, which is left
    as it is. batches(step): endless images (N, H, W, 3) float32 in [-1, 1] and masks (N, H, W)
    uint8, 255 void. evaluate(model): `segnet.metrics.scores`. class_weights: as in training. What
    was stopped goes on from its checkpoint in `folder`, to the same bits. The model of "qat" takes
    (byte - 128) / 127.5, as its file will. Raises Refusal; a layer that cannot be trained so is
    told by its name.
    """
    from segnet import backend

    folder, prepare = Path(folder), KINDS[one_of(kind, KINDS, "fine-tuning")].prepare
    backend.seed_everything(plan.seed)
    images, masks = next(batches(0))
    tuned = prepare(graph, plan, images)
    claim(folder, kind, graph, plan, say)
    compile_model(tuned.model, plan, class_weights)
    hooks = Hooks(
        batches, lambda: judge(tuned, evaluate), keep=keep,
        diverged="Leave this recipe out, or train the run for longer",
    )  # fmt: skip
    loop = Loop(tuned.model, plan, folder, plan.steps, hooks, tuned.first)
    loop.restore()
    if left := loop.steps - loop.step:
        seconds = left * step_seconds(loop, images, masks)
        say(f"{kind}: {left} of {loop.steps} steps to go, takes about {minutes(seconds)}")
        loop.run()
    assign(tuned.model.variables, read_best(folder))
    return tuned.finish(tuned.model)


def minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def claim(folder: Path, kind: str, graph, plan: FinePlan, say) -> None:
    """Notes in `folder` what is tuned there. Other weights begin anew, another plan is refused."""
    sweep(folder)
    path, wanted = folder / "plan.json", {"kind": kind, **dataclasses.asdict(plan)}
    weights = fingerprint(graph)
    found = read_json(path) if path.exists() else {}
    if found and found["graph"] != weights:
        say(f"{folder} is of other weights or another lowering: it begins anew")
        for name in ("last", "best"):
            checkpoint_file(folder, name).unlink(missing_ok=True)
    elif found and (other := differences(found, wanted)):
        raise Refusal(f"{folder} is of another plan: {other}. Remove the folder to begin anew")
    write_json(path, {**wanted, "graph": weights})


def fingerprint(graph) -> str:
    """SHA-256 of the layers' names and weights."""
    digest = hashlib.sha256()
    for layer in graph.layers:
        digest.update(layer.name.encode())
        for array in layer.get_weights():
            digest.update(array.tobytes())
    return digest.hexdigest()


def compile_model(model, plan: FinePlan, class_weights=None) -> None:
    """Adam with a cosine, and the loss of training. Batch norm is folded: nothing to decay."""
    import keras
    import tf_keras

    from segnet.losses import segmentation_loss

    rate = tf_keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * plan.steps)
    optimizer = tf_keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    # keras.ops takes the tensors of tf_keras too: with TensorFlow below, both are TensorFlow's.
    model.compile(optimizer, segmentation_loss(keras, model.output_shape[-1], class_weights))
    optimizer.build(model.trainable_variables)


def step_seconds(loop: Loop, images, masks) -> float:
    """Seconds a step, by a few steps whose traces are wiped."""
    kept = arrays(loop.variables)
    for _ in range(WARM_STEPS):
        loop.model.train_on_batch(images, masks)
    start = time.perf_counter()
    for _ in range(TIMED_STEPS):
        loop.model.train_on_batch(images, masks)
    seconds = (time.perf_counter() - start) / TIMED_STEPS
    assign(loop.variables, kept)
    return seconds


def judge(tuned: Tuned, evaluate) -> dict:
    tuned.settle()
    return evaluate(tuned.model)


def keep(model, folder: Path, name: str) -> None:
    """The best epoch's variables; the last one's stand in the loop's checkpoint."""
    if name == "best":
        save_checkpoint(folder, arrays(model.variables), {}, name)


def read_best(folder: Path) -> list[np.ndarray]:
    best = read_checkpoint(folder, "best")
    if best is None:
        path = checkpoint_file(folder, "best")
        raise Refusal(f"{path} is missing. Remove {folder} to begin this fine-tuning again")
    return best[0]
