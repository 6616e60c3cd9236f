"""python -m benchmarks.ideas --data DIR --out DIR: alternative ways to train `base`.

Each idea changes one thing about the training and uses the same seeds: the initialisation of
deconvolutions, an average of the weights, a second loss, a teacher, smaller images at first. Runs
are in OUT/IDEA-seedN; interrupted ones resume. mIoU is that of the best epoch on the validation
set. The checkerboard is measured on a constant image, before training and at the best epoch.
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
AVERAGE = 0.99  # decay of the moving average per step; lower in the first steps
AUXILIARY = 0.4  # weight of the second loss (PSPNet, Zhao et al. 2017)
AUXILIARY_AT = "deconv1_join"  # layer of stride 16
TEACHER = "large"
SMALLER = 0.6  # of the input size, in the first half of "growing"
FAR = 1024  # side of an image so large that padding does not affect the logits at its centre


def main() -> None:
    parser = cli.parser("python -m benchmarks.ideas", "Compare alternative ways to train base.")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the runs")
    parser.add_argument(
        "--ideas", nargs="+", default=[*IDEAS], metavar="NAME",
        help=f"(default all: {', '.join(IDEAS)})",
    )  # fmt: skip
    parser.add_argument(
        "--size", nargs=2, type=int, default=(160, 192), metavar=("H", "W"),
        help="input size in pixels (default 160 192)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="(default 30)")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1], metavar="N",
        help="one run each (default 0 1)",
    )  # fmt: skip
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR",
        help="folder of .h5 encoder weights; without it all networks start from random weights",
    )  # fmt: skip
    args = parser.parse_args()
    found = {cli.one_of(name, IDEAS, "idea"): [] for name in args.ideas}
    for name, scores in found.items():
        for seed in args.seeds:
            scores.append(train_idea(name, seed, args))
    print(table(found))


def train_idea(name: str, seed: int, args):
    """The Score of an idea's run, trained unless it is finished."""
    from benchmarks.accuracy import train_once, weights_file
    from segnet.plan import Plan
    from segnet.presets import PRESETS

    def plan(preset: str, seed: int) -> Plan:
        weights = weights_file(PRESETS[preset], args.weights_folder)
        return Plan(args.data, preset, args.size, args.epochs, weights=weights, seed=seed)

    idea, folder = IDEAS[name], args.out / f"{name}-seed{seed}"
    for run, wanted in idea.runs(folder, plan, seed).items():
        with idea.changed():
            train_once(wanted, run)
    return Score(best(folder), *checkerboards(folder, idea))


class Idea(NamedTuple):
    """changed(): a context manager under which training is changed.

    runs(folder, plan, seed): the plans to train by run folder, in order, the one in `folder` last;
    plan(preset, seed) is the unchanged plan.
    """

    title: str
    changed: Callable = nullcontext
    runs: Callable = lambda folder, plan, seed: {folder: plan("base", seed)}


class Score(NamedTuple):
    """The mIoU of a run as a fraction, and its checkerboard before and after training."""

    miou: float
    first: float
    trained: float


def random_deconvolutions():
    """Deconvolutions are initialised at random instead of as smooth upsampling."""
    return patch("segnet.blocks.smooth_taps", lambda k: k.initializers.HeNormal())


class Average:
    """The moving average of all variables of a model, including batch norm statistics."""

    def __init__(self, model):
        import keras

        self.model = model
        self.means = [keras.Variable(np.asarray(v), trainable=False) for v in model.variables]

    def update(self, step: int) -> None:
        """Moves the averages towards the variables; step: number of steps before this one."""
        decay = min(AVERAGE, (step + 1) / (step + 10))
        for mean, variable in zip(self.means, self.model.variables, strict=True):
            mean.assign(mean * decay + variable * (1 - decay))

    def applied(self, function):
        """`function`, called while the model has the averages as its variables."""

        def with_means(*args):
            kept = [np.asarray(variable) for variable in self.model.variables]
            self.put(self.means)
            found = function(*args)
            self.put(kept)
            return found

        return with_means

    def put(self, values) -> None:
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.assign(value)


