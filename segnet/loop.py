"""The training loop: steps, checkpoints, exact resume. It knows tensors, not image files."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal, plain
from files import beside
from segnet.backend import has_gpu, trace_every_shape
from segnet.checkpoint import checkpoint_bytes, checkpoint_file, damaged, restore, save_checkpoint
from segnet.clock import Clock, duration
from segnet.cluster import ALONE, Cluster
from segnet.losses import VOID, segmentation_loss
from segnet.plan import Plan, is_a
from segnet.run import LAST, keep_best, save_weights

CHECKPOINT_STEPS = 500  # and at the end of every epoch
CLIP_NORM = 1.0
WIDE_GAP = 0.15  # of pixel accuracy, between training mode and inference mode on one batch
# Of a loop, kept in checkpoints.
STATE = {"step": int, "best": float, "history": list, "loss_sum": float, "images": int,
         "rate": float}  # fmt: skip
PATIENCE = 3  # evaluations without a single pixel of a class, before a remark


def compile_model(model, plan: Plan, steps: int, weights=None, loss=segmentation_loss) -> None:
    """AdamW with warm-up and cosine over `steps`; kernels decay, norms and biases do not.

    weights: of the classes in the cross entropy, (C,), or None.
    """
    import keras

    warmup = min(plan.warmup_steps, max(steps // 5, 1))
    rate = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate / 100, max(steps - warmup, 1), warmup_target=plan.learning_rate,
        warmup_steps=warmup,
    )  # fmt: skip
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=plan.weight_decay, global_clipnorm=CLIP_NORM
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    classes = model.output_shape[-1]
    # XLA on a CPU makes a step 13 times slower: 1281 ms an image against 94 with MobileNet v1 1.0.
    jit = False if keras.backend.backend() == "tensorflow" and not has_gpu() else "auto"
    model.compile(optimizer, loss(keras, classes, weights), jit_compile=jit)
    optimizer.build(model.trainable_variables)
    trace_every_shape(model)


def keep_weights(model, folder: Path, name: str, row: dict) -> None:
    if name == "best":
        keep_best(model, folder, row["epoch"], row["miou"])
    else:
        save_weights(model, folder / LAST)


class Hooks(NamedTuple):
    """What the caller of a loop provides.

    batches(step): endless training batches from that step on: this process's images and masks, and
    the number of images of all processes. evaluate(): `segnet.metrics.scores`
    on the validation set, with a "loss" if there is one. after_epoch(epoch, history): called with
    all rows so far when the files of an epoch are written. keep(model, folder, name, row): saves
    the "best" or the "last" epoch, whose row of the history is `row`. target(images, masks): the
    target of the loss. diverged: what to type when the loss is not finite; None advises a lower
    learning rate.
    """

    batches: Callable[[int], Iterator]
    evaluate: Callable[[], dict]
    after_epoch: Callable[[int, list], None] = lambda epoch, history: None
    keep: Callable = keep_weights
    target: Callable = lambda images, masks: masks
    diverged: str | None = None


class Loop:
    """Trains `model`, of Keras or tf_keras, for `plan` in run folder `folder`.

    The best epoch, by mIoU, is one of those from `first_epoch` on. Of a cluster's processes the one
    that leads writes the folder.
    """

    def __init__(
        self, model, plan, folder: Path, steps_per_epoch: int, hooks: Hooks, first_epoch: int = 1,
        cluster: Cluster = ALONE,
    ):  # fmt: skip
        self.model, self.plan, self.folder, self.hooks = model, plan, folder, hooks
        self.steps_per_epoch, self.first_epoch, self.cluster = steps_per_epoch, first_epoch, cluster
        self.step, self.best, self.history = 0, -1.0, []
        self.loss_sum, self.images = 0.0, 0  # of this epoch so far
        self.rate = 0.0  # of the last step of an epoch

    @property
    def steps(self) -> int:
        return self.plan.epochs * self.steps_per_epoch

    @property
    def waits(self) -> bool:
        """Whether an epoch was stopped between its last step and its evaluation."""
        return self.images > 0 and self.step % self.steps_per_epoch == 0

    @property
    def done(self) -> bool:
        return self.step == self.steps and not self.waits

    @property
    def variables(self) -> list:
        return [*self.model.variables, *self.model.optimizer.variables]

    def save(self) -> None:
        if not self.cluster.leads:
            return
        tensors = [np.asarray(variable) for variable in self.variables]
        save_checkpoint(self.folder, tensors, {name: getattr(self, name) for name in STATE})

    def restore(self) -> bool:
        def read(*where):
            return self.cluster.from_leader(lambda: checkpoint_bytes(*where))

        state = restore(self.folder, self.variables, read=read)
        if state is None:
            return False
        if why := fault(state, self.steps, self.steps_per_epoch):
            raise damaged(checkpoint_file(self.folder), why)
        for name in STATE:
            setattr(self, name, state[name])
        return True

    def run(self) -> None:
        from tqdm import tqdm

        self.write_history()
        self.clock = Clock()
        if self.waits:
            self.end_epoch(*next(self.hooks.batches(self.step - 1))[:2])
        stream = self.hooks.batches(self.step) if self.step < self.steps else iter(())
        with tqdm(
            total=self.steps, initial=self.step, unit="step", dynamic_ncols=True, disable=None
        ) as bar:
            while self.step < self.steps:
                images, masks, count = next(stream)
                with self.cluster.postponed() as stops:
                    self.take_step(images, masks, count)
                if stops or self.cluster.stops(self.step):
                    self.save()
                    self.cluster.stop(stops)
                bar.update()
                self.say_estimate()
                bar.set_postfix(loss=f"{self.loss_sum / self.images:.3f}")
                if self.step % self.steps_per_epoch == 0:
                    self.end_epoch(images, masks)
                elif self.step % CHECKPOINT_STEPS == 0:
                    self.save()
        self.keep("last", self.history[-1])

    def take_step(self, images, masks, count: int) -> None:
        target = self.hooks.target(images, masks)
        if (self.step + 1) % self.steps_per_epoch == 0:
            self.rate = learning_rate(self.model.optimizer)
        loss = self.cluster.step(self.model, images, target, count)
        if not math.isfinite(loss):
            slower = f"--learning-rate {self.plan.learning_rate / 4:g}"
            way = self.hooks.diverged or f"Name a new --run with {slower}"
            raise Refusal(f"the loss became {loss} at step {self.step}. {way}")
        self.step, self.images = self.step + 1, self.images + count
        self.loss_sum += loss * count

    def keep(self, name: str, row: dict) -> None:
        if self.cluster.leads:
            self.hooks.keep(self.cluster.local(self.model), self.folder, name, row)

    def say_estimate(self) -> None:
        seconds = self.clock.step(self.steps - self.step)
        if seconds is not None and self.cluster.leads:
            left = self.steps - self.step
            note(f"{left} steps left, about {duration(seconds)} without validation")

    def end_epoch(self, images, masks) -> None:
        epoch = self.step // self.steps_per_epoch
        try:
            found = self.hooks.evaluate()
        except KeyboardInterrupt:
            self.save()
            raise
        seconds, left = self.clock.end_epoch(self.steps - self.step)
        row = {
            "epoch": epoch,
            "seconds": round(seconds, 1),
            "learning_rate": self.rate,
            "loss": self.loss_sum / self.images,
            "val_loss": found.get("loss"),
            "miou": found["miou"],
            "pixel_accuracy": found["pixel_accuracy"],
            **{f"iou_{name}": value for name, value in found["iou"].items()},
        }
        if self.history and self.history[0].keys() != row.keys():
            raise damaged(checkpoint_file(self.folder), "its history is of other classes")
        self.history.append(row)
        if found["miou"] > self.best and epoch >= self.first_epoch:
            self.best = found["miou"]
            self.keep("best", row)
        self.loss_sum, self.images = 0.0, 0
        self.write_history()
        self.save()
        classes = ", ".join(f"{n} {v:.3f}" for n, v in found["iou"].items() if v is not None)
        val = "" if row["val_loss"] is None else f", validation loss {row['val_loss']:.4f}"
        times = duration(seconds) + ("" if left is None else f", {duration(left)} left")
        if not self.cluster.leads:
            return
        note(
            f"epoch {epoch}: loss {row['loss']:.4f}{val}, mIoU {row['miou']:.4f} ({classes}), "
            f"{times}"
        )
        for remark in remarks(self.history, self.mode_gap(images, masks)):
            note(f"note: {remark}")
        self.hooks.after_epoch(epoch, self.history)

    def mode_gap(self, images, masks) -> float:
        """Pixel accuracy on one batch by the batch's own statistics, less that in inference.

        0 for a network without batch norms, which has no such statistics.
        """
        model = self.cluster.local(self.model)
        if not any(type(layer).__name__ == "BatchNormalization" for layer in model.layers):
            return 0.0
        kept = [np.asarray(variable) for variable in model.non_trainable_variables]
        accuracies = []
        for training in (True, False):
            logits = np.asarray(model(images, training=training))
            counts = masks != VOID
            accuracies.append((logits.argmax(-1) == masks)[counts].mean() if counts.any() else 0.0)
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        return float(accuracies[0] - accuracies[1])

    def write_history(self) -> None:
        if self.history and self.cluster.leads:
            import csv

            with beside(self.folder / "history.csv") as part, open(part, "w", newline="") as file:
                writer = csv.DictWriter(file, self.history[0])
                writer.writeheader()
                writer.writerows(self.history)


def fault(state: dict, steps: int, steps_per_epoch: int) -> str:
    """What is wrong with the state of a checkpoint, "" if nothing."""
    for name, kind in STATE.items():
        if not is_a(state.get(name), kind):
            return f"{name} is {state.get(name)!r:.40}"
    step, history, images = state["step"], state["history"], state["images"]
    inside = step % steps_per_epoch  # of an epoch; at its end the last one may wait for evaluation
    if not 0 <= step <= steps or images < 0 or (inside and not images) or (images and not step):
        return f"step is {step} of {steps}, with {images} images in its epoch"
    epochs = [row.get("epoch") if isinstance(row, dict) else None for row in history]
    if epochs != list(range(1, step // steps_per_epoch + (1 if inside or not images else 0))):
        return f"its history does not fit step {step}"
    if any(row.keys() != history[0].keys() for row in history):
        return "the rows of its history differ"
    return ""


def learning_rate(optimizer) -> float:
    """Of the next step, of a Keras or a tf_keras optimizer."""
    rate = optimizer._learning_rate  # the public one of tf_keras lags a step behind a schedule
    return float(np.asarray(rate(optimizer.iterations) if callable(rate) else rate))


def note(line: str) -> None:
    """A line above the progress bar."""
    import sys

    from tqdm import tqdm

    tqdm.write(plain(line), file=sys.stderr)


def remarks(history: list[dict], gap: float) -> list[str]:
    """What looks wrong, in words, with what to try."""
    lines = []
    recent = history[-PATIENCE:]
    if len(recent) == PATIENCE:
        for key in [key for key in history[0] if key.startswith("iou_")]:
            if all(row[key] == 0 for row in recent):
                lines.append(
                    f"class {key[4:]} was not found once in {PATIENCE} evaluations. Check its "
                    "masks with python -m data check, or train for more epochs"
                )
    if gap > WIDE_GAP:
        lines.append(
            f"inference is {gap:.0%} of the pixels worse than training mode on the same batch: "
            "batch norm's averages lag. Train for more steps or with a smaller --batch"
        )
    return lines
