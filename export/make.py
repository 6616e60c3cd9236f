"""Makes the kits of a finished run: lower, convert, measure, check, write, recipe by recipe."""

import dataclasses
import math
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cli
from cli import Refusal, Verdict, one_of
from export.graph import equalise, keep_float
from export.graph.convert import to_tflite
from export.graph.deploy import lowering
from export.graph.lowering import ASKED, choose
from export.kit.write import write_kit
from export.proof import gate, golden, measure
from export.proof.accuracy import Ended, accuracy
from export.proof.contract import make_contract
from export.proof.layer_errors import file_input, layer_errors
from export.proof.remarks import remarks, run_remarks
from export.proof.resized import resize_figures
from export.proof.score import subset_miou
from export.recipes import OUTPUT_BY_NAME, Recipe, parse
from export.refuse import accept, no_lowering, refuse
from export.report.report import write as write_report
from export.targets.audit import TARGETS
from export.tflite import head
from export.tflite.metadata import add_metadata
from export.tflite.runtime import Runtime
from export.trained import Trained, load
from export.tune import fine_plan, lowering_file, tune, twin_of
from files import held, read_json, write_json
from segnet.run import read_run, sweep

CLASS_DROP = 5  # times --max-drop: what one class may lose
GPU_IMAGES = 16


@dataclasses.dataclass(frozen=True)
class Choices:
    """The options of an export."""

    targets: tuple[str, ...] = ("xnnpack",)
    lower: str = "table"
    max_drop: float = 0.01  # largest drop in mIoU, a fraction
    keep_float: tuple[str, ...] = ()  # layers that int8 keeps in float
    repair: bool = False  # whether int8 searches for such layers
    sparsity: float = 0.7  # fraction of weights that sparse recipes set to zero
    epochs: int | None = None  # of fine-tuning; None: as many as its kind is known to need
    output: str = "logits"  # what the file gives

    def __post_init__(self):
        one_of(self.output, OUTPUT_BY_NAME, "output")
        for name in self.targets:
            one_of(name, TARGETS, "target")
        if self.lower not in ASKED:
            lowering(self.lower)
        if not math.isfinite(self.max_drop):
            raise Refusal(f"--max-drop is {self.max_drop}; needed: a number of points")
        if not 0 < self.sparsity < 1:
            raise Refusal(f"--sparsity is {self.sparsity}; needed: between 0 and 1")
        if self.epochs is not None and self.epochs < 1:
            raise Refusal(f"--epochs is {self.epochs}; needed: 1 or more")


class Made(NamedTuple):
    """A file and what it is compared with.

    graph: the float graph that was converted, of Keras or tf_keras. float_model: it as a function
    from (1, H, W, 3) in [-1, 1] to logits, Keras itself unless the file was fine-tuned. kept: the
    layers that stay in float. fine: the `FinePlan`, if it was fine-tuned.
    """

    content: bytes
    graph: object
    float_model: Callable
    graph_error: float
    kept: tuple[str, ...] = ()
    fine: object = None


