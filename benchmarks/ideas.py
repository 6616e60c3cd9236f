"""python -m benchmarks.ideas --data DIR --out DIR: other ways to train `base`, a row each.

Each changes one thing of the recipe and has the same seeds: how deconvolutions begin, an average of
the weights, a second loss, a teacher, images that grow. Runs lie in OUT/IDEA-seedN and go on
where they stopped. mIoU is the best epoch's on the validation set, the checkerboard that of a
constant image before the first and after the best epoch.
"""

import csv
import statistics
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

import cli

AS_IT_IS = "as-it-is"
AVERAGE = 0.99  # of itself that an average keeps at a step; less in the first steps
AUXILIARY = 0.4  # weight of the second loss (PSPNet, Zhao et al. 2017)
AUXILIARY_AT = "deconv1_join"  # stride 16
TEACHER = "large"
SMALLER = 0.6  # of the sides, at first, in images that grow
FAR = 1024  # sides of an image in whose middle no border is seen


def main() -> None:
    parser = cli.parser("python -m benchmarks.ideas", "Other ways to train base, a row each.")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="runs and results")
    parser.add_argument(
        "--ideas", nargs="+", default=[*IDEAS], metavar="NAME", help=f"of {', '.join(IDEAS)}"
    )
    parser.add_argument("--size", nargs=2, type=int, default=(160, 192), metavar=("H", "W"))
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="(default 30)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1], metavar="N", help="(default 0 1)"
    )
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR",
        help="of encoders' .h5 files; left out: all start from random weights",
    )  # fmt: skip
    words = parser.parse_args()
    from benchmarks.accuracy import train_once, weights_file
    from segnet.plan import Plan
    from segnet.presets import PRESETS

    def plan(preset: str, seed: int) -> Plan:
        first = weights_file(PRESETS[preset], words.weights_folder)
        return Plan(words.data, preset, words.size, words.epochs, weights=first, seed=seed)

    found = {cli.one_of(name, IDEAS, "idea"): [] for name in words.ideas}
    for name, scores in found.items():
        for seed in words.seeds:
            folder = words.out / f"{name}-seed{seed}"
            for part, wanted in IDEAS[name].runs(folder, plan, seed).items():
                with IDEAS[name].changed():
                    train_once(wanted, part)
            scores.append(Score(best(folder), *checkerboards(folder, IDEAS[name])))
    print(table(found))


class Idea(NamedTuple):
    """changed(): a context in which training is another. runs(folder, plan, seed): folder to plan,
    in order, the one in `folder` last; plan(preset, seed) is the recipe's."""

    says: str
    changed: Callable = nullcontext
    runs: Callable = lambda folder, plan, seed: {folder: plan("base", seed)}


class Score(NamedTuple):
    """A run's mIoU, a fraction, and its checkerboard before and after training."""

    miou: float
    first: float
    trained: float


def random_deconvolutions():
    return patch("segnet.blocks.smooth_taps", lambda k: k.initializers.HeNormal())


@contextmanager
def averaged():
    """What is evaluated and kept are averages over the steps, norms' statistics among them."""
    from segnet.loop import Loop

    class Averaged(Loop):
        def __init__(self, model, *words, **more):
            import keras

            super().__init__(model, *words, **more)
            self.means = [keras.Variable(np.asarray(v), trainable=False) for v in model.variables]
            hooks = self.hooks
            self.hooks = hooks._replace(
                evaluate=self.on_means(hooks.evaluate), keep=self.on_means(hooks.keep)
            )
            model.train_on_batch = self.after_step(model.train_on_batch)

        @property
        def variables(self):
            return [*super().variables, *self.means]

        def after_step(self, step):
            def stepped(*batch):
                loss = step(*batch)
                old = min(AVERAGE, (self.step + 1) / (self.step + 10))
                for mean, variable in zip(self.means, self.model.variables, strict=True):
                    mean.assign(mean * old + variable * (1 - old))
                return loss

            return stepped

        def on_means(self, function):
            def meant(*words):
                kept = [np.asarray(variable) for variable in self.model.variables]
                self.put(self.means)
                found = function(*words)
                self.put(kept)
                return found

            return meant

        def put(self, values):
            for variable, value in zip(self.model.variables, values, strict=True):
                variable.assign(value)

    with patch("segnet.loop.Loop", Averaged):
        yield


