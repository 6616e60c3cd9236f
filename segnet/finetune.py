"""Fine-tunes a deploy graph for a smaller file, by a method of `segnet.compress`."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from cli import Refusal, one_of
from files import read_json, write_json
from segnet.checkpoint import checkpoint_file, restore, save_checkpoint
from segnet.compress import KINDS, FinePlan, Tuned, arrays
from segnet.loop import CLIP_NORM, Hooks, Loop
from segnet.run import differences, sweep

FILES = ("plan.json", "lowering.json", "history.csv", "checkpoints/*.npz")


def finetune(
    kind: str, graph, plan: FinePlan, folder: Path,
    batches: Callable[[int], Iterator], evaluate: Callable, say: Callable[[str], None],
    class_weights=None,
):  # fmt: skip
    """A tf_keras model from (1, H, W, 3) to logits, with the weights of the best epoch by mIoU.

    kind: "qat", "sparse" or "cluster". graph: the tf_keras deploy graph for any batch size; it is
    not changed. batches(step): endless batches from that step on: images (N, H, W, 3) float32 in
    [-1, 1], masks (N, H, W) uint8, 255 for void, and N. evaluate(model): `segnet.metrics.scores`.
    class_weights: as in training. An interrupted fine-tuning resumes from its checkpoint in
    `folder`, exact to the bit. The model of "qat" takes (byte - 128) / 127.5, as its file will.
    Raises Refusal, which for an unsupported layer names the layer.
    """
    from segnet import backend

    folder, prepare = Path(folder), KINDS[one_of(kind, KINDS, "fine-tuning method")].prepare
    backend.seed_everything(plan.seed)
    images, *_ = next(batches(0))
    tuned = prepare(graph, plan, images)
    claim(folder, kind, graph, plan, say)
    compile_model(tuned.model, plan, class_weights)
    hooks = Hooks(
        batches, lambda: evaluate_settled(tuned, evaluate), keep=keep,
        diverged="Leave out this recipe, or train the run for longer",
    )  # fmt: skip
    loop = Loop(tuned.model, plan, folder, plan.steps, hooks, tuned.first)
    loop.restore()
    if not loop.done:
        say(f"{kind}: {loop.steps - loop.step} of {loop.steps} steps to go")
        loop.run()
    if restore(folder, tuned.model.variables, "best") is None:
        path = checkpoint_file(folder, "best")
        raise Refusal(f"{path} is missing. Remove {folder} to start this fine-tuning over")
    return tuned.finish(tuned.model)


def claim(folder: Path, kind: str, graph, plan: FinePlan, say) -> None:
    """Records in `folder` what is fine-tuned there.

    Checkpoints of other weights are removed. Raises Refusal if the folder is of another plan.
    """
    sweep(folder, FILES)
    path, wanted = folder / "plan.json", {"kind": kind, **dataclasses.asdict(plan)}
    weights = fingerprint(graph)
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict):
        raise Refusal(f"{path} is damaged. Remove {folder} to start this fine-tuning over")
    if found and found.get("graph") != weights:
        say(f"{folder} is of other weights or another lowering: fine-tuning starts over")
        for name in ("last", "best"):
            checkpoint_file(folder, name).unlink(missing_ok=True)
    elif found and (other := differences(found, wanted)):
        raise Refusal(f"{folder} is of another plan: {other}. Remove the folder to start over")
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
    """Adam with a cosine decay, and the training loss; no weight decay, as batch norm is folded."""
    import keras
    import tf_keras

    from segnet.backend import trace_every_shape
    from segnet.losses import segmentation_loss

    rate = tf_keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * plan.steps)
    optimizer = tf_keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    # keras.ops also takes the tensors of tf_keras: both are TensorFlow's.
    model.compile(optimizer, segmentation_loss(keras, model.output_shape[-1], class_weights))
    optimizer.build(model.trainable_variables)
    trace_every_shape(model)


def evaluate_settled(tuned: Tuned, evaluate) -> dict:
    tuned.settle()
    return evaluate(tuned.model)


def keep(model, folder: Path, name: str, row: dict) -> None:
    """Saves the best epoch's variables; the last epoch's are in the loop's checkpoint."""
    if name == "best":
        save_checkpoint(folder, arrays(model.variables), {}, name)
