"""Proposes a preset, an encoder width and an input size for a latency budget.

Which network within the budget is the most accurate is unknown without training them all. So they
are ranked by balance: input side and network width should be scaled together (Tan and Le 2019,
"EfficientNet", section 3: scaling one alone soon gains little; best are factors of 1.15 and 1.1).
Both are expressed as ratios to their maximum: the side to the largest input size, the width (the
root of multiply-accumulates per pixel) to that of the widest network. The network whose smaller
ratio is largest comes first; among equals, the one with the larger product of both.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from cli import Refusal, Verdict
from export.budget.costs import predict
from export.budget.work import Work, of_rows
from segnet.presets import FAMILIES, FAMILY, preset
from segnet.rows import Preset

STEP = 32  # pixels: the stride of the deepest encoders
SIDES = range(2 * STEP, 513, STEP)  # pixels of the shorter side; larger ones only by --size
LOOKED_AT = 25  # images whose shape is read
SHOWN = 3  # proposals
LARGEST_FRAME = 10_000  # pixels of a side


class Candidate(NamedTuple):
    """width: of the encoder; 0 for the preset's own. costs: ms of each of `works`. rest: ms of a
    frame besides the network, 0 where the network alone counts."""

    preset: str
    width: float
    size: tuple[int, int]
    works: list[Work]
    costs: list[float]
    rest: float = 0.0

    @property
    def ms(self) -> float:
        """Of the network."""
        return sum(self.costs)

    @property
    def whole(self) -> float:
        """Milliseconds that the budget is for."""
        return self.ms + self.rest

    @property
    def macs(self) -> int:
        return sum(work.taps * work.writes for work in self.works)

    @property
    def flags(self) -> str:
        """The flags for train.py."""
        width = f" --width {self.width:g}" if self.width else ""
        return f"--preset {self.preset}{width} --size {self.size[0]} {self.size[1]}"

    def stages(self) -> dict[str, float]:
        """Name to ms of each row; in int8 also of the conversions of the input and the output."""
        found = preset(self.preset, self.width)
        names = [row.name for row in (*found.encoder, *found.decoder)]
        stages = {}
        for work, ms in zip(self.works, self.costs, strict=True):
            mine = [n for n in names if work.name == n or work.name.startswith(f"{n}_")]
            stage = max(mine, key=len, default=work.name)
            stages[stage] = stages.get(stage, 0.0) + ms
        return stages


def networks() -> dict[tuple[str, float], Preset]:
    """(preset, width) to network: our presets at all widths that have published weights."""
    found = {}
    for name, own in FAMILY.items():
        found[name, 0.0] = own
        family, width = own.pretrained
        others = FAMILIES[family][1] if family in FAMILIES else ()
        for other in others:
            try:
                if other != width:
                    found[name, other] = preset(name, other)
            except Refusal:
                break  # its encoder has rows that no MobileNet has
    return found


def sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """(H, W) in pixels near the aspect ratio of `shape`, up to the first that covers it."""
    short, long = sorted(shape)
    found = []
    for side in SIDES:
        other = max(side, round(side * long / short / STEP) * STEP)
        found.append((side, other) if shape[0] == short else (other, side))
        if side >= short:
            break
    return found


def candidates(
    sizes: Iterable, classes: int, recipe: str, coefficients: dict
) -> tuple[list[Candidate], dict[str, str]]:
    """(every network at every size, preset to the reason why it is left out)."""
    found, left_out = [], {}
    for (name, width), rows in networks().items():
        for size in sizes:
            try:
                works = of_rows(rows, size, classes, recipe)
                costs = predict(coefficients, works)
            except Refusal as error:
                left_out[name] = str(error)
                break
            found.append(Candidate(name, width, size, works, costs))
    return found, left_out


def ranked(found: list[Candidate], budget_ms: float) -> list[Candidate]:
    """The networks within the budget, each at its best size, best first. Raises Verdict."""
    within = [each for each in found if each.whole <= budget_ms]
    if not within:
        least = min(found, key=lambda each: each.whole)
        frame = f", {least.rest:.2f} of them besides the network" if least.rest else ""
        raise Verdict(
            f"no network takes {budget_ms:g} ms or less: the fastest is {least.flags} with "
            f"{least.whole:.2f} ms{frame}. Type a larger --latency-ms or a smaller --size"
        )
    side = math.sqrt(max(math.prod(each.size) for each in found))
    width = math.sqrt(max(each.macs / math.prod(each.size) for each in found))

    def balance(each):
        area = math.prod(each.size)
        ratios = math.sqrt(area) / side, math.sqrt(each.macs / area) / width
        return min(ratios), math.prod(ratios)

    best = {}
    for each in sorted(within, key=balance, reverse=True):
        best.setdefault((each.preset, each.width), each)
    return list(best.values())


def shape_of(dataset) -> tuple[int, int]:
    """Median height and width in pixels of some training images, evenly spaced."""
    import numpy as np

    from data.images import read_pair

    pairs = dataset.pairs("train")
    taken = range(0, len(pairs), -(-len(pairs) // LOOKED_AT))
    shapes = [read_pair(pairs[at], dataset)[0].shape[:2] for at in taken]
    return tuple(int(side) for side in np.median(shapes, axis=0))


def check_frame(frame, costs) -> None:
    """Raises Refusal for a --frame that cannot be measured here."""
    if frame and not all(0 < side <= LARGEST_FRAME for side in frame):
        raise Refusal(
            f"--frame is {frame[0]} {frame[1]}; needed: width and height, 1 to {LARGEST_FRAME}"
        )
    if frame and costs:
        raise Refusal(
            "--frame measures this machine, but --costs may be another's. Leave --costs out; or, "
            "for a phone, leave --frame out and take off --latency-ms what a frame takes there"
        )


def propose(dataset, budget_ms: float, recipe: str, table: dict, size=None, frame=None):
    """(the SHOWN best candidates, preset to the reason why it is left out). size: if fixed. frame:
    (width, height) if the budget is for a frame instead of the network alone."""
    from export.budget.rest import rest_ms
    from export.graph.lowering import STANDS_FOR
    from export.recipes import BY_NAME

    timed = STANDS_FOR[BY_NAME[recipe].kernels]
    if timed not in table["recipes"]:
        raise Refusal(
            f"the latency of {recipe} cannot be predicted: the cost table has no {timed}, only "
            f"{', '.join(table['recipes'])}. Type another --recipe, or --costs with another table"
        )
    tried = [tuple(size)] if size else sizes(shape_of(dataset))
    found, left_out = candidates(tried, len(dataset.classes), timed, table["recipes"][timed])
    if not found:
        raise Refusal("; ".join(dict.fromkeys(left_out.values())))
    if frame:
        shapes = list(dict.fromkeys(each.size for each in found))
        rest = rest_ms(shapes, len(dataset.classes), recipe, frame)
        found = [each._replace(rest=rest[each.size]) for each in found]
    return ranked(found, budget_ms)[:SHOWN], left_out


def plain(each: Candidate) -> dict:
    """For JSON."""
    network = {"preset": each.preset, "width": each.width or None, "size": each.size}
    frame = {"rest_ms": each.rest, "frame_ms": each.whole} if each.rest else {}
    return {**network, "ms": each.ms, **frame, "macs": each.macs, "stages": each.stages(),
            "flags": each.flags}  # fmt: skip


def shown(best: list[Candidate], data: str, recipe: str, machine: str, frame=None) -> str:
    """The proposals for people: all, then the stages of the first, then its commands."""
    first = best[0]
    stages = [f"{ms:8.3f} ms  {ms / first.ms:4.0%}  {name}" for name, ms in first.stages().items()]
    heads, what = [], "the network alone"
    if frame:
        heads = [f"{'frame':>8}     {'network':>8}     {'rest':>8}"]
        what = f"a frame of {frame[0]}x{frame[1]} (width x height) to its overlay"
    lines = [f"{times(each)}  {each.macs / 1e6:7.1f} MMAC  {each.flags}" for each in best]
    return "\n".join((
        f"{recipe} on {machine}, one thread, {what}", *heads, *lines,
        "", "the first, stage by stage", *stages,
        "", f"python train.py --data {data} --run runs/NAME {first.flags}",
        f"python -m export runs/NAME --recipe {recipe}",
    ))  # fmt: skip


def times(each: Candidate) -> str:
    columns = (each.whole, each.ms, each.rest) if each.rest else (each.ms,)
    return "  ".join(f"{ms:8.2f} ms" for ms in columns)