@contextmanager
def auxiliary():
    """Logits at stride 16 as well, enlarged bilinearly, with a loss of their own; for training."""
    from segnet.loop import Loop, compile_model

    doubled = {}  # the model with both logits, side by side

    def compile_both(model, plan, steps, weights=None, loss=None):
        import keras

        classes = model.output_shape[-1]
        x = keras.layers.Conv2D(classes, 1, name="auxiliary")(model.get_layer(AUXILIARY_AT).output)
        x = keras.ops.image.resize(x, plan.size, interpolation="bilinear")
        both = keras.layers.Concatenate(name="both")([model.output, x])
        doubled[id(model)] = keras.Model(model.inputs[0], both)

        def losses(k, _, weights):
            one = loss(k, classes, weights)
            return lambda truth, logits: (
                one(truth, logits[..., :classes]) + AUXILIARY * one(truth, logits[..., classes:])
            )

        compile_model(doubled[id(model)], plan, steps, weights, losses)

    class Doubled(Loop):
        def __init__(self, model, *words, **more):
            super().__init__(doubled[id(model)], *words, **more)
            keep = self.hooks.keep
            self.hooks = self.hooks._replace(keep=lambda _, folder, name: keep(model, folder, name))

    with (
        patch("segnet.loop.compile_model", compile_both),
        patch("segnet.loop.Loop", Doubled),
    ):
        yield


def with_teacher(folder: Path, plan, seed: int) -> dict:
    teacher = folder.with_name(f"{TEACHER}-seed0")
    learning = replace(plan("base", seed), teacher=str(teacher))
    return {teacher: plan(TEACHER, 0), folder: learning}


def growing(folder: Path, plan, seed: int) -> dict:
    """Half of the epochs on small images, the other half from there."""
    whole, first = plan("base", seed), folder.with_name(f"{folder.name}-first")
    size = tuple(round(SMALLER * side / 32) * 32 for side in whole.size)
    half = whole.epochs // 2
    return {
        first: replace(whole, size=size, epochs=half),
        folder: replace(whole, epochs=whole.epochs - half, weights=str(first)),
    }


IDEAS = {
    AS_IT_IS: Idea("the recipe"),
    "random": Idea("deconvolutions begin at random", random_deconvolutions),
    "average": Idea("average of the weights (EMA)", averaged),
    "auxiliary": Idea("second loss at stride 16", auxiliary),
    "teacher": Idea(f"{TEACHER}'s answers as well (distillation)", runs=with_teacher),
    "growing": Idea(f"half of the epochs at {SMALLER:g} of the sides", runs=growing),
}


def best(folder: Path) -> float:
    with open(folder / "history.csv", newline="") as file:
        return max(float(row["miou"]) for row in csv.DictReader(file))


def checkerboards(folder: Path, idea: Idea) -> tuple[float, float]:
    """Before the first step of the run in `folder`, and of its best weights."""
    from segnet import backend
    from segnet.build import build
    from segnet.run import load_run
    from segnet.weights import load_encoder

    model, plan, manifest = load_run(folder, (FAR, FAR))
    k, classes = backend.start(), len(manifest["dataset"]["classes"])
    backend.seed_everything(plan.seed)
    with idea.changed():
        fresh = build(k, plan.network(), (FAR, FAR), classes)
    load_encoder(fresh, plan.network(), plan.weights)
    return checkerboard(fresh), checkerboard(model)


def checkerboard(model) -> float:
    """How far a constant image's logits differ from pixel to pixel, as a share of how far they
    differ from class to class: standard deviations, over the 32x32 pixels in the middle."""
    _, height, width, channels = model.input_shape
    grey = np.full((1, height, width, channels), 0.5, np.float32)
    logits = np.asarray(model(grey))[0]
    top, left = height // 2 - 16, width // 2 - 16
    block = logits[top : top + 32, left : left + 32]
    return float(block.std((0, 1)).mean() / block.mean((0, 1)).std())


def table(found: dict[str, list[Score]]) -> str:
    """Markdown; lead: of the mean over that of the recipe as it is, in points; checkerboards: of
    the seeds' means, in per cent."""
    lines = [
        "| idea | mIoU of the seeds | mean | lead | checkerboard at first, % | trained, % |",
        "|---|---|---|---|---|---|",
    ]
    means = {
        name: [statistics.mean(part) for part in zip(*scores, strict=True)]
        for name, scores in found.items()
    }
    for name, (mean, first, trained) in means.items():
        compared = AS_IT_IS in means and name != AS_IT_IS
        lead = f"{100 * (mean - means[AS_IT_IS][0]):+.2f}" if compared else ""
        each = ", ".join(f"{score.miou:.4f}" for score in found[name])
        lines.append(
            f"| {IDEAS[name].says} | {each} | {mean:.4f} | {lead} "
            f"| {100 * first:.1f} | {100 * trained:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
