"""python -m benchmarks.latency [FILE...]: compares files, presets and peers on this machine.

Presets and peers are built for --size and --classes with random weights, since latency does not
depend on them; a file has its own size and classes. Two reference networks show how well a network
uses the machine: a stack of large 1x1 convolutions and, for each preset, a plain MobileNet v1
encoder of its width. All rounds are interleaved, on one thread.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import cli
from files import write_json

RECIPES = ("float32", "int8")
# A lowering is how CReLU and the deconvolutions are written in TFLite operators. Presets are timed
# in these and the faster one counts; the others were never the fastest (docs/results.md).
LOWERINGS = ("signs+depth_to_space", "depthwise+depth_to_space")
STACK = "1x1 convolutions"
STACK_LAYERS, STACK_CHANNELS, STACK_SIDE = 8, 512, 32
STATUS = Path("/proc/self/status")
LEGEND = f"""ratio: latency relative to the first row
/stack, /v1: GMAC/s relative to the {STACK} and to the plain encoder of the preset's width
memory: growth of a process's peak resident memory as it loads and runs the file
partitions: delegate partitions of XNNPACK"""


class LatencyRow(NamedTuple):
    """gmac: 1e9 multiply-accumulates per image. partitions: delegate partitions of XNNPACK."""

    name: str
    recipe: str
    latency_ms: float
    gmac: float
    size_bytes: int
    partitions: int

    @property
    def speed(self) -> float:
        """GMAC/s."""
        return 1e3 * self.gmac / self.latency_ms


def main() -> None:
    parser = cli.parser(
        "python -m benchmarks.latency",
        "Compare latency, memory and size of .tflite files, presets and peers.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help=".tflite files")
    parser.add_argument(
        "--presets", nargs="+", default=[], metavar="NAME",
        help="presets and variants of base; python -m segnet presets lists them",
    )  # fmt: skip
    parser.add_argument(
        "--peers", nargs="+", default=[], metavar="NAME|DIR",
        help="networks of benchmarks/peers.py, or folders of .tflite files",
    )  # fmt: skip
    parser.add_argument(
        "--size", nargs=2, type=int, default=(256, 256), metavar=("H", "W"),
        help="input size in pixels of presets and peers (default 256 256)",
    )  # fmt: skip
    parser.add_argument(
        "--classes", type=int, default=2, metavar="N", help="of presets and peers (default 2)"
    )
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="(default 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    args = parser.parse_args()
    if not (args.files or args.presets or args.peers):
        parser.error("there is nothing to time: pass files, --presets or --peers")
    compare(args)


def compare(args) -> None:
    """Builds, times and prints what the command line asks for."""
    size = tuple(args.size)
    widths = {name: width(name) for name in args.presets}
    contents = collect(args.files, args.presets, args.peers, size, args.classes)
    contents |= references(size, sorted(set(widths.values())))
    rows, memory = measure(contents, args.rounds)
    if args.json:
        write_json(args.json, [row._asdict() for row in rows])
    print(table(rows, memory, widths))
    print(f"median of {args.rounds} interleaved rounds, one thread\n{LEGEND}")


# Files to time, by (name, recipe, lowering); of several lowerings the fastest counts


def collect(files, presets, peers, size, classes) -> dict[tuple, bytes]:
    """All files but the references. Raises Refusal for an unknown preset, peer or folder."""
    from benchmarks.peers import PEERS
    from export.tflite.runtime import read_model

    folders = [Path(name) for name in peers if Path(name).is_dir()]
    paths = [*files, *(path for folder in folders for path in sorted(folder.glob("*.tflite")))]
    contents = {}
    for path in paths:
        content = read_model(path)
        contents[str(path), computes_in(content), ""] = content
    for name in presets:
        contents |= preset_files(name, size, classes)
    for name in peers:
        if Path(name) not in folders:
            cli.one_of(name, PEERS, "folder or peer")
            contents |= peer_files(name, size, classes)
    return contents


def computes_in(content: bytes) -> str:
    """float32 or int8, by the output of the first operator that multiplies."""
    from export.tflite.inspect import operator_macs, operators

    first = next((each for each in operators(content) if operator_macs(each)), None)
    quantised = first is not None and first.outputs[0].dtype in ("int8", "uint8")
    return RECIPES[quantised]


def preset_files(name: str, size, classes: int) -> dict[tuple, bytes]:
    import numpy as np

    from benchmarks.lowering import randomise_norms
    from export.graph.deploy import deploy, lowering
    from segnet.backend import start
    from segnet.build import build
    from segnet.presets import preset

    rows = preset(name)
    model = build(start(), rows, size, classes)
    randomise_norms(model, np.random.default_rng(0))
    found = {}
    has_crelu = any(getattr(row, "crelu", False) for row in (*rows.encoder, *rows.decoder))
    for form in LOWERINGS if has_crelu else LOWERINGS[:1]:
        graph = deploy(model, rows, size, classes, lowering(form))
        found |= converted(graph, name, form)
    return found


def peer_files(name: str, size, classes: int) -> dict[tuple, bytes]:
    import numpy as np

    from benchmarks.lowering import randomise_norms
    from benchmarks.peers import build

    model = build(name, size, classes, batch=1)
    randomise_norms(model, np.random.default_rng(0))
    return converted(model, name)


def converted(graph, name: str, form: str = "") -> dict[tuple, bytes]:
    """A float32 and an int8 file of a Keras model of batch 1, calibrated with noise."""
    import numpy as np

    from export.graph.convert import to_tflite
    from export.recipes import BY_NAME

    cli.say(f"{name} {form} ...")
    shape = (2, *graph.inputs[0].shape[1:])
    noise = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    recipes = [BY_NAME[recipe] for recipe in RECIPES]
    return {
        (name, row.name, form): to_tflite(graph, row, noise if row.calibrated else None)
        for row in recipes
    }


def references(size, widths) -> dict[tuple, bytes]:
    """The stack of 1x1 convolutions, near the machine's peak speed, and plain encoders."""
    import numpy as np

    from benchmarks.lowering import randomise_norms
    from segnet.backend import start

    k = start()
    x = image = k.Input((STACK_SIDE, STACK_SIDE, STACK_CHANNELS), batch_size=1)
    for _ in range(STACK_LAYERS):
        x = k.layers.Conv2D(STACK_CHANNELS, 1, activation="relu", bias_initializer="normal")(x)
    found = converted(k.Model(image, x), STACK)
    for alpha in widths:
        image = k.Input((*size, 3), batch_size=1)
        net = k.applications.MobileNet(
            (*size, 3), alpha, include_top=False, weights=None, input_tensor=image
        )
        randomise_norms(net, np.random.default_rng(0))
        found |= converted(net, encoder_name(alpha))
    return found


