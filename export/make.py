"""Makes the kits of a finished run: lower, convert, measure, check, write, recipe by recipe."""

import dataclasses
import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

import cli
from cli import Refusal, Verdict, one_of
from export.graph import calibration, equalise, keep_float
from export.graph.convert import to_tflite
from export.graph.deploy import deploy, lowering
from export.graph.lowering import choose
from export.kit.write import write_kit
from export.proof import gate, golden, measure
from export.proof.contract import make_contract
from export.proof.layer_errors import layer_errors
from export.proof.score import keras_function, subset_miou
from export.recipes import Recipe, parse
from export.refuse import no_lowering, refuse, refused_file
from export.report.report import write as write_report
from export.targets.audit import TARGETS
from export.tflite.metadata import add_metadata
from export.tflite.runtime import Runtime
from export.tune import lowering_file, tune
from files import read_json, write_json


@dataclasses.dataclass(frozen=True)
class Choices:
    """The options of an export."""

    targets: tuple[str, ...] = ("xnnpack",)
    lower: str = "auto"
    max_drop: float = 0.01  # largest drop in mIoU, a fraction
    keep_float: tuple[str, ...] = ()  # layers that calibrated int8 recipes keep in float
    repair: bool = False  # whether those recipes search for such layers
    sparsity: float = 0.7  # fraction of weights that sparse recipes set to zero
    epochs: int | None = None  # of fine-tuning; None: as many as its kind is known to need

    def __post_init__(self):
        for name in self.targets:
            one_of(name, TARGETS, "target")


@dataclasses.dataclass
class Trained:
    """A finished run and what all recipes need of it, computed once."""

    folder: Path
    model: object
    plan: object
    manifest: dict
    dataset: object

    @property
    def network(self):
        return self.plan.network()

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the weights file that the kits are made from."""
        return hashlib.sha256((self.folder / "best.weights.h5").read_bytes()).hexdigest()

    @cached_property
    def calibration(self) -> np.ndarray:
        return calibration.inputs(calibration.sample(self.dataset), self.plan.size)

    @cached_property
    def training_histogram(self) -> np.ndarray:
        return calibration.histogram(calibration.random_inputs(self.dataset, self.plan.size))

    def graph(self, lowering, k=None, batch=1):
        return deploy(
            self.model, self.network, self.plan.size, len(self.dataset.classes), lowering, k, batch
        )


def load(folder: Path) -> Trained:
    """A finished run. Raises Refusal if it is not one or its dataset now has other classes."""
    from data.dataset import read_dataset
    from segnet.run import load_run

    folder = Path(folder)
    model, plan, manifest = load_run(folder)
    dataset = read_dataset(plan.data, plan.damaged)
    if dataset.classes != manifest["dataset"]["classes"]:
        raise Refusal(
            f"the classes of {plan.data} are not those that {folder} was trained on; restore them"
        )
    return Trained(folder, model, plan, manifest, dataset)


class Exporter:
    """Makes the kits of one run. What recipes share (lowerings, the float32 file) is made once."""

    def __init__(self, trained: Trained, choices: Choices):
        self.trained, self.choices = trained, choices
        self.lowerings = {}  # kernels -> (lowering, cost of each candidate)

    def lowering(self, kernels: str):
        """The result of `choose` for `kernels`, computed once."""
        if kernels not in self.lowerings:
            found = choose(self.trained, kernels, self.choices.targets, self.choices.lower)
            self.lowerings[kernels] = found
        return self.lowerings[kernels]

    def lowering_of(self, recipe: Recipe):
        """As `lowering`, but a fine-tuning that is resumed keeps its first lowering."""
        if not recipe.training:
            return self.lowering(recipe.kernels)
        path = lowering_file(self.trained.folder, recipe.training)
        if self.choices.lower == "auto" and path.exists():
            name = read_json(path)["lowering"]
            return lowering(name), {name: "the fine-tuning was started with it"}
        found, costs = self.lowering(recipe.kernels)
        if found:
            write_json(path, {"lowering": found.name})
        return found, costs

    @cached_property
    def float32(self) -> bytes:
        """The file that the others are compared with."""
        return to_tflite(self.trained.graph(self.lowering("float")[0]))

    def content(self, recipe: Recipe, lowering) -> tuple[bytes, object, tuple]:
        """(the file, its float deploy graph or None if it was fine-tuned, its float layers)."""
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

    def tuned(self, kind: str, graph, lowering):
        choices = self.choices
        return tune(self.trained, kind, graph, lowering, choices.sparsity, choices.epochs)

    def repaired(self, graph, recipe: Recipe) -> tuple[str, ...]:
        """The layers that `keep_float.search` keeps in float to meet --max-drop."""
        trained, inputs = self.trained, self.trained.calibration

        def miou(function):
            return subset_miou(function, trained.dataset, trained.plan.size)

        def measure_miou(layers):
            return miou(Runtime(to_tflite(graph, recipe, inputs, layers)))

        errors = layer_errors(to_tflite(graph, recipe, inputs), graph, inputs[: measure.LOOKED_AT])
        enough = miou(keras_function(trained.model)) - self.choices.max_drop
        groups = keep_float.candidates(graph, errors)
        return keep_float.search(measure_miou, groups, enough, cli.say)

    def export(self, recipe: Recipe) -> dict:
        """Writes runs/NAME/export/RECIPE and returns its report. Raises Verdict if refused."""
        trained = self.trained
        out = trained.folder / "export" / recipe.name
        lowering, costs = self.lowering_of(recipe)
        report = {
            "recipe": recipe.name,
            "weights": trained.weights,
            "lowering": lowering and lowering.name,
            "lowerings": costs,
            "pixel_agreement_floor": recipe.pixel_agreement,
            "max_drop": self.choices.max_drop,
        }
        if not lowering:
            refuse(out, report, [no_lowering(self.choices.targets, costs)])
        content, graph, kept = self.content(recipe, lowering)
        content = add_metadata(content, trained.dataset.classes)
        report |= measure.structure(content, kept)
        made = None
        if not gate.failures(report):  # a file that cannot run is not measured further
            made = make_contract(content, recipe.name, lowering.name, self.choices.targets, trained)
            photo, mistakes = golden.pick_photo(made, Runtime(content), trained.dataset)
            report |= self.measured(content, made, graph, recipe, photo)
            report["mistakes"] = mistakes
        reasons = gate.failures(report)
        if reasons:
            refuse(out, report, reasons)
        report = {"verdict": "yes", "reasons": [], **report}
        write_kit(out, content, made, report, photo, trained.dataset)
        refused_file(out).unlink(missing_ok=True)
        return report

    def measured(self, content: bytes, made: dict, graph, recipe: Recipe, photo) -> dict:
        trained = self.trained
        return {
            **measure.accuracy(trained, Runtime(content)),
            **measure.delegation(content, self.choices.targets, trained.calibration[:1]),
            **measure.activations(graph, content, recipe, trained.calibration),
            **measure.contract_figures(made, content, trained.dataset.classes, photo),
            "calibration_distance": self.calibration_distance() if recipe.calibrated else None,
            **measure.speed(content, self.float32),
        }

    def calibration_distance(self) -> float:
        mine = calibration.histogram(self.trained.calibration)
        return calibration.distance(mine, self.trained.training_histogram)


def export_run(folder: Path, recipes="float32", choices: Choices | None = None):
    """(reports of the accepted recipes by name, messages of the refused ones)."""
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
