"""Plots of mIoU against a cost, as SVG that is legible on light pages and on dark ones."""

import base64
import io

INK = "#808080"  # contrast of 4 with white and of 5 with black
STYLE = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.3, "axes.grid": True,
    "svg.fonttype": "none", "font.family": "sans-serif", "savefig.transparent": True,
}  # fmt: skip


def start(across: str, inches: tuple[float, float]):
    """(figure, axes) with mIoU in % upwards."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(inches, layout="constrained")
        axes = figure.add_subplot(xlabel=across, ylabel="mIoU, %")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure) -> str:
    """The same figure gives the same text."""
    import matplotlib

    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "segnet"}):
        figure.savefig(written, format="svg", metadata=nothing)
    text = written.getvalue()
    return text[text.index("<svg") :]


def svg_uri(figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode()).decode()