def encoder_name(alpha: float) -> str:
    return f"MobileNet v1 {alpha:g} encoder"


def width(name: str) -> float:
    """A preset's width multiplier, or its first channels relative to those of MobileNet v1."""
    from segnet.presets import preset

    rows = preset(name)
    return rows.pretrained[1] if rows.pretrained else rows.encoder[0].out / 32


# Measurement


def measure(contents: dict[tuple, bytes], rounds: int) -> tuple[list[LatencyRow], list[int | None]]:
    """Rows and peak memory in bytes, one per name and recipe, of the fastest lowering."""
    from export.tflite.inspect import macs
    from export.tflite.runtime import Runtime, latency_ms

    runtimes = {key: Runtime(content) for key, content in contents.items()}
    times = {key: each["median"] for key, each in latency_ms(runtimes, rounds).items()}
    fastest = {}
    for key in sorted(times, key=times.get):
        fastest.setdefault(key[:2], key)
    kept = [fastest[key] for key in dict.fromkeys(key[:2] for key in times)]
    rows = [
        LatencyRow(*key[:2], times[key], macs(contents[key]) / 1e9, len(contents[key]),
            runtimes[key].partitioning()["partitions"])
        for key in kept
    ]  # fmt: skip
    return rows, [peak_memory(contents[key]) for key in kept]


def peak_memory(content: bytes) -> int | None:
    """Bytes by which the peak resident memory of a new process grows as it loads and runs a file.

    None on systems other than Linux.
    """
    import subprocess
    import tempfile

    if not STATUS.exists():
        return None
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        code = "from benchmarks.latency import print_growth; print_growth()"
        command = [sys.executable, "-c", code, file.name]
        end = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(end.stdout)


def print_growth() -> None:
    """Loads and runs the file named in sys.argv; prints the growth of peak memory in bytes."""
    import ai_edge_litert.interpreter  # noqa: F401 - so that its own memory is not counted

    from export.tflite.runtime import Runtime

    before = peak_resident()
    Runtime(Path(sys.argv[1])).interpreter.invoke()
    print(peak_resident() - before)


def peak_resident() -> int:
    """Bytes. getrusage is not used because its peak starts at the parent process's."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


# Output


def table(rows: list[LatencyRow], memory: list[int | None], widths: dict[str, float]) -> str:
    """Text in columns that LEGEND explains. widths: multipliers of the presets, by name."""
    lines = [
        f"{'ms':>8}{'ratio':>9}{'MMAC':>8}{'GMAC/s':>8}{'/stack':>8}{'/v1':>7}"
        f"{'memory MB':>11}{'file MB':>9}{'partitions':>12}  recipe   name"
    ]
    speeds = {(row.name, row.recipe): row.speed for row in rows}
    for row, held in zip(rows, memory, strict=True):
        encoder = encoder_name(widths[row.name]) if row.name in widths else None
        lines.append(
            f"{row.latency_ms:8.2f}{row.latency_ms / rows[0].latency_ms:9.2f}"
            f"{1e3 * row.gmac:8.1f}{row.speed:8.1f}"
            f"{row.speed / speeds[STACK, row.recipe]:8.2f}"
            + (f"{row.speed / speeds[encoder, row.recipe]:7.2f}" if encoder else f"{'-':>7}")
            + (f"{'-':>11}" if held is None else f"{held / 1e6:11.1f}")
            + f"{row.size_bytes / 1e6:9.2f}{row.partitions:12}  {row.recipe:8} {row.name}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