@contextmanager
def averaged():
    """Evaluates and saves a moving average of the weights instead of the weights."""
    from segnet.loop import Loop

    class Averaged(Loop):
        def __init__(self, model, *args, **options):
            super().__init__(model, *args, **options)
            self.average, self.train = Average(model), model.train_on_batch
            model.train_on_batch = self.train_and_average
            evaluate, keep = map(self.average.applied, (self.hooks.evaluate, self.hooks.keep))
            self.hooks = self.hooks._replace(evaluate=evaluate, keep=keep)

        @property
        def variables(self):
            return [*super().variables, *self.average.means]

        def train_and_average(self, *batch):
            loss = self.train(*batch)
            self.average.update(self.step)
            return loss

    with patch("segnet.loop.Loop", Averaged):
        yield


@contextmanager
def auxiliary():
    """A second loss, on logits at stride 16 that are upsampled bilinearly; only for training."""
    from segnet.loop import Loop, compile_model

    doubled = {}  # by id of a model, the one whose output is both logits, concatenated

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
        def __init__(self, model, *args, **options):
            super().__init__(doubled[id(model)], *args, **options)
            keep = self.hooks.keep
            self.hooks = self.hooks._replace(keep=lambda _, *rest: keep(model, *rest))

    with (
        patch("segnet.loop.compile_model", compile_both),
        patch("segnet.loop.Loop", Doubled),
    ):
        yield


def with_teacher(folder: Path, plan, seed: int) -> dict:
    """The teacher, trained once for all seeds, then distillation from it."""
    teacher = folder.with_name(f"{TEACHER}-seed0")
    student = replace(plan("base", seed), teacher=str(teacher))
    return {teacher: plan(TEACHER, 0), folder: student}


def growing(folder: Path, plan, seed: int) -> dict:
    """Half of the epochs on smaller images; the other half continues from those weights."""
    full, first = plan("base", seed), folder.with_name(f"{folder.name}-first")
    size = tuple(round(SMALLER * side / 32) * 32 for side in full.size)
    half = full.epochs // 2
    return {
        first: replace(full, size=size, epochs=half),
        folder: replace(full, epochs=full.epochs - half, weights=str(first)),
    }


IDEAS = {
    AS_IT_IS: Idea("the recipe"),
    "random": Idea("deconvolutions initialised at random", random_deconvolutions),
    "average": Idea("average of the weights (EMA)", averaged),
    "auxiliary": Idea("second loss at stride 16", auxiliary),
    "teacher": Idea(f"distillation from `{TEACHER}`", runs=with_teacher),
    "growing": Idea(f"half of the epochs at {SMALLER:g} of the input size", runs=growing),
}


def best(folder: Path) -> float:
    """The best mIoU in the history of a run."""
    with open(folder / "history.csv", newline="") as file:
        return max(float(row["miou"]) for row in csv.DictReader(file))


def checkerboards(folder: Path, idea: Idea) -> tuple[float, float]:
    """`checkerboard` of the untrained network of the run in `folder`, and of its best weights."""
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
    """Strength of the checkerboard artefact in the logits of a constant grey image.

    Standard deviation from pixel to pixel over the central 32x32 pixels, relative to the standard
    deviation from class to class.
    """
    _, height, width, channels = model.input_shape
    grey = np.full((1, height, width, channels), 0.5, np.float32)
    logits = np.asarray(model(grey))[0]
    top, left = height // 2 - 16, width // 2 - 16
    block = logits[top : top + 32, left : left + 32]
    return float(block.std((0, 1)).mean() / block.mean((0, 1)).std())


def table(found: dict[str, list[Score]]) -> str:
    """Markdown. Lead: difference of the mean mIoU from that of the unchanged recipe, in points.

    The checkerboards are means of the seeds in per cent.
    """
    lines = [
        "| idea | mIoU of the seeds | mean | lead | checkerboard at first, % | trained, % |",
        "|---|---|---|---|---|---|",
    ]
    means = {
        name: [statistics.mean(column) for column in zip(*scores, strict=True)]
        for name, scores in found.items()
    }
    for name, (mean, first, trained) in means.items():
        compared = AS_IT_IS in means and name != AS_IT_IS
        lead = f"{100 * (mean - means[AS_IT_IS][0]):+.2f}" if compared else ""
        each = ", ".join(f"{score.miou:.4f}" for score in found[name])
        lines.append(
            f"| {IDEAS[name].title} | {each} | {mean:.4f} | {lead} "
            f"| {100 * first:.1f} | {100 * trained:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
