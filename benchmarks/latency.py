"""python -m benchmarks.latency [FILE...]: files, presets and peers side by side on this machine.

Presets and peers are built at --size and --classes with random weights, which take the same time;
a file has its own. Beside them runs what shows how much of the machine a net uses: a stack of large
1x1 convolutions, and for each preset a plain MobileNet v1 encoder of its width. All rounds are
interleaved, on one thread.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import cli
from files import write_json

RECIPES = ("float32", "int8")
# Of a preset; the faster one counts. The others were never the fastest (docs/results.md).
LOWERINGS = ("signs+depth_to_space", "depthwise+depth_to_space")
STACK = "1x1 convolutions"
STACK_LAYERS, STACK_CHANNELS, STACK_SIDE = 8, 512, 32
STATUS = Path("/proc/self/status")


class Row(NamedTuple):
    """gmac: multiply-accumulates of one image, in 1e9. partitions: delegate nodes of XNNPACK."""

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
    parser = cli.parser("python -m benchmarks.latency", "Latency of networks, side by side.")
    parser.add_argument("files", nargs="*", metavar="FILE", help=".tflite files")
    parser.add_argument("--presets", nargs="+", default=[], metavar="NAME", help="ours")
    parser.add_argument(
        "--peers", nargs="+", default=[], metavar="NAME|DIR",
        help="of benchmarks/peers.py, or folders of .tflite files",
    )  # fmt: skip
    parser.add_argument("--size", nargs=2, type=int, default=(256, 256), metavar=("H", "W"))
    parser.add_argument("--classes", type=int, default=2, metavar="N", help="(default 2)")
    parser.add_argument("--rounds", type=int, default=60, metavar="N", help="(default 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows for a machine")
    words = parser.parse_args()
    if not (words.files or words.presets or words.peers):
        parser.error("nothing to time: name files, --presets or --peers")
    size = tuple(words.size)
    widths = {name: width(name) for name in words.presets}
    contents = collect(words.files, words.presets, words.peers, size, words.classes)
    contents |= yardsticks(size, sorted(set(widths.values())))
    rows, memory = measure(contents, words.rounds)
    if words.json:
        write_json(words.json, [row._asdict() for row in rows])
    print(table(rows, memory, widths))
    print(f"median of {words.rounds} interleaved rounds, one thread; memory: how much more a "
          "process of its own held at its peak, the file included")  # fmt: skip


# What is timed: (name, recipe, form) -> bytes; of several forms the fastest counts


def collect(files, presets, peers, size, classes) -> dict[tuple, bytes]:
    """Raises Refusal for a name that neither a preset, a peer nor a folder has."""
    from benchmarks.peers import PEERS
    from export.tflite.runtime import read_model

    folders = [Path(word) for word in peers if Path(word).is_dir()]
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
    """The recipe whose kernels a file's first operator with weights uses."""
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
    """A float32 and an int8 file of a Keras model of batch 1; the ranges are of noise."""
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


def yardsticks(size, widths) -> dict[tuple, bytes]:
    """What a machine can do at most, and what the plain encoder does on it."""
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
    """A preset's width multiplier; without one its share of MobileNet v1's first channels."""
    from segnet.presets import preset

    rows = preset(name)
    return rows.pretrained[1] if rows.pretrained else rows.encoder[0].out / 32


# Measurement


def measure(contents: dict[tuple, bytes], rounds: int) -> tuple[list[Row], list[int | None]]:
    """A row for each name and recipe, of its fastest form, and its peak memory in bytes."""
    from export.tflite.inspect import macs
    from export.tflite.runtime import Runtime, latency_ms

    runtimes = {key: Runtime(content) for key, content in contents.items()}
    times = {key: each["median"] for key, each in latency_ms(runtimes, rounds).items()}
    fastest = {}
    for key in sorted(times, key=times.get):
        fastest.setdefault(key[:2], key)
    kept = [fastest[key] for key in dict.fromkeys(key[:2] for key in times)]
    rows = [
        Row(*key[:2], times[key], macs(contents[key]) / 1e9, len(contents[key]),
            runtimes[key].partitioning()["partitions"])
        for key in kept
    ]  # fmt: skip
    return rows, [peak_memory(contents[key]) for key in kept]


def peak_memory(content: bytes) -> int | None:
    """Bytes by which a process's peak of resident memory grows when it loads and runs a file.

    Measured in a process of its own. None where the system does not tell (it does on Linux).
    """
    import subprocess
    import tempfile

    if not STATUS.exists():
        return None
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        words = [sys.executable, "-c", "from benchmarks.latency import grow; grow()", file.name]
        end = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(end.stdout)


def grow() -> None:
    """Loads and runs the file that the command line names; prints by how many bytes that grew."""
    import ai_edge_litert.interpreter  # noqa: F401 - it is not the file's

    from export.tflite.runtime import Runtime

    before = peak_resident()
    Runtime(Path(sys.argv[1])).interpreter.invoke()
    print(peak_resident() - before)


def peak_resident() -> int:
    """Bytes. Not getrusage's, which begins with the parent's."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


# Shown


def table(rows: list[Row], memory: list[int | None], widths: dict[str, float]) -> str:
    """ratio: to the first row. of stack: of the GMAC/s of the 1x1 convolutions; of v1: of those of
    the plain encoder of a preset's width."""
    lines = [
        f"{'ms':>8}{'ratio':>7}{'MMAC':>8}{'GMAC/s':>8}{'of stack':>10}{'of v1':>7}"
        f"{'memory MB':>11}{'MB':>8}{'parts':>7}  recipe   name"
    ]
    speeds = {(row.name, row.recipe): row.speed for row in rows}
    for row, held in zip(rows, memory, strict=True):
        encoder = encoder_name(widths[row.name]) if row.name in widths else None
        lines.append(
            f"{row.latency_ms:8.2f}{row.latency_ms / rows[0].latency_ms:7.2f}"
            f"{1e3 * row.gmac:8.1f}{row.speed:8.1f}"
            f"{row.speed / speeds[STACK, row.recipe]:10.2f}"
            + (f"{row.speed / speeds[encoder, row.recipe]:7.2f}" if encoder else f"{'-':>7}")
            + (f"{'-':>11}" if held is None else f"{held / 1e6:11.1f}")
            + f"{row.size_bytes / 1e6:8.2f}{row.partitions:7}  {row.recipe:8} {row.name}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
