"""python -m benchmarks.accuracy --data DIR --out DIR: accuracy and latency, ours beside the peers.

Every net is trained by train.py's loop under one recipe into OUT/NET-seedN, becomes a float32 and
an int8 file, is scored on the validation set, which also chose its best epoch, and timed with all
others in one interleaved run. What is finished is not done again; what was stopped goes on exactly.
With KERAS_BACKEND=jax (a GPU) it trains only; the same command without it then makes the files.
"""

import dataclasses
import statistics
from pathlib import Path
from typing import NamedTuple

import cli
from benchmarks.latency import LOWERINGS
from files import beside, read_json, write_json

FILES = {  # keras.applications' name: how its weights files begin in --weights-folder
    "MobileNet": "mobilenet_v1",
    "MobileNetV2": "mobilenet_v2",
}
RECIPES = ("float32", "int8")
OURS, OTHER, PEER = "#139a5c", "#777", "#c2571a"


class Row(NamedTuple):
    """A net's line of the table. miou, miou_int8: a fraction a seed. latency_ms: float32, int8."""

    name: str
    encoder: str
    miou: list[float]
    miou_int8: list[float]
    latency_ms: tuple[float, float]
    size_bytes: tuple[int, int]
    macs: int
    parameters: int
    partitions: tuple[int, int]


def main() -> None:
    from segnet.plan import Plan

    default = {field.name: field.default for field in dataclasses.fields(Plan)}
    parser = cli.parser("python -m benchmarks.accuracy", "Ours and the peers under one recipe.")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="runs and results")
    parser.add_argument(
        "--nets", nargs="+", metavar="NAME", help="presets, variants, peers (default: ours, peers)"
    )
    parser.add_argument("--size", nargs=2, type=int, default=default["size"], metavar=("H", "W"))
    parser.add_argument("--epochs", type=int, default=default["epochs"], metavar="N")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], metavar="N", help="(default 0)"
    )
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR",
        help="of encoders' .h5 files; left out: all start from random weights",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows for a machine")
    words = parser.parse_args()
    runs = plans(words)
    for folder, plan in runs.items():
        train_once(plan, folder)
    report(runs, words)


def plans(words) -> dict[Path, object]:
    """Run folder to plan, every net with every seed. Raises Refusal for a name that nobody has."""
    from benchmarks.peers import PEERS
    from segnet.plan import Plan
    from segnet.presets import FAMILY, PRESETS
    from segnet.variants import VARIANTS

    known = {**PRESETS, **VARIANTS, **PEERS}
    asked = words.nets or [*FAMILY, *(name for name in PEERS if not PEERS[name].encoder)]
    nets = [cli.one_of(name, known, "net") for name in asked]
    return {
        words.out / f"{net}-seed{seed}": Plan(
            words.data, net, words.size, words.epochs, seed=seed,
            weights=weights_file(known[net], words.weights_folder),
        )
        for net in nets
        for seed in words.seeds
    }  # fmt: skip


def weights_file(net, folder: Path | None) -> str:
    """The encoder's file of a preset or a peer, "none" where it starts from random weights.

    Raises Refusal when it is not in the folder, before anything has been trained.
    """
    name = net.weights if hasattr(net, "weights") else published(net)
    if not (folder and name):
        return "none"
    if not (folder / name).is_file():
        raise cli.Refusal(
            f"{folder / name} is missing. --weights-folder takes a folder of encoders' .h5 files; "
            "without it all nets start from random weights"
        )
    return str(folder / name)


def published(preset) -> str:
    """The file's name of the weights that a preset takes, "" for none."""
    if preset.pretrained is None:
        return ""
    name, width = preset.pretrained
    return f"{FILES[name]}_{width}_no_top.h5"


def train_once(plan, folder: Path) -> None:
    """Trains into `folder` unless that is done. Raises Refusal for a run of another plan."""
    from benchmarks import peers
    from data.dataset import read_dataset
    from segnet import backend
    from segnet.weights import load_encoder
    from train import fit, probe

    if finished(plan, folder):
        return
    dataset = read_dataset(plan.data)
    probe(dataset)
    cli.say(f"{folder} ...")
    backend.start().utils.clear_session()
    backend.seed_everything(plan.seed)
    model = network(plan, len(dataset.classes))

    def load():
        if plan.preset in peers.PEERS and plan.weights != "none":
            return peers.load(model, Path(plan.weights))
        rows = None if plan.preset in peers.PEERS else plan.network()
        return load_encoder(model, rows, plan.weights)

    fit(model, dataset, plan, folder, load)


def network(plan, classes: int, batch: int | None = None):
    """The model of a preset or of a peer, with random weights."""
    from benchmarks import peers
    from segnet.backend import start
    from segnet.build import build

    if plan.preset in peers.PEERS:
        return peers.build(plan.preset, plan.size, classes, batch)
    return build(start(), plan.network(), plan.size, classes, batch=batch)


def finished(plan, folder: Path) -> bool:
    """Whether `folder` is a finished run of `plan`; its data and weights may have lain elsewhere,
    where a GPU was. Raises Refusal when it is a finished one of another plan."""
    from segnet.run import differences, read_run

    if not (folder / "last.weights.h5").exists():
        return False
    found, wanted = (
        dataclasses.asdict(p) | {"data": "", "weights": Path(p.weights).name}
        for p in (read_run(folder)[0], plan)
    )
    if other := differences(found, wanted):
        raise cli.Refusal(f"{folder} is a run of another plan: {other}. Name a new --out")
    return True


