"""The results of benchmarks.accuracy as a table in Markdown and as a plot."""

import statistics
from typing import NamedTuple

FAMILY_COLOUR, OTHER_COLOUR, PEER_COLOUR = "#139a5c", "#777", "#c2571a"


class AccuracyRow(NamedTuple):
    """A network: mIoU as a fraction per seed; latency, size and partitions of (float32, int8)."""

    name: str
    encoder: str  # stem of the weights file, or "random"
    miou: list[float]
    miou_int8: list[float]
    latency_ms: tuple[float, float]
    size_bytes: tuple[int, int]
    macs: int
    parameters: int
    partitions: tuple[int, int]


def table(rows: list[AccuracyRow]) -> str:
    """Markdown. The spread is the difference of the best and the worst seed in points of mIoU."""
    head = ("net", "encoder weights", "seeds", "mIoU", "spread", "mIoU int8", "ms", "ms int8",
            "MB", "MB int8", "MMAC", "parameters", "partitions", "partitions int8")  # fmt: skip
    lines = [head, ["---"] * len(head)]
    for row in rows:
        spread = 100 * (max(row.miou) - min(row.miou))
        lines.append((
            row.name, row.encoder, len(row.miou), f"{statistics.mean(row.miou):.4f}",
            f"{spread:.2f}" if len(row.miou) > 1 else "", f"{statistics.mean(row.miou_int8):.4f}",
            *(f"{ms:.2f}" for ms in row.latency_ms),
            *(f"{size / 1e6:.2f}" for size in row.size_bytes),
            f"{row.macs / 1e6:.0f}", f"{row.parameters:,}", *row.partitions,
        ))  # fmt: skip
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def plot(rows: list[AccuracyRow]):
    """mIoU against latency: for each network a line from its int8 file to its float32 file."""
    from export.report.plot import start

    figure, axes = start("latency in ms, one thread; filled float32, open int8", (7.5, 4.0))
    for row in rows:
        heights = [100 * statistics.mean(miou) for miou in (row.miou, row.miou_int8)]
        axes.plot(row.latency_ms, heights, color=colour(row.name), linewidth=1)
        for ms, height, fill in zip(row.latency_ms, heights, ("full", "none"), strict=True):
            axes.plot(ms, height, "o", color=colour(row.name), fillstyle=fill)
        # The name is written beside the float32 marker, on the side away from the line.
        side = 1 if row.latency_ms[0] >= row.latency_ms[1] else -1
        axes.annotate(
            row.name, (row.latency_ms[0], heights[0]), (7 * side, 0), textcoords="offset points",
            horizontalalignment="left" if side > 0 else "right", verticalalignment="center",
            color=colour(row.name),
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.15)
    return figure


def colour(name: str) -> str:
    """Green for our family of presets, brown for peers, grey for other presets and variants."""
    from benchmarks.peers import PEERS
    from segnet.presets import FAMILY

    if name in FAMILY:
        return FAMILY_COLOUR
    return PEER_COLOUR if name in PEERS else OTHER_COLOUR
