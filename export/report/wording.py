"""What the gate judged, and numbers, in the words and units of a person."""

from typing import NamedTuple

from export.proof import gate
from export.recipes import Recipe

SOME = 3  # of many, where a sentence names examples


class Figure(NamedTuple):
    """How a figure of the gate is called and written: `scale` times its value, with the unit."""

    words: str
    scale: float = 1.0
    unit: str = ""
    places: int | None = None  # behind the point; None: three digits that count

    def write(self, value) -> str:
        if value is None:
            return "–"
        value = self.scale * (len(value) if isinstance(value, list) else value)
        digits = f"{value:.3g}" if self.places is None else number(value, self.places)
        return digits + self.unit

    def write_bound(self, value: float) -> str:
        return f"{self.scale * value:g}{self.unit}"


PERCENT, POINTS = "\u00a0%", "\u00a0points"
# Those whose words or unit in the gate are not a person's; the others are called by their `why`.
FIGURES = {
    "pixel_agreement": Figure("agreement, pixels with the class that Keras gives", 100, PERCENT, 3),
    "miou_drop": Figure("points of mIoU lost against Keras", 100, "", 2),
    "target_faults": Figure("operators that the targets asked for do not run"),
    "contract_agreement": Figure("pixels to which a reader of the contract gives the right class",
                                 100, PERCENT, 2),
    "float_operators": Figure("operators that compute in float"),
    "clipped": Figure("values of a layer beyond its int8 range, in the worst layer",
                      100, PERCENT, 2),
    "calibration_distance": Figure("distance of the calibration images' histogram from the "
                                   "training set's, 0 to 1"),
    "largest_activation": Figure("largest activation"),
}  # fmt: skip


class Judged(NamedTuple):
    """A figure beside its limit. bound is "" where the limit is not about the recipe."""

    value: str
    bound: str
    broken: bool


def form(limit) -> Figure:
    return FIGURES.get(limit.name, Figure(limit.why))


def judged(limit, report: dict, recipe: Recipe) -> Judged:
    """What the gate looked at and what it said, in a person's units."""
    figure, about = form(limit), gate.applies(limit, recipe)
    most, least = (report.get(b) if isinstance(b, str) else b for b in (limit.most, limit.least))
    bounds = [
        f"{words} {figure.write_bound(bound)}"
        for words, bound in (("at most", most), ("at least", least))
        if bound is not None and about
    ]
    broken = any(breaks(limit, reason) for reason in report["reasons"])
    return Judged(figure.write(report.get(limit.name)), ", ".join(bounds), broken)


def breaks(limit, reason: str) -> bool:
    return reason.startswith(f"{limit.name} is ")


def plain(report: dict, recipe: Recipe) -> list[str]:
    """The reasons of a refusal in plain words; one of no limit stays as the gate said it."""
    lines = []
    for reason in report["reasons"]:
        limit = next((limit for limit in gate.LIMITS if breaks(limit, reason)), None)
        if limit:
            value, bound, _ = judged(limit, report, recipe)
            reason = f"{form(limit).words}: {value}, {bound}{some(report[limit.name])}"
        lines.append(reason)
    return lines


def some(value) -> str:
    """The first of a list's lines, in brackets; "" for a number."""
    if not isinstance(value, list):
        return ""
    return f" ({', '.join(value[:SOME])}{', ...' if len(value) > SOME else ''})"


# Numbers as a person reads them


def number(value: float, places: int) -> str:
    return f"{value:z.{places}f}".replace("-", "−")


def percent(value: float, places: int = 2) -> str:
    return f"{number(100 * value, places)}{PERCENT}"


def points(value: float, unit: str = POINTS) -> str:
    """A difference of two fractions in points, hundredths of the whole."""
    return f"{number(100 * value, 2)}{unit}"


def ms(value: float) -> str:
    return f"{number(value, 2 if value >= 1 else 3)}\u00a0ms"


def megabytes(value: int) -> str:
    return f"{value / 1e6:.3f}\u00a0MB"