class Exporter:
    """Makes the kits of one run. What recipes share (lowerings, the float32 file) is made once."""

    def __init__(self, trained: Trained, choices: Choices):
        self.trained, self.choices = trained, choices
        self.output = OUTPUT_BY_NAME[choices.output]
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
        if self.choices.lower in ASKED and path.exists():
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

    def made(self, recipe: Recipe, lowering) -> Made:
        trained = self.trained
        graph = trained.graph(lowering)
        if recipe.kernels == "int8":
            found = equalise.ranges(trained.graph(lowering, batch=None), trained.calibration)
            equalise.equalise(graph, found)
        if recipe.training:
            return self.tuned(recipe, graph, lowering)
        error = measure.graph_error(graph, trained.keras, trained.samples)
        kept, images = (), None
        if recipe.calibrated:
            images = trained.calibration
            kept = self.repaired(graph, recipe) if self.choices.repair else self.choices.keep_float
        content = to_tflite(graph, recipe, images, kept)
        return Made(content, graph, trained.keras, error, kept)

    def tuned(self, recipe: Recipe, graph, lowering) -> Made:
        trained, choices = self.trained, self.choices
        twin = twin_of(trained, graph, lowering)
        error = measure.graph_error(twin, trained.keras, trained.samples)
        fine = fine_plan(trained, recipe.training, choices.sparsity, choices.epochs)
        model = tune(trained, recipe.training, twin, fine)
        return Made(
            to_tflite(model, recipe), model,
            lambda image: model.predict_on_batch(file_input(recipe, image)), error, (), fine,
        )  # fmt: skip

    def repaired(self, graph, recipe: Recipe) -> tuple[str, ...]:
        """The layers that `keep_float.search` keeps in float to meet --max-drop."""
        trained, inputs = self.trained, self.trained.calibration

        def miou(function):
            return subset_miou(function, trained.dataset, trained.plan.size)

        def measure_miou(layers):
            return miou(Runtime(to_tflite(graph, recipe, inputs, layers)))

        plain = to_tflite(graph, recipe, inputs)
        errors = layer_errors(plain, graph, recipe, trained.samples)
        enough = miou(trained.keras) - self.choices.max_drop
        groups = keep_float.candidates(graph, errors)
        return keep_float.search(measure_miou, groups, enough, cli.say)

    def export(self, recipe: Recipe) -> dict:
        """Writes runs/NAME/export/RECIPE, or RECIPE-OUTPUT, and returns its report.

        Raises Verdict if the gate refuses the file and Refusal if there can be none.
        """
        trained = self.trained
        out = trained.folder / "export" / self.output.kit(recipe)
        self.check(recipe)
        lowering, costs = self.lowering_of(recipe)
        report = self.opening(recipe, lowering, costs)
        unread = gate.unmeasured("the file was refused before it was run")
        if not lowering:
            reason = no_lowering(self.choices.targets, costs)
            refuse(out, report | {"not_measured": unread}, [reason])
        made = self.made(recipe, lowering)
        logits = add_metadata(made.content, trained.dataset.classes)
        content = self.ended(made.content, logits)
        report |= {"graph_error": made.graph_error, **self.structure(content, logits, recipe, made)}
        if reasons := gate.failures(report, early=True):
            refuse(out, report | {"not_measured": unread}, reasons, content)
        contract = make_contract(content, recipe.name, lowering.name, self.choices.targets, trained)
        photo, mistakes = golden.pick_photo(contract, Runtime(content), trained.dataset)
        report |= self.measured(recipe, made, content, logits, contract, photo, mistakes)
        report["miou_difference"] = abs(trained.miou(report) - trained.manifest["best"]["miou"])
        report["remarks"] = run_remarks(trained) + remarks(trained, report)
        if reasons := gate.failures(report):
            refuse(out, report, reasons, content)
        contract["proof"] = {
            "judged_on": report["judged_on"], "images": report["judged_images"],
            "remarks": report["remarks"],
        }  # fmt: skip
        passed = {"verdict": "yes", "reasons": [], **report}
        if faults := write_kit(out, content, contract, passed, photo, trained.dataset):
            refuse(out, report, [f"its kit fails {line}" for line in faults], content)
        accept(out)
        return read_json(out / "report.json")

    def check(self, recipe: Recipe) -> None:
        """Raises Refusal for options that contradict the recipe."""
        if recipe.output == "uint8" and (self.choices.keep_float or self.choices.repair):
            raise Refusal(
                "it is for processors without float arithmetic, so that no layer can stay in "
                "float. Leave out --keep-float and --repair, or choose --recipe int8"
            )
        ids = self.output.values == "classes"
        if ids and "gpu" in self.choices.targets and recipe.kernels == "int8":
            raise Refusal(
                "the classes of an integer file cannot be proven on GPUs, which compute it in "
                "float. Type --recipe float16, or --output logits"
            )

    def ended(self, content: bytes, logits: bytes) -> bytes:
        """The file with its output. content: without metadata; logits: with those of logits."""
        if self.output.name == "logits":
            return logits
        made = head.append(content, self.output.name, padded="gpu" in self.choices.targets)
        return add_metadata(made, self.trained.dataset.classes, self.output.values)

    def opening(self, recipe: Recipe, lowering, costs: dict) -> dict:
        """The report's first lines: what is made, and the limits that depend on it."""
        return {
            "recipe": recipe.name,
            "output": self.output.name,
            "weights": self.trained.weights,
            "lowering": lowering and lowering.name,
            "lowerings": costs,
            "asked_targets": list(self.choices.targets),
            "pixel_agreement_floor": recipe.pixel_agreement,
            "layer_snr_floor": recipe.snr,
            "logit_bias_most": recipe.logits,
            "head_error_most": self.output.error_most(recipe),
            "max_drop": self.choices.max_drop,
            "max_class_drop": CLASS_DROP * self.choices.max_drop,
        }

    def structure(self, content: bytes, logits: bytes, recipe: Recipe, made: Made) -> dict:
        typed = self.output.of(recipe)
        found = measure.structure(content, typed, made.kept, made.fine, logits)
        return found | {
            "claim_faults": found["claim_faults"] + measure.output_faults(content, self.output)
        }

    def measured(
        self, recipe: Recipe, made: Made, content, logits, contract, photo, mistakes
    ) -> dict:
        """The layers are those of the file that gives logits, all else is of the file itself."""
        trained, targets = self.trained, self.choices.targets
        dataset, split, values = trained.dataset, trained.judge, self.output.values
        ended = None if content is logits else Ended(Runtime(content), values)
        return {
            **accuracy(
                trained.keras, made.float_model, Runtime(logits), dataset, split,
                trained.plan.size, ended,
            ),
            **resize_figures(Runtime(content), dataset, split, trained.plan.size, values),
            **measure.layers(logits, made.graph, recipe, trained.samples),
            **measure.range_figures(made.graph, recipe, trained, targets),
            **measure.delegation(content, targets, trained.judged(GPU_IMAGES)),
            **measure.contract_figures(contract, content, dataset.classes, photo),
            **measure.mistake_figures(mistakes),
            **(self.calibration_figures(contract) if recipe.calibrated else {}),
            **measure.speed(content, self.float32),
        }  # fmt: skip

    def calibration_figures(self, contract: dict) -> dict:
        trained = self.trained
        return {
            "calibration_distance": trained.calibration_distance,
            "calibration_error": measure.calibration_error(
                contract, trained.calibration_pairs, trained.calibration
            ),
        }


