"""Cost tables: coefficients of operators on a machine, fitted to the latencies of probe files.

The predicted latency of a file is the sum over its operators of coefficients times FEATURES. Each
recipe and kind of operator has its own coefficients, which are non-negative and fitted by least
squares of the relative errors. A probe is a network with random weights, cut after every few
operators: each beginning is a file that is timed, so that a few networks give many samples.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import cli
from cli import Refusal
from export.budget.work import Work
from files import beside, read_json
from segnet.rows import CLASSES, Preset, Up, mobilenet_v1, mobilenet_v2

SCHEMA = 1
RECIPES = ("float32", "int8")
ROUNDS = 30
EVERY = 10  # operators between two cuts; with 4 the table predicts no better
FEWEST = 40  # files needed to fit a table

# Of an operator. Runtimes compute 8, 16 or 32 channels at a time. So multiply-accumulates are also
# counted with the output's channels rounded up to multiples of 16 and of 32.
FEATURES = {
    "Mmac": lambda w: w.taps * w.writes / 1e6,
    "Mmac, channels in 16s": lambda w: w.taps * w.writes / w.channels * full(w.channels, 16) / 1e6,
    "Mmac, channels in 32s": lambda w: w.taps * w.writes / w.channels * full(w.channels, 32) / 1e6,
    "million numbers read": lambda w: w.reads / 1e6,
    "million numbers written": lambda w: w.writes / 1e6,
    "million weights": lambda w: w.taps * w.channels / 1e6,
    "million pixels written": lambda w: w.writes / w.channels / 1e6,
    "operators": lambda w: 1.0,
}


def full(channels: int, vector: int) -> int:
    return -(-channels // vector) * vector


def features(work: Work) -> np.ndarray:
    return np.array([of(work) for of in FEATURES.values()])


# The fit


def fit(samples: list[tuple[list[Work], float]]) -> dict[str, dict[str, float]]:
    """Non-zero coefficients in ms by kind of operator. samples: (works, ms) of each file."""
    from scipy.optimize import nnls

    kinds = sorted({work.kind for works, _ in samples for work in works})
    sums = np.zeros((len(samples), len(kinds), len(FEATURES)))
    for row, (works, _) in zip(sums, samples, strict=True):
        for work in works:
            row[kinds.index(work.kind)] += features(work)
    times = np.array([ms for _, ms in samples])
    found, _ = nnls(sums.reshape(len(samples), -1) / times[:, None], np.ones(len(samples)))
    return {
        kind: {name: float(ms) for name, ms in zip(FEATURES, row, strict=True) if ms}
        for kind, row in zip(kinds, found.reshape(len(kinds), -1), strict=True)
    }


def predict(coefficients: dict, works: list[Work]) -> list[float]:
    """Milliseconds of each operator. Raises Refusal for a kind that the table does not have."""
    for work in works:
        if work.kind not in coefficients:
            raise Refusal(
                f"the cost table has no coefficients for {work.kind}, the operator of {work.name}; "
                f"it has them for {', '.join(coefficients)}"
            )
    return [
        sum(ms * FEATURES[name](work) for name, ms in coefficients[work.kind].items())
        for work in works
    ]


# The probes


class Probe(NamedTuple):
    """decoder: channels of all stages but the last. kernel: of all deconvolutions but the first,
    which has kernel 2, and the last, which has 4. join: with "sum" the refinement has CReLU."""

    encoder: tuple
    decoder: tuple[int, ...]
    kernel: int
    join: str
    size: tuple[int, int]
    classes: int


WIDE = ("conv5_6", "conv6")
EARLY = ("conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2")
# fmt: off
PROBES = (
    #     encoder                    decoder           kernel  join      size        classes
    Probe(mobilenet_v1(0.25),        (32, 24, 16, 16),   2, "concat", (224, 288),  2),
    Probe(mobilenet_v1(0.5, WIDE),   (64, 48, 32, 16),   4, "concat", (160, 160),  3),
    Probe(mobilenet_v1(0.75, EARLY), (96, 64, 32, 24),   4, "concat", ( 96, 128), 12),
    Probe(mobilenet_v1(1.0, WIDE),   (96, 64, 32, 16),   2, "concat", (192, 256),  2),
    Probe(mobilenet_v1(0.25, EARLY), (24, 16,  8,  8),   2, "sum",    (320, 320),  4),
    Probe(mobilenet_v2(0.35),        (32, 24, 16, 16),   2, "concat", (320, 320), 12),
    Probe(mobilenet_v2(0.5),         (64, 48, 32, 16),   4, "sum",    (128, 160),  2),
    Probe(mobilenet_v2(0.75),        (96, 64, 32, 16),   2, "concat", (256, 256),  3),
    Probe(mobilenet_v2(1.0),         (128, 96, 64, 32),  2, "concat", (128, 160),  2),
)
# fmt: on


def network(probe: Probe) -> Preset:
    last, stride = {}, 1
    for row in probe.encoder:
        stride *= row.stride
        last[stride] = row.name
    rows = []
    for number, out in enumerate(probe.decoder, 1):
        stride //= 2
        kernel = 2 if number == 1 else probe.kernel
        project = out if probe.join == "sum" else out // 2
        crelu = probe.join == "sum"
        rows.append(Up(f"deconv{number}", out, kernel, last[stride], project, out, crelu, "bn",
                       probe.join))  # fmt: skip
    rows.append(Up(f"deconv{len(rows) + 1}", CLASSES, 4, None, 0, 0, False, "bias"))
    return Preset(probe.encoder, tuple(rows), "probe of operator costs", None)


def beginnings_of(probe: Probe) -> Iterator[tuple[str, int, bytes]]:
    """(recipe, number of operators, file) of a probe's beginnings in each recipe."""
    from export.budget.work import running
    from export.graph.convert import to_tflite
    from export.graph.deploy import deploy
    from export.recipes import BY_NAME
    from export.tflite.profile import beginnings
    from segnet.backend import start
    from segnet.build import build

    rows, size, classes = network(probe), probe.size, probe.classes
    graph = deploy(build(start(), rows, size, classes), rows, size, classes)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    for recipe in RECIPES:
        content = to_tflite(graph, BY_NAME[recipe], noise if recipe == "int8" else None)
        ends = running(content)
        for count, cut in enumerate(beginnings(content, ends), 1):
            if (len(ends) - count) % EVERY == 0:
                yield recipe, count, content if count == len(ends) else cut


