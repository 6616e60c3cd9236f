"""The gate's checks and the report's values, in the words and units that people read."""

from typing import NamedTuple

from export.proof import gate
from export.recipes import Recipe
from segnet.plan import Plan

SOME = 3  # of many, where a sentence names examples


class Measure(NamedTuple):
    """How the page names a value of the gate and writes it: `scale` times the value, then `unit`.

    places: digits after the decimal point; None for three significant digits.
    """

    name: str
    scale: float = 1.0
    unit: str = ""
    places: int | None = None

    def write(self, value) -> str:
        if value is None:
            return "–"
        value = self.scale * (len(value) if isinstance(value, list) else value)
        digits = f"{value:.3g}" if self.places is None else number(value, self.places)
        return digits + self.unit

    def write_bound(self, value: float) -> str:
        text = f"{self.scale * value:g}{self.unit}"
        return text.removesuffix("s") if text in (f"1{POINTS}", f"1{LEVELS}") else text


PERCENT, POINTS, LEVELS, DECIBELS = "\u00a0%", "\u00a0points", "\u00a0levels", "\u00a0dB"
# By name of the limit. The others are named by the gate's own text, their `why`.
MEASURES = {
    "graph_error": Measure("largest difference of the float graph's logits to Keras', relative"),
    "weight_error": Measure("largest difference of a stored weight to the float graph's, in steps "
                            "of its type; rounding is at most half a step"),
    "layer_snr": Measure("signal to quantisation noise ratio of the worst channel of the worst "
                         "layer", 1, DECIBELS, 1),
    "logit_bias": Measure("largest mean difference of a class's logits to the float model",
                          100, PERCENT, 2),
    "logit_scale_error": Measure("difference of scale between the file's logits and the float "
                                 "model's", 100, PERCENT, 2),
    "pixel_agreement": Measure("pixel agreement with the float model", 100, PERCENT, 3),
    "miou_difference": Measure("difference of Keras' mIoU on the validation images to that of the "
                               "training", 100, POINTS, 2),
    "miou_drop": Measure("drop of mIoU against Keras", 100, POINTS, 2),
    "worst_class_drop": Measure("drop of IoU of the worst class against Keras", 100, POINTS, 2),
    "minority": Measure("pixels outside the class predicted most, relative to the ground truth's",
                        100, PERCENT, 1),
    "mistakes_seen": Measure("of the mistakes below with the input, those that change the masks"),
    "claim_faults": Measure("weights, input or output that are not of the recipe's types or "
                            "scales"),
    "target_faults": Measure("operators that a requested target does not support"),
    "contract_agreement": Measure("pixels of the golden photo to which a program that follows the "
                                  "contract gives the same class as this project's code",
                                  100, PERCENT, 2),
    "float_operators": Measure("operators that compute in float, other than layers kept in float"),
    "clipped": Measure("largest fraction of a layer's values outside its int8 range",
                       100, PERCENT, 2),
    "head_error": Measure("difference of the output to softmax or argmax of the logits"),
    "calibration_error": Measure("mean difference of a calibration image to what an app would "
                                 "feed", 1, LEVELS, 2),
    "largest_activation": Measure("largest activation (float16 holds at most 65504)"),
}  # fmt: skip
# By name in the report's `mistakes`: what an app that makes the mistake does.
MISTAKES = {
    "channel order": "passed the channels in the order BGR instead of RGB",
    "range": "passed the input in the range 0 to 1 instead of the contract's range",
    "label order": "shifted the labels by one",
    "resize rule": "resized the image bilinearly instead of by the contract's rule",
}

ELSEWHERE = ("data", "preset", "size", "epochs")  # options with a place of their own


class Checked(NamedTuple):
    """A value with its limit, as text. bound: "" where the limit does not apply to the recipe."""

    value: str
    bound: str
    failed: bool


def mistake(name: str) -> str:
    return MISTAKES.get(name, f"made the mistake {name}")


def measure_of(limit) -> Measure:
    return MEASURES.get(limit.name, Measure(limit.why))


def check(limit, report: dict, recipe: Recipe) -> Checked:
    """The value that a limit of the gate is about, its bound and whether the gate refused it."""
    applies = gate.applies(limit, recipe, gate.asked(report))
    bound = bound_of(limit, report) if applies else ""
    failed = any(is_about(reason, limit) for reason in report["reasons"])
    return Checked(measure_of(limit).write(report.get(limit.name)), bound, failed)


def bound_of(limit, report: dict) -> str:
    value, measure = report.get(limit.name), measure_of(limit)
    if value is None:
        return gate.why_missing(limit, report)
    most, least = (report.get(b) if isinstance(b, str) else b for b in (limit.most, limit.least))
    if (isinstance(value, list) and most == 0) or (measure.unit == PERCENT and least == 1):
        return f"must be {measure.write_bound(least or most)}"
    bounds = (("at most", most), ("at least", least))
    return ", ".join(f"{words} {measure.write_bound(b)}" for words, b in bounds if b is not None)


def is_about(reason: str, limit) -> bool:
    return reason.startswith(f"{limit.name} is ")


def plain_reasons(report: dict, recipe: Recipe) -> list[str]:
    """The reasons of a refusal in plain words; one that is not about a limit is left as it is."""
    lines = []
    for reason in report["reasons"]:
        limit = next((limit for limit in gate.LIMITS if is_about(reason, limit)), None)
        if limit:
            name, (value, bound, _) = measure_of(limit).name, check(limit, report, recipe)
            if bound.startswith("not measured"):
                reason = f"{name}: {bound}"
            elif bound.startswith("must"):
                reason = f"{name}: {value}{some(report[limit.name])}; {bound}"
            else:
                reason = f"{name} is {value}; the limit is {bound}"
        lines.append(reason)
    return lines


def some(value) -> str:
    """The first elements of a list, in brackets; "" for a number."""
    if not isinstance(value, list):
        return ""
    return f" ({', '.join(value[:SOME])}{', ...' if len(value) > SOME else ''})"


def other_options(plan: Plan, command: list[str]) -> list[tuple[str, object]]:
    """(flag, value) of the options that the page shows neither elsewhere nor in the command."""
    shown = {word.partition("=")[0] for word in command} | {f"--{name}" for name in ELSEWHERE}
    options = {f"--{name.replace('_', '-')}": value for name, value in vars(plan).items()}
    unset = {"--teacher": "", "--width": 0, "--trust-times": False}
    return [
        (flag, value)
        for flag, value in options.items()
        if flag not in shown and value != unset.get(flag)
    ]


# Numbers for people


def number(value: float, places: int) -> str:
    return f"{value:z.{places}f}".replace("-", "−")


def percent(value: float, places: int = 2) -> str:
    return f"{number(100 * value, places)}{PERCENT}"


def points(value: float, unit: str = POINTS) -> str:
    """A difference of two fractions in percentage points."""
    return f"{number(100 * value, 2)}{unit}"


def ms(value: float) -> str:
    return f"{number(value, 2 if value >= 1 else 3)}\u00a0ms"


def megabytes(value: int) -> str:
    return f"{value / 1e6:.3f}\u00a0MB"
