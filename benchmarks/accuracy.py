"""python -m benchmarks.accuracy --data DIR --out DIR: accuracy and latency of presets and peers.

Each network is trained with the same hyperparameters, by the loop of train.py, in OUT/NET-seedN and
converted to a float32 and an int8 file. The files are scored on the validation set, which also
chose the best epoch, and timed in one interleaved run. Finished steps are skipped, and an
interrupted training resumes exactly. With KERAS_BACKEND=jax (for a GPU) the command only trains;
the same command without it then makes the files.
"""

import dataclasses
from pathlib import Path

import cli
from benchmarks.accuracy_results import AccuracyRow, plot, table
from benchmarks.latency import RECIPES
from files import beside, read_json, write_json

FILES = {  # family in keras.applications: prefix of its weights files
    "MobileNet": "mobilenet_v1",
    "MobileNetV2": "mobilenet_v2",
}


def main() -> None:
    from segnet.plan import Plan
    from segnet.presets import FAMILY

    default = {field.name: field.default for field in dataclasses.fields(Plan)}
    parser = cli.parser(
        "python -m benchmarks.accuracy",
        "Train presets and peers with the same hyperparameters; compare accuracy and latency.",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder of the runs and the plot"
    )
    parser.add_argument(
        "--nets", nargs="+", metavar="NAME",
        help=f"presets, variants and peers (default: {', '.join(FAMILY)} and the peers with "
        "encoders of their own)",
    )  # fmt: skip
    parser.add_argument(
        "--size", nargs=2, type=int, default=default["size"], metavar=("H", "W"),
        help="input size in pixels (default {} {})".format(*default["size"]),
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, default=default["epochs"], metavar="N", help="(default %(default)s)"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], metavar="N", help="one run each (default 0)"
    )
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR",
        help="folder of .h5 encoder weights; without it all networks start from random weights",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    args = parser.parse_args()
    runs = plans(args)
    for folder, plan in runs.items():
        train_once(plan, folder)
    report(runs, args)


def plans(args) -> dict[Path, object]:
    """Plans by run folder, one for each network and seed. Raises Refusal for an unknown network."""
    from benchmarks.peers import PEERS
    from segnet.plan import Plan
    from segnet.presets import FAMILY, PRESETS
    from segnet.variants import VARIANTS

    known = {**PRESETS, **VARIANTS, **PEERS}
    names = args.nets or [*FAMILY, *(name for name in PEERS if not PEERS[name].encoder)]
    nets = [cli.one_of(name, known, "net") for name in names]
    return {
        args.out / f"{net}-seed{seed}": Plan(
            args.data, net, args.size, args.epochs, seed=seed,
            weights=weights_file(known[net], args.weights_folder),
        )
        for net in nets
        for seed in args.seeds
    }  # fmt: skip


def weights_file(net, folder: Path | None) -> str:
    """The encoder weights of a preset or a peer: a file in `folder`, or "none" for random weights.

    Raises Refusal if the folder does not contain the file.
    """
    name = net.weights if hasattr(net, "weights") else published(net)
    if not (folder and name):
        return "none"
    if not (folder / name).is_file():
        raise cli.Refusal(
            f"{folder / name} is missing. --weights-folder takes a folder of .h5 encoder weights; "
            "without it all networks start from random weights"
        )
    return str(folder / name)


def published(preset) -> str:
    """Name of the weights file that fits a preset's encoder, "" if none was published."""
    if preset.pretrained is None:
        return ""
    name, width = preset.pretrained
    return f"{FILES[name]}_{width}_no_top.h5"


def train_once(plan, folder: Path) -> None:
    """Trains in `folder` unless that is done. Raises Refusal if it has a run of another plan."""
    from benchmarks import peers
    from data.dataset import read_dataset
    from files import held
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

    with held(folder):
        fit(model, dataset, plan, folder, load)


def network(plan, classes: int, batch: int | None = None):
    """The model of a preset or a peer, with random weights."""
    from benchmarks import peers
    from segnet.backend import start
    from segnet.build import build

    if plan.preset in peers.PEERS:
        return peers.build(plan.preset, plan.size, classes, batch)
    return build(start(), plan.network(), plan.size, classes, batch=batch)


def finished(plan, folder: Path) -> bool:
    """Whether `folder` is a finished run of `plan`. Raises Refusal if it finished another plan.

    Paths of data and weights may differ, since the run may have been trained on another machine.
    """
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


# Measurement


def report(runs: dict, args) -> None:
    """Converts, scores and times finished runs; prints the table and writes rows and plot."""
    from export.report.plot import svg
    from segnet.backend import start

    if start().backend.backend() != "tensorflow":
        cli.say("training finished; run the same command without KERAS_BACKEND to make the files")
        return
    for folder, plan in runs.items():
        measure_once(plan, folder)
    found = rows(runs)
    if args.json:
        write_json(args.json, [row._asdict() for row in found])
    with beside(args.out / "accuracy.svg") as part:
        part.write_text(svg(plot(found)))
    print(table(found))


def measure_once(plan, folder: Path) -> None:
    """Writes folder/RECIPE.tflite and measured.json: scores and counts, but no latency."""
    import numpy as np

    from data.dataset import read_dataset
    from export.proof.score import score_function
    from export.tflite.inspect import macs
    from export.tflite.runtime import Runtime
    from export.trained import Trained
    from segnet.run import read_run

    if (folder / "measured.json").exists():
        return
    cli.say(f"{folder}: converting and scoring ...")
    dataset, manifest = read_dataset(plan.data), read_run(folder)[1]
    if dataset.classes != manifest["dataset"]["classes"]:
        raise cli.Refusal(
            f"the classes of {plan.data} are not those that {folder} was trained on. "
            "Name another --data or a new --out"
        )
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
    """The float32 and the int8 file.

    A preset is converted in the lowering of the table (how CReLU and deconvolutions are written in
    TFLite operators), a peer by the plain converter.
    """
    from benchmarks.peers import PEERS
    from export.graph.convert import to_tflite
    from export.make import Choices, Exporter
    from export.recipes import BY_NAME

    chosen = [BY_NAME[name] for name in RECIPES]
    if trained.plan.preset not in PEERS:
        exporter = Exporter(trained, Choices())
        return [exporter.made(each, exporter.lowering(each.kernels)[0]).content for each in chosen]
    single = network(trained.plan, len(trained.dataset.classes), batch=1)
    single.set_weights(trained.model.get_weights())
    return [
        to_tflite(single, recipe, trained.calibration if recipe.calibrated else None)
        for recipe in chosen
    ]


def rows(runs: dict) -> list[AccuracyRow]:
    """One row per network. Latency is that of the first seed's files, all interleaved."""
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
        found.append(AccuracyRow(
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


if __name__ == "__main__":
    cli.run(main)
