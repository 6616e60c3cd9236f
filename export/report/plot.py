"""Plots of mIoU against a cost, as SVG that is legible on light and on dark pages."""

import base64
import io
import math

from export.recipes import RECIPES

# By output, of a file that passed.
MARKERS = {"logits": "o", "probabilities": "s", "classes": "^", "classes8": "v"}
INK = "#808080"  # its contrast ratio is 4 with white and 5 with black
# One colour per recipe. C7, matplotlib's grey, is left out: INK draws the line of Keras.
COLOURS = dict(zip([r.name for r in RECIPES], [f"C{n}" for n in range(10) if n != 7], strict=True))
SPAN = 1.0  # points of mIoU that the axis covers at least, so that noise does not look large
STYLE = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.3, "axes.grid": True,
    "svg.fonttype": "none", "font.family": "sans-serif", "savefig.transparent": True,
}  # fmt: skip


def plot(entries: list, key: str, unit: float, across: str):
    """mIoU of report entries over `unit` times a value of their reports, a matplotlib figure.

    Hollow diamonds were refused, the others passed; the dashed line is Keras. Entries without the
    values are left out.
    """
    figure, axes = start(across, (4.8, 3.0))
    needed = (key, "miou_tflite", "miou_keras")
    shown = [e for e in entries if all(finite(e.report.get(name)) for name in needed)]
    for entry in sorted(shown, key=lambda e: -e.report["miou_tflite"]):
        axes.plot(
            unit * entry.report[key], 100 * entry.report["miou_tflite"],
            color=COLOURS[entry.recipe.name], label=entry.name, linestyle="none",
            **marker(entry),
        )  # fmt: skip
    for value in {e.report["miou_keras"] for e in shown}:
        axes.axhline(100 * value, color=INK, linestyle="--", linewidth=1)
    if shown:
        axes.set_xlim(0, 1.1 * unit * max(e.report[key] for e in shown) or 1)
        low, high = axes.get_ylim()
        margin = max(0, SPAN - (high - low)) / 2
        axes.set_ylim(low - margin, high + margin)
        figure.legend(loc="outside right upper", frameon=False, labelcolor=INK)
    return figure


def marker(entry) -> dict:
    if not entry.passed:
        return {"marker": "D", "markerfacecolor": "none"}
    return {"marker": MARKERS[entry.report.get("output", "logits")]}


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def start(across: str, inches: tuple[float, float]):
    """(figure, axes) with mIoU in % on the vertical axis."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(inches, layout="constrained")
        axes = figure.add_subplot(xlabel=across, ylabel="mIoU, %")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure) -> str:
    """SVG text; equal figures give equal text."""
    import matplotlib

    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "segnet"}):
        figure.savefig(written, format="svg", metadata=nothing)
    text = written.getvalue()
    return text[text.index("<svg") :]


def svg_uri(figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode()).decode()
