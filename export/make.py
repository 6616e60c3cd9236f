"""A finished run to kits, recipe by recipe: lower, convert, measure, judge, write."""

import dataclasses
import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path

import numpy as np

import cli
from cli import Refusal, Verdict, one_of, read_json, write_json
from export import calibration, equalise, gate, prove
from export.choose import choose
from export.contract import make_contract
from export.convert import to_tflite
from export.deploy import deploy, lowering
from export.errors import layer_errors
from export.kit import write_kit
from export.metadata import add_metadata
from export.recipes import BY_NAME, Recipe
from export.repair import repair, subset_miou, suspects
from export.report import write as write_report
from export.runtime import Runtime
from export.score import keras_function, score_function
from export.targets import TARGETS


@dataclasses.dataclass(frozen=True)
class Choices:
    """What a person may choose of an export."""

    targets: tuple[str, ...] = ("xnnpack",)
    lower: str = "auto"
    max_drop: float = 0.01  # of mIoU, a fraction
    keep_float: tuple[str, ...] = ()  # layers that calibrated int8 recipes leave in float
    repair: bool = False  # those recipes find such layers by themselves
    sparsity: float = 0.7  # share of zeros that sparse recipes make
    epochs: int | None = None  # of fine-tuning; None: as many as its kind is known to need

    def __post_init__(self):
        for name in self.targets:
            one_of(name, TARGETS, "target")