def probe_files() -> Iterator[tuple[tuple[str, int, int], bytes]]:
    """((recipe, number of the probe, number of operators), file) of all probes."""
    for number, probe in enumerate(PROBES, 1):
        cli.say(f"probe {number} of {len(PROBES)} ...")
        for recipe, count, content in beginnings_of(probe):
            yield (recipe, number, count), content


def samples_of(files: dict, times: dict) -> dict[str, list[tuple[list[Work], float]]]:
    """Recipe to (works, ms) of the files of probe_files(). times: as latency_ms() returns."""
    from export.budget.work import of_file

    found = {recipe: [] for recipe in RECIPES}
    for probe, content in files.items():
        found[probe[0]].append((of_file(content), times[probe]["least"]))
    return found


def measured() -> dict[str, list[tuple[list[Work], float]]]:
    """samples_of() the probes on this machine, on one thread.

    All files are timed in interleaved rounds, so that load of other programs affects all of them.
    """
    from export.tflite.runtime import Runtime, latency_ms

    files = dict(probe_files())
    return samples_of(files, latency_ms({key: Runtime(files[key]) for key in files}, ROUNDS))


def write_probes(folder: Path) -> int:
    """Writes the probes as RECIPE-PROBE-COUNT.tflite for a phone; returns their number."""
    written = 0
    for (recipe, number, count), content in probe_files():
        with beside(Path(folder) / f"{recipe}-{number:02}-{count:03}.tflite") as part:
            part.write_bytes(content)
        written += 1
    return written


# A phone's log

# Lines of benchmark_model (tensorflow/lite/tools/benchmark): the file, and at the end its latency.
GRAPH = re.compile(r"Graph: \[(.*?)\]")
MEAN_US = re.compile(r"Inference timings in us: .*Inference \(avg\): ([\d.e+]+)")


def read_log(log: Path, probes: Path) -> dict[str, list[tuple[list[Work], float]]]:
    """Recipe to (works, ms) of the files of `probes` that benchmark_model timed. Raises Refusal."""
    from export.budget.work import of_file
    from export.tflite.runtime import read_model

    samples, graph = {}, None
    for line in read_model(log).decode(errors="replace").splitlines():
        if found := GRAPH.search(line):
            graph = found[1].replace("\\", "/").rsplit("/", 1)[-1]
        elif (found := MEAN_US.search(line)) and graph:
            works = of_file(read_model(Path(probes) / graph))
            recipe = cli.one_of(graph.partition("-")[0], RECIPES, "recipe")
            samples.setdefault(recipe, []).append((works, float(found[1]) / 1e3))
            graph = None
    fewest = min(map(len, samples.values()), default=0)
    if fewest < FEWEST:
        raise Refusal(
            f"{log} has the times of only {fewest} files of {probes} for one recipe; needed: "
            f"{FEWEST} or more. Run benchmark_model on all files and keep everything it prints"
        )
    return samples


# The table


def table(machine: str, samples: dict) -> dict:
    """The cost table. errors: median and worst relative error of the fit on its own samples."""
    recipes = {recipe: fit(found) for recipe, found in samples.items()}
    errors = {}
    for recipe, found in samples.items():
        off = [abs(sum(predict(recipes[recipe], works)) / ms - 1) for works, ms in found]
        errors[recipe] = {"median": float(np.median(off)), "worst": float(max(off))}
    return {"schema": SCHEMA, "machine": machine, "errors": errors, "recipes": recipes}


def fit_quality(table: dict, samples: dict) -> str:
    """A line per recipe: how many files, and how far the table is from their times."""
    return "\n".join(
        f"{recipe}: {len(samples[recipe])} files, error of the fit: {off['median']:.1%} in the "
        f"median, {off['worst']:.1%} at worst"
        for recipe, off in table["errors"].items()
    )


def of_this_machine() -> dict:
    """The cost table of this machine: measured the first time, then read from the user's cache."""
    from importlib.metadata import version

    from export.budget.work import of_rows
    from export.tflite.runtime import machine
    from files import cache_folder, cached

    here = machine()
    works = [of_rows(network(p), p.size, p.classes, recipe) for p in PROBES for recipe in RECIPES]
    known = repr((here, version("ai-edge-litert"), works, EVERY, ROUNDS, [*FEATURES]))
    known = hashlib.sha256(known.encode()).hexdigest()
    return cached(cache_folder(), "costs", known, lambda: table(here, measured()))


def read_table(path: Path) -> dict:
    """A cost table. Raises Refusal if `python -m export costs` did not write it."""
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or "recipes" not in found:
        raise Refusal(f"{path} is not a cost table. python -m export costs --out {path} makes one")
    return found
