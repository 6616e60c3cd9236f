"""Chooses a lowering: times the candidates that the targets support and keeps the fastest."""

import cli
from cli import Refusal
from export.graph.convert import to_tflite
from export.graph.deploy import CRELU, DECONV, Lowering, deploy, has_crelu, lowering
from export.recipes import BY_NAME
from export.targets import xnnpack
from export.targets.audit import audit
from export.tflite.runtime import latency_ms

# Kernels to a recipe that represents them. Time does not depend on the weights.
STANDS_FOR = {"float": "float32", "dynamic": "dynamic8", "int8": "int8"}

SAME = 1.03  # times the fastest counts as equally fast, so that noise does not decide


def choose(trained, kernels: str, targets, asked: str) -> tuple[Lowering | None, dict]:
    """(the lowering for `kernels` or None, name to ms or reason of refusal of each candidate).

    asked: a name, or "auto". The forms of the deconvolution are compared first; then those of
    CReLU, with the fastest deconvolution, since the two are independent.
    """
    if asked != "auto":
        return lowering(asked), {}
    costs = {}
    first = compare(trained, kernels, targets, [Lowering(CRELU[0], d) for d in DECONV], costs)
    if has_crelu(trained.network) and first:
        others = [first, *(Lowering(c, first.deconv) for c in CRELU[1:])]
        first = compare(trained, kernels, targets, others, costs)
    return first, costs


def compare(trained, kernels, targets, candidates, costs) -> Lowering | None:
    """The fastest candidate that the targets support, or the first of equally fast ones.

    The results of all candidates are added to `costs`.
    """
    supported = {}
    for candidate in candidates:
        try:
            content = draft(trained, kernels, candidate)
            runtime = xnnpack.load(content)
        except Refusal as error:
            costs[candidate.name] = str(error)
            continue
        faults = {name: audit(content, name) for name in targets}
        if "xnnpack" in faults:
            faults["xnnpack"] = xnnpack.run_faults(content, runtime.partitioning())
        refused = [f"{name}: {lines[0]}" for name, lines in faults.items() if lines]
        if refused:
            costs[candidate.name] = refused[0]
        else:
            supported[candidate.name] = runtime
    for name, found in latency_ms(supported).items():
        costs[name] = found["median"]
        cli.say(f"{kernels}, {name}: {found['median']:.2f} ms")
    near = SAME * min((costs[name] for name in supported), default=0.0)
    return next((c for c in candidates if c.name in supported and costs[c.name] <= near), None)


def draft(trained, kernels: str, candidate: Lowering) -> bytes:
    """A file with this lowering for timing only: int8 ranges are calibrated on two images."""
    recipe, size = BY_NAME[STANDS_FOR[kernels]], trained.plan.size
    graph = deploy(trained.model, trained.network, size, len(trained.dataset.classes), candidate)
    return to_tflite(graph, recipe, trained.calibration[:2] if recipe.calibrated else None)
