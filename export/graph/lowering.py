"""Which lowering: the candidates that the targets take, timed here, the fastest kept."""

import cli
from cli import Refusal
from export.graph.convert import to_tflite
from export.graph.deploy import CRELU, DECONV, Lowering, deploy, has_crelu, lowering
from export.recipes import BY_NAME
from export.targets import xnnpack
from export.targets.audit import audit
from export.tflite.runtime import latency_ms

# Any weights take the same time; the recipe stands for its kernels.
STANDS_FOR = {"float": "float32", "dynamic": "dynamic8", "int8": "int8"}

SAME = 1.03  # times the fastest counts as fast as it: noise decides nothing


def choose(trained, kernels: str, targets, asked: str) -> tuple[Lowering | None, dict]:
    """The lowering for `kernels`, None when the targets take no candidate, and what each cost: ms,
    or why the targets refuse it.

    asked: a name, or "auto". The forms of a deconvolution are compared first, then, with the
    fastest of them, those of CReLU: the two do not touch each other.
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
    """The fastest of the candidates that the targets take, the first of those that are as fast.

    Their costs are added to `costs`.
    """
    sound = {}
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
            sound[candidate.name] = runtime
    for name, found in latency_ms(sound).items():
        costs[name] = found["median"]
        cli.say(f"{kernels}, {name}: {found['median']:.2f} ms")
    near = SAME * min((costs[name] for name in sound), default=0.0)
    return next((c for c in candidates if c.name in sound and costs[c.name] <= near), None)


def draft(trained, kernels: str, candidate: Lowering) -> bytes:
    """A file of this lowering whose time is right; an int8 one's ranges are of two images."""
    recipe, size = BY_NAME[STANDS_FOR[kernels]], trained.plan.size
    graph = deploy(trained.model, trained.network, size, len(trained.dataset.classes), candidate)
    return to_tflite(graph, recipe, trained.calibration[:2] if recipe.calibrated else None)