# From runs to figures


def report(runs: dict, words) -> None:
    """Files, scores and times of finished runs: the table, the rows, the plot."""
    from export.report.plot import svg
    from segnet.backend import start

    if start().backend.backend() != "tensorflow":
        cli.say("trained; the same command without KERAS_BACKEND makes the files and the table")
        return
    for folder, plan in runs.items():
        measure_once(plan, folder)
    found = rows(runs)
    if words.json:
        write_json(words.json, [row._asdict() for row in found])
    with beside(words.out / "accuracy.svg") as part:
        part.write_text(svg(plot(found)))
    print(table(found))


def measure_once(plan, folder: Path) -> None:
    """Writes folder/RECIPE.tflite and measured.json: what does not depend on the day."""
    import numpy as np

    from data.dataset import read_dataset
    from export.make import Trained
    from export.proof.score import score_function
    from export.tflite.inspect import macs
    from export.tflite.runtime import Runtime
    from segnet.run import read_run

    if (folder / "measured.json").exists():
        return
    cli.say(f"{folder}: files and scores ...")
    dataset, manifest = read_dataset(plan.data), read_run(folder)[1]
    if dataset.classes != manifest["dataset"]["classes"]:
        raise cli.Refusal(f"{plan.data} has other classes than {folder} was trained on")
    model = network(plan, len(dataset.classes))
    model.load_weights(folder / "best.weights.h5")
    trained = Trained(folder, model, plan, manifest, dataset)
    made = dict(zip(RECIPES, files(trained), strict=True))
    found = {
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "macs": macs(made["float32"]),
        "miou": {
            name: score_function(Runtime(content), dataset, "val", plan.size)["miou"]
            for name, content in made.items()
        },
    }
    for name, content in made.items():
        with beside(folder / f"{name}.tflite") as part:
            part.write_bytes(content)
    write_json(folder / "measured.json", found)


def files(trained) -> list[bytes]:
    """The float32 and the int8 file: ours in the faster lowering, a peer's as Keras converts it."""
    from benchmarks.peers import PEERS
    from export.graph.convert import to_tflite
    from export.graph.deploy import lowering
    from export.graph.lowering import compare
    from export.make import Choices, Exporter
    from export.recipes import BY_NAME

    chosen = [BY_NAME[name] for name in RECIPES]
    if trained.plan.preset not in PEERS:
        exporter, forms = Exporter(trained, Choices()), [lowering(name) for name in LOWERINGS]
        return [
            exporter.content(recipe, compare(trained, recipe.kernels, ("xnnpack",), forms, {}))[0]
            for recipe in chosen
        ]
    still = network(trained.plan, len(trained.dataset.classes), batch=1)
    still.set_weights(trained.model.get_weights())
    return [
        to_tflite(still, recipe, trained.calibration if recipe.calibrated else None)
        for recipe in chosen
    ]


def rows(runs: dict) -> list[Row]:
    """A row a net; the files of its first seed are timed, all interleaved."""
    from export.tflite.runtime import Runtime, latency_ms

    folders = {}
    for folder, plan in runs.items():
        folders.setdefault(plan.preset, []).append(folder)
    paths = {
        (net, name): seeds[0] / f"{name}.tflite" for net, seeds in folders.items()
        for name in RECIPES
    }  # fmt: skip
    runtimes = {key: Runtime(path) for key, path in paths.items()}
    times = latency_ms(runtimes)
    found = []
    for net, seeds in folders.items():
        measured = [read_json(folder / "measured.json") for folder in seeds]
        keys = [(net, name) for name in RECIPES]
        found.append(Row(
            net, encoder(runs[seeds[0]].weights),
            [each["miou"]["float32"] for each in measured],
            [each["miou"]["int8"] for each in measured],
            tuple(times[key]["median"] for key in keys),
            tuple(paths[key].stat().st_size for key in keys),
            measured[0]["macs"], measured[0]["parameters"],
            tuple(runtimes[key].partitioning()["partitions"] for key in keys),
        ))  # fmt: skip
    return found


def encoder(weights: str) -> str:
    return "random" if weights == "none" else Path(weights).name.removesuffix("_no_top.h5")


# Shown


def table(rows: list[Row]) -> str:
    """Markdown; spread is the largest less the least of the seeds, in points."""
    head = ("net", "first weights", "seeds", "mIoU", "spread", "mIoU int8", "ms", "ms int8",
            "MB", "MB int8", "MMAC", "parameters", "parts", "parts int8")  # fmt: skip
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


def plot(rows: list[Row]):
    """mIoU over latency: a line from each net's int8 file, open, to its float32 one, filled."""
    from export.report.plot import start

    figure, axes = start("latency in ms, one thread; filled float32, open int8", (7.5, 4.0))
    for row in rows:
        heights = [100 * statistics.mean(miou) for miou in (row.miou, row.miou_int8)]
        axes.plot(row.latency_ms, heights, color=colour(row.name), linewidth=1)
        for ms, height, fill in zip(row.latency_ms, heights, ("full", "none"), strict=True):
            axes.plot(ms, height, "o", color=colour(row.name), fillstyle=fill)
        # Beside the float32 mark, on the side where the line is not.
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
    """Ours green, ancestors and variants grey, peers brown."""
    from benchmarks.peers import PEERS
    from segnet.presets import FAMILY

    return OURS if name in FAMILY else PEER if name in PEERS else OTHER


if __name__ == "__main__":
    cli.run(main)
