"""The gate's checks and the report's values, in the words and units that people read."""

from typing import NamedTuple

from export.proof import gate
from export.recipes import Recipe

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
        return f"{self.scale * value:g}{self.unit}"


PERCENT, POINTS = "\u00a0%", "\u00a0points"
# By name of the limit. The others are named by the gate's own text, their `why`.
MEASURES = {
    "pixel_agreement": Measure("pixel agreement with Keras", 100, PERCENT, 3),
    "miou_drop": Measure("drop of mIoU against Keras, in points", 100, "", 2),
    "target_faults": Measure("operators that a requested target does not support"),
    "contract_agreement": Measure("pixels of the golden photo to which a program that follows the "
                                  "contract gives the same class as this project's code",
                                  100, PERCENT, 2),
    "float_operators": Measure("operators that compute in float"),
    "clipped": Measure("values outside the int8 range of their layer, in the worst layer",
                       100, PERCENT, 2),
}  # fmt: skip
# By name in the report's `mistakes`: what an app that makes the mistake has.
MISTAKES = {
    "channel order": "channels in the order BGR instead of RGB",
    "range": "input in the range 0 to 1 instead of the contract's",
    "label order": "labels shifted by one",
    "resize rule": "image resized bilinearly instead of by the contract's rule",
}


class Check(NamedTuple):
    """A value with its limit, as text. bound is "" where the limit does not apply to the recipe."""

    value: str
    bound: str
    failed: bool


def mistake(name: str) -> str:
    return MISTAKES.get(name, f"wrong {name}")


def measure_of(limit) -> Measure:
    return MEASURES.get(limit.name, Measure(limit.why))


def check(limit, report: dict, recipe: Recipe) -> Check:
    """The value that a limit of the gate is about, its bound and whether the gate refused it."""
    measure, applies = measure_of(limit), gate.applies(limit, recipe)
    most, least = (report.get(b) if isinstance(b, str) else b for b in (limit.most, limit.least))
    bounds = [
        f"{words} {measure.write_bound(bound)}"
        for words, bound in (("at most", most), ("at least", least))
        if bound is not None and applies
    ]
    failed = any(is_about(reason, limit) for reason in report["reasons"])
    return Check(measure.write(report.get(limit.name)), ", ".join(bounds), failed)


def is_about(reason: str, limit) -> bool:
    return reason.startswith(f"{limit.name} is ")


def plain_reasons(report: dict, recipe: Recipe) -> list[str]:
    """The reasons of a refusal in plain words; one that is not about a limit is left as it is."""
    lines = []
    for reason in report["reasons"]:
        limit = next((limit for limit in gate.LIMITS if is_about(reason, limit)), None)
        if limit:
            value, bound, _ = check(limit, report, recipe)
            reason = f"{measure_of(limit).name}: {value}, {bound}{some(report[limit.name])}"
        lines.append(reason)
    return lines


def some(value) -> str:
    """The first elements of a list, in brackets; "" for a number."""
    if not isinstance(value, list):
        return ""
    return f" ({', '.join(value[:SOME])}{', ...' if len(value) > SOME else ''})"


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
