"""A latency budget in; preset, encoder width and input size out, with the bill of each stage.

Which of the networks within the budget is best is not measured: that needs a training of each. They
are ordered by balance. The side of the input and the width of the network should grow together
(Tan and Le 2019, "EfficientNet", section 3: either alone soon stops paying; best by factors of 1.15
and 1.1). So of each the share of the most is taken: of the side, of the images' own; of the
width, as the root of multiply-accumulates a pixel, of the largest network. The first is the one
whose smaller share is largest; of equals, the one with more of both.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from cli import Refusal, Verdict
from export.budget.costs import predict
from export.budget.work import Work, of_rows
from segnet.presets import FAMILIES, FAMILY, preset
from segnet.rows import Preset

STEP = 32  # pixels; the stride of the deepest encoders
SIDES = range(2 * STEP, 513, STEP)  # of the shorter side; more only by --size
LOOKED_AT = 25  # images, for their shape
SHOWN = 3  # proposals


class Candidate(NamedTuple):
    """width: of the encoder, 0 for the preset's own. costs: ms of each work."""

    preset: str
    width: float
    size: tuple[int, int]
    works: list[Work]
    costs: list[float]

    @property
    def ms(self) -> float:
        return sum(self.costs)

    @property
    def macs(self) -> int:
        return sum(work.taps * work.writes for work in self.works)

    @property
    def flags(self) -> str:
        """For train.py."""
        width = f" --width {self.width:g}" if self.width else ""
        return f"--preset {self.preset}{width} --size {self.size[0]} {self.size[1]}"

    def stages(self) -> dict[str, float]:
        """ms of each row; in int8 also of the input's and the output's conversion."""
        found = preset(self.preset, self.width)
        names = [row.name for row in (*found.encoder, *found.decoder)]
        stages = {}
        for work, ms in zip(self.works, self.costs, strict=True):
            mine = [n for n in names if work.name == n or work.name.startswith(f"{n}_")]
            stage = max(mine, key=len, default=work.name)
            stages[stage] = stages.get(stage, 0.0) + ms
        return stages


def networks() -> dict[tuple[str, float], Preset]:
    """(preset, width) to network: ours, at all widths that have published weights."""
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
                break  # rows of its own stand in its encoder
    return found


def sizes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """(H, W) in pixels near the shape's ratio, up to the least that the shape fits into."""
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
    """(every network at every size; why a preset is left out, by name)."""
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
    """Those within the budget, the best first, each network at its best size. Raises Verdict."""
    within = [each for each in found if each.ms <= budget_ms]
    if not within:
        least = min(found, key=lambda each: each.ms)
        raise Verdict(
            f"no network takes {budget_ms:g} ms or less: the fastest is {least.flags} with "
            f"{least.ms:.2f} ms. Allow more, or a smaller --size"
        )
    side = math.sqrt(max(math.prod(each.size) for each in found))
    width = math.sqrt(max(each.macs / math.prod(each.size) for each in found))

    def balance(each):
        area = math.prod(each.size)
        shares = math.sqrt(area) / side, math.sqrt(each.macs / area) / width
        return min(shares), math.prod(shares)

    best = {}
    for each in sorted(within, key=balance, reverse=True):
        best.setdefault((each.preset, each.width), each)
    return list(best.values())


def shape_of(dataset) -> tuple[int, int]:
    """Median height and width in pixels of some of the training images, evenly taken."""
    import numpy as np

    from data.images import read_pair

    pairs = dataset.pairs("train")
    taken = range(0, len(pairs), -(-len(pairs) // LOOKED_AT))
    shapes = [read_pair(pairs[at], dataset)[0].shape[:2] for at in taken]
    return tuple(int(side) for side in np.median(shapes, axis=0))


def propose(dataset, budget_ms: float, recipe: str, table: dict, size=None):
    """(the SHOWN best, why presets are left out, by name). size: the only one, if given."""
    from export.graph.lowering import STANDS_FOR
    from export.recipes import BY_NAME

    stands = STANDS_FOR[BY_NAME[recipe].kernels]
    if stands not in table["recipes"]:
        raise Refusal(
            f"the costs know nothing of {stands}, which {recipe} is as fast as; "
            f"they know {', '.join(table['recipes'])}"
        )
    tried = [tuple(size)] if size else sizes(shape_of(dataset))
    found, left_out = candidates(tried, len(dataset.classes), stands, table["recipes"][stands])
    if not found:
        raise Refusal("; ".join(dict.fromkeys(left_out.values())))
    return ranked(found, budget_ms)[:SHOWN], left_out


def plain(each: Candidate) -> dict:
    """For JSON."""
    words = {"preset": each.preset, "width": each.width or None, "size": each.size}
    return {**words, "ms": each.ms, "macs": each.macs, "stages": each.stages(),
            "flags": each.flags}  # fmt: skip


def shown(best: list[Candidate], data: str, recipe: str, machine: str) -> str:
    first = best[0]
    bill = [f"{ms:8.3f} ms  {ms / first.ms:4.0%}  {name}" for name, ms in first.stages().items()]
    lines = [f"{each.ms:8.2f} ms  {each.macs / 1e6:7.1f} MMAC  {each.flags}" for each in best]
    return "\n".join((
        f"{recipe} on {machine}, one thread, the network alone", *lines,
        "", "the first, stage by stage", *bill,
        "", f"python train.py --data {data} --run runs/NAME {first.flags}",
        f"python -m export runs/NAME --recipe {recipe}",
    ))  # fmt: skip