def export_run(folder: Path, recipes="float32", choices: Choices | None = None):
    """(reports of the accepted recipes by name, messages of those that are not made).

    A recipe that is refused or cannot be made leaves the others. Raises Refusal if none can.
    """
    rows, reports, ends = parse(recipes), {}, []
    if (backend := os.environ.get("KERAS_BACKEND", "tensorflow")) != "tensorflow":
        raise Refusal(f"the converter needs TensorFlow, but KERAS_BACKEND is {backend}: unset it")
    read_run(folder)
    with held(folder):
        sweep(Path(folder) / "export", ("report.html", "*.refused.*"))
        exporter = Exporter(load(folder), choices or Choices())
        for line in run_remarks(exporter.trained):
            cli.say(f"note: {line}")
        for recipe in rows:
            cli.say(f"{recipe.name} ...")
            try:
                reports[exporter.output.kit(recipe)] = exporter.export(recipe)
            except Verdict as verdict:
                ends.append(verdict)
            except Refusal as refusal:
                ends.append(Refusal(f"{recipe.name}: {refusal}"))
        if not reports and all(isinstance(end, Refusal) for end in ends):
            raise Refusal("; ".join(map(str, ends)))
        write_report(exporter.trained.folder)
    return reports, [str(end) for end in ends]
