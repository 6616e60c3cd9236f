"""Chooses a lowering: the first of a table that the targets support, or the fastest here."""

import numpy as np

import cli
from cli import Refusal
from export.graph.convert import to_tflite
from export.graph.deploy import CRELU, DECONV, Lowering, deploy, has_crelu, lowering
from export.recipes import BY_NAME
from export.targets import xnnpack
from export.targets.audit import audit
from export.tflite.runtime import Runtime, latency_rounds

# Kernels to a recipe that represents them. Time does not depend on the weights.
STANDS_FOR = {"float": "float32", "dynamic": "dynamic8", "int8": "int8"}
ASKED = ("table", "auto")  # what --lower takes beside the name of a lowering
# The share of the time that another lowering must save to replace that of the table, so that the
# noise of a timing does not decide.
SHARE = 0.05


def choose(trained, kernels: str, targets, asked: str) -> tuple[Lowering | None, dict]:
    """(the lowering for `kernels` or None, name to ms or to a reason for candidates looked at).

    asked: "table", the first that the targets support, so that equal weights give equal files;
    "auto", that or another which is faster by SHARE here; or a name.
    """
    if asked not in ASKED:
        return lowering(asked), {}
    forms = CRELU if has_crelu(trained.network) else CRELU[:1]
    candidates = [Lowering(crelu, deconv) for deconv in DECONV for crelu in forms]
    costs, supported = {}, {}
    for candidate in candidates:
        content, why = draft(trained, kernels, candidate, targets)
        if why:
            costs[candidate.name] = why
            continue
        if asked == "table":
            return candidate, {**costs, candidate.name: "the first of the table that runs"}
        supported[candidate] = content
    return (fastest(supported, costs, kernels) if supported else None), costs


def fastest(supported: dict[Lowering, bytes], costs: dict, kernels: str) -> Lowering:
    """The first, or the fastest if it saves SHARE against it; the smaller of equally fast ones.

    Compares the times of the same interleaved rounds. Adds the medians in ms to `costs`.
    """
    rounds = latency_rounds({each: Runtime(content) for each, content in supported.items()})
    first = next(iter(supported))
    ratios = {each: float(np.median(rounds[each] / rounds[first])) for each in supported}
    for each in supported:
        costs[each.name] = float(np.median(rounds[each]))
        cli.say(f"{kernels}, {each.name}: {costs[each.name]:.2f} ms")
    least = min(ratios.values())
    if least > 1 - SHARE:
        return first
    near = [each for each in supported if ratios[each] <= least * (1 + SHARE)]
    return min(near, key=lambda each: len(supported[each]))


def draft(trained, kernels: str, candidate: Lowering, targets) -> tuple[bytes, str]:
    """(a file with this lowering, why a target does not run it, or "").

    The file's int8 ranges are calibrated on two images: it is for timing only.
    """
    recipe, size = BY_NAME[STANDS_FOR[kernels]], trained.plan.size
    images = trained.calibration[:2] if recipe.calibrated else None
    try:
        classes = len(trained.dataset.classes)
        graph = deploy(trained.model, trained.network, size, classes, candidate)
        content = to_tflite(graph, recipe, images)
        runtime = xnnpack.load(content)
    except Refusal as error:
        return b"", str(error)
    faults = {name: audit(content, name) for name in targets}
    if "xnnpack" in faults:
        faults["xnnpack"] = xnnpack.run_faults(content, runtime.partitioning())
    refused = [f"{name}: {lines[0]}" for name, lines in faults.items() if lines]
    return content, refused[0] if refused else ""