@dataclasses.dataclass
class Trained:
    """A finished run and what every recipe asks of it, made once."""

    folder: Path
    model: object
    plan: object
    manifest: dict
    dataset: object

    @property
    def rows(self):
        return self.plan.rows()

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the weights that the kits are made of."""
        return hashlib.sha256((self.folder / "best.weights.h5").read_bytes()).hexdigest()

    @cached_property
    def calibration(self) -> np.ndarray:
        return calibration.inputs(calibration.sample(self.dataset), self.plan.size)

    @cached_property
    def training_histogram(self) -> np.ndarray:
        drawn = calibration.any_inputs(self.dataset, self.plan.size)
        return calibration.histogram(drawn)

    def graph(self, lowering, k=None, batch=1):
        return deploy(
            self.model, self.rows, self.plan.size, len(self.dataset.classes), lowering, k, batch
        )


def load(folder: Path) -> Trained:
    """Raises Refusal when `folder` is no finished run or its dataset is another one."""
    from data.dataset import read_dataset
    from segnet.run import load_run

    folder = Path(folder)
    model, plan, manifest = load_run(folder)
    dataset = read_dataset(plan.data, plan.damaged)
    if dataset.classes != manifest["dataset"]["classes"]:
        raise Refusal(f"{plan.data} has other classes than {folder} was trained on; restore them")
    return Trained(folder, model, plan, manifest, dataset)


class Exporter:
    """Makes kits of one run; what recipes share, lowerings and the float32 file, is made once."""

    def __init__(self, trained: Trained, choices: Choices):
        self.trained, self.choices = trained, choices
        self.lowerings = {}  # kernels -> (lowering, what each candidate cost)

    def lowering(self, kernels: str):
        """What `choose` found, asked once."""
        if kernels not in self.lowerings:
            found = choose(self.trained, kernels, self.choices.targets, self.choices.lower)
            self.lowerings[kernels] = found
        return self.lowerings[kernels]

    def lowering_of(self, recipe: Recipe):
        """As `lowering`, but a fine-tuning that has begun stays with the one that it began with."""
        if not recipe.training:
            return self.lowering(recipe.kernels)
        path = self.trained.folder / "compress" / recipe.training / "lowering.json"
        if self.choices.lower == "auto" and path.exists():
            name = read_json(path)["lowering"]
            return lowering(name), {name: "of the fine-tuning that has begun"}
        found, costs = self.lowering(recipe.kernels)
        if found:
            write_json(path, {"lowering": found.name})
        return found, costs

    @cached_property
    def float32(self) -> bytes:
        """The file that others are compared with."""
        return to_tflite(self.trained.graph(self.lowering("float")[0]))

    def content(self, recipe: Recipe, lowering) -> tuple[bytes, object, tuple]:
        """(the file; the float deploy graph that it computes, None for a fine-tuned one; the layers
        that it keeps in float)."""
        graph = self.trained.graph(lowering)
        if recipe.kernels == "int8":
            found = equalise.ranges(
                self.trained.graph(lowering, batch=None), self.trained.calibration
            )
            equalise.equalise(graph, found)
        if recipe.training:
            return to_tflite(self.tuned(recipe.training, graph, lowering), recipe), None, ()
        if not recipe.calibrated:
            return to_tflite(graph, recipe), graph, ()
        kept = self.repaired(graph, recipe) if self.choices.repair else self.choices.keep_float
        return to_tflite(graph, recipe, self.trained.calibration, kept), graph, kept

    def repaired(self, graph, recipe: Recipe) -> tuple[str, ...]:
        """The layers that `repair` finds for the choices' --max-drop."""
        trained, inputs = self.trained, self.trained.calibration

        def miou(function):
            return subset_miou(function, trained.dataset, trained.plan.size)

        def measure(layers):
            return miou(Runtime(to_tflite(graph, recipe, inputs, layers)))

        errors = layer_errors(to_tflite(graph, recipe, inputs), graph, inputs[: prove.LOOKED_AT])
        enough = miou(keras_function(trained.model)) - self.choices.max_drop
        return repair(measure, suspects(graph, errors), enough, cli.say)

    def tuned(self, kind: str, graph, lowering):
        """The tf_keras model that fine-tuning makes of `graph`, a deploy graph; it resumes."""
        import tf_keras

        from data.batches import training_batches
        from data.pictures import count_pixels
        from segnet.compress import KINDS, FinePlan
        from segnet.finetune import finetune
        from segnet.losses import class_weights

        trained, plan, dataset = self.trained, self.trained.plan, self.trained.dataset
        twin = trained.graph(lowering, tf_keras, batch=None)
        for layer in twin.layers:
            layer.set_weights(graph.get_layer(layer.name).get_weights())
        weights = class_weights(plan.class_weights, lambda: count_pixels(dataset, "train"))
        steps = max(1, len(dataset.pairs("train")) // plan.batch)
        epochs = KINDS[kind].epochs if self.choices.epochs is None else self.choices.epochs
        fine = FinePlan(steps, epochs, KINDS[kind].learning_rate, plan.batch, seed=plan.seed)
        if kind == "sparse":
            fine = dataclasses.replace(fine, sparsity=self.choices.sparsity)
        return finetune(
            kind, twin, fine, trained.folder / "compress" / kind,
            lambda start: training_batches(
                dataset, plan.size, plan.batch, plan.seed, start, plan.augment
            ),
            self.evaluate, cli.say, weights,
        )  # fmt: skip

    def evaluate(self, model) -> dict:
        """`segnet.metrics.scores` of a model of Keras or tf_keras on the validation set."""
        trained = self.trained
        return score_function(keras_function(model), trained.dataset, "val", trained.plan.size)

    def export(self, recipe: Recipe) -> dict:
        """Writes folder/export/RECIPE and gives its report. Raises Verdict when it is refused."""
        trained = self.trained
        out = trained.folder / "export" / recipe.name
        lowering, costs = self.lowering_of(recipe)
        report = {
            "recipe": recipe.name,
            "weights": trained.weights,
            "lowering": lowering and lowering.name,
            "lowerings": costs,
            "agreement_floor": recipe.agreement,
            "max_drop": self.choices.max_drop,
        }
        if not lowering:
            refuse(out, report, [no_lowering(self.choices.targets, costs)])
        content, graph, kept = self.content(recipe, lowering)
        content = add_metadata(content, trained.dataset.classes)
        report |= prove.structure(content, kept)
        made = None
        if not gate.failures(report):  # what cannot run is not run
            made = make_contract(content, recipe.name, lowering.name, self.choices.targets, trained)
            report |= self.measured(content, made, graph, recipe)
        reasons = gate.failures(report)
        if reasons:
            refuse(out, report, reasons)
        report = {"verdict": "yes", "reasons": [], **report}
        write_kit(out, content, made, report, trained.dataset, trained.plan.size)
        refused_file(out).unlink(missing_ok=True)
        return report

    def measured(self, content: bytes, made: dict, graph, recipe: Recipe) -> dict:
        trained = self.trained
        return {
            **prove.accuracy(trained, Runtime(content)),
            **prove.whole(content, self.choices.targets, trained.calibration[:1]),
            **prove.activations(graph, content, recipe, trained.calibration),
            **prove.promises(made, content, trained.dataset),
            "calibration_distance": self.calibration_distance() if recipe.calibrated else None,
            **prove.speed(content, self.float32),
        }

    def calibration_distance(self) -> float:
        mine = calibration.histogram(self.trained.calibration)
        return calibration.distance(mine, self.trained.training_histogram)


def refused_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.refused.json")


def refuse(out: Path, report: dict, reasons: list[str]) -> None:
    """Leaves the numbers; a kit of the same weights stays, one of older weights goes."""
    write_json(refused_file(out), {"verdict": "no", "reasons": reasons, **report})
    if out.exists() and kit_weights(out) != report["weights"]:
        shutil.rmtree(out)
    raise Verdict(f"{report['recipe']}: refused: {'; '.join(reasons)}. "
                  f"{advice(report)}All numbers: {refused_file(out)}")  # fmt: skip


def no_lowering(targets, costs: dict) -> str:
    reasons = "; ".join(f"{name}: {why}" for name, why in costs.items())
    return f"no lowering runs whole on {', '.join(targets)}: {reasons}"


def kit_weights(out: Path) -> str | None:
    try:
        return json.loads((out / "contract.json").read_text()).get("weights")
    except (OSError, ValueError):
        return None


def advice(report: dict) -> str:
    """What to try, and what lost most; of a file that was not run, only where layers are dead."""
    if dead := report.get("dead_layers"):
        return f"Layers: {', '.join(dead)}. Try --recipe float16, or train the run for longer. "
    if "iou_keras" not in report:
        return ""
    lost = {
        name: before - (report["iou_tflite"][name] or 0.0)
        for name, before in report["iou_keras"].items()
        if before is not None
    }
    worst = sorted(lost, key=lost.get, reverse=True)[:3]
    words = "Classes: " + ", ".join(f"{name} -{lost[name]:.3f}" for name in worst) + ". "
    if report["layer_errors"]:
        layers = [row["layer"] for row in report["layer_errors"][:3]]
        words += f"Layers: {', '.join(layers)}. Try --recipe qat8, or --keep-float {layers[0]}. "
    kind = BY_NAME[report["recipe"]].training
    if kind:
        fewer = ", or fewer zeros with --sparsity" if kind == "sparse" else ""
        words += f"Try more --epochs of fine-tuning{fewer}. "
    return words


def export_run(folder: Path, recipes="float32", choices: Choices | None = None):
    """(reports of the recipes that left, by name; what the gate said of those that did not)."""
    from export.recipes import parse

    rows = parse(recipes)
    exporter = Exporter(load(folder), choices or Choices())
    reports, refused = {}, []
    for recipe in rows:
        cli.say(f"{recipe.name} ...")
        try:
            reports[recipe.name] = exporter.export(recipe)
        except Verdict as verdict:
            refused.append(str(verdict))
    write_report(exporter.trained.folder)
    return reports, refused
