"""python -m benchmarks.receptive_field --data DIR: how the receptive field affects accuracy.

The study of the article on dilated convolutions: small networks that differ in their receptive
field and in how it is built, trained alike on 32x32 patches and compared in one table. The label of
a patch is the class of its centre pixel, and the prediction is the logits at that pixel. Logits
averaged over the patch would depend on the whole patch, whatever the receptive field. Only the part
of the patch that the centre depends on is computed, without padding. That is the same function as
`same` padding on the whole patch, read at the centre, and trains 6 to 25 times faster; batch norm
takes its statistics from that part.

--data takes a dataset folder, from which patches are cut, or the binary version of CIFAR-10 or
CIFAR-100. Finished training runs are kept in OUT/results.json and skipped the next time.
"""

import time
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import cli
from benchmarks.patches import read_patches
from benchmarks.receptive_nets import NETS, Net, build, nonzero, receptive_field, sparsified
from files import read_json, write_json

BATCH = 64
LEARNING_RATE = 2e-3  # of Adam; decays to 0 along a cosine
DENSE = 0.2  # fraction of the epochs before pruning begins
WARM_STEPS, TIMED_STEPS = 2, 5


class Claim(NamedTuple):
    text: str
    better: str  # names of nets
    other: str


CLAIMS = (
    Claim("A larger receptive field helps", "dilated", "plain"),
    Claim("More channels at the same receptive field help", "wide", "dilated"),
    Claim("Down-sampling is worse than dilation", "dilated", "strided"),
    Claim("A cascade beats large kernels of the same receptive field", "cascade", "large"),
    Claim("A sparse cascade beats dilation", "cascade_sparse", "dilated"),
    Claim("A cascade with two weights per kernel beats dilation", "cascade_two", "dilated"),
    Claim("A cascade with depthwise layers beats dilation", "depthwise", "dilated"),
    Claim("Sparse large kernels beat dilation", "large_sparse", "dilated"),
    Claim("A sparse cascade beats sparse large kernels", "cascade_sparse", "large_sparse"),
)


def main() -> None:
    parser = cli.parser("python -m benchmarks.receptive_field", __doc__.split("\n\n", 1)[1])
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR",
        help="dataset folder, or folder of CIFAR's binary version",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("runs/receptive_field"), metavar="DIR",
        help="folder of results.json (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="(default 40)")
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="per net (default 2)")
    parser.add_argument(
        "--nets", nargs="+", default=[*NETS], metavar="NAME",
        help=f"(default all: {', '.join(NETS)})",
    )  # fmt: skip
    args = parser.parse_args()
    nets = [NETS[cli.one_of(name, NETS, "net")] for name in args.nets]
    if args.epochs < 1 or args.seeds < 1:
        raise cli.Refusal(
            f"--epochs is {args.epochs} and --seeds {args.seeds}; needed: at least 1 each"
        )
    patches, classes = read_patches(args.data)
    results = Results(args.out, {"data": digest(patches), "epochs": args.epochs})
    todo = [(net, seed) for seed in range(args.seeds) for net in nets]
    todo = [(net, seed) for net, seed in todo if not results.has(net, seed)]
    announce(todo, patches, classes, args.epochs)
    for net, seed in todo:
        results.add(train(net, seed, patches, classes, args.epochs))
    print(table(nets, results.rows))
    print(verdicts(results.rows, len(patches["val"][1])))


# Training


def train(net: Net, seed: int, patches: dict, classes: int, epochs: int) -> dict:
    """The row of results.json. "right": whether each validation patch is right, as bits in hex."""
    import numpy as np
    from tqdm import tqdm

    from segnet.backend import seed_everything

    seed_everything(seed)
    rng, seconds = np.random.default_rng(seed), []
    steps = -(-len(patches["train"][1]) // BATCH)
    trained = sparsified(net, build(net, classes), round(DENSE * epochs) * steps)
    compile_model(trained.model, epochs * steps)
    for _ in tqdm(range(epochs), desc=f"{net.name}, seed {seed}", unit="epoch", disable=None):
        start = time.perf_counter()
        for batch in batches(*patches["train"], rng):
            trained.model.train_on_batch(*batch)
            trained.after()
        seconds.append(time.perf_counter() - start)
    final = trained.finish(trained.model)
    right = correct(final, *patches["val"])
    return {
        "net": net.name, "seed": seed, "parameters": nonzero(final),
        "accuracy": float(right.mean()), "right": np.packbits(right).tobytes().hex(),
        "epoch_seconds": median(seconds),
    }  # fmt: skip


def compile_model(model, steps: int) -> None:
    import tf_keras

    rate = tf_keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On a CPU XLA was measured to be 13 times slower.
    model.compile(tf_keras.optimizers.Adam(rate), loss, jit_compile=False)


def batches(images, labels, rng):
    """The shuffled batches of an epoch; each patch is mirrored with probability 0.5."""
    import numpy as np

    order = rng.permutation(len(labels))
    for places in np.split(order, range(BATCH, len(order), BATCH)):
        mirrored = rng.random(len(places)) < 0.5
        some = images[places]
        some[mirrored] = some[mirrored, :, ::-1]
        yield scaled(some), labels[places]


def scaled(images):
    """uint8 to float32 in [-1, 1]."""
    import numpy as np

    return images.astype(np.float32) / 127.5 - 1


def correct(model, images, labels):
    """(N,) bool: whether the largest logit is that of the label."""
    import numpy as np

    starts = range(0, len(labels), BATCH)
    logits = [model.predict_on_batch(scaled(images[at : at + BATCH])) for at in starts]
    return np.concatenate(logits).argmax(1) == labels


def announce(todo: list, patches: dict, classes: int, epochs: int) -> None:
    """Reports how long training will take, estimated from a few steps of every layout."""
    from segnet.backend import start, start_tf_keras

    start()  # silences TensorFlow
    start_tf_keras()
    count = len(patches["train"][1])
    layouts = {net.layers: net for net, _ in todo}
    seconds = {layers: step_seconds(net, patches, classes) for layers, net in layouts.items()}
    total = sum(seconds[net.layers] for net, _ in todo) * epochs * -(-count // BATCH)
    cli.say(
        f"{count} training and {len(patches['val'][1])} validation patches, {classes} classes; "
        f"{len(todo)} training runs of {epochs} epochs, about {total / 60:.0f} min"
    )


def step_seconds(net: Net, patches: dict, classes: int) -> float:
    model = build(net, classes)
    compile_model(model, 1)
    images, labels = scaled(patches["train"][0][:BATCH]), patches["train"][1][:BATCH]
    times = []
    for _ in range(WARM_STEPS + TIMED_STEPS):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        times.append(time.perf_counter() - start)
    return median(times[WARM_STEPS:])


# Results


def digest(patches: dict) -> str:
    import hashlib

    found = hashlib.sha256()
    for images, labels in patches.values():
        found.update(images.tobytes() + labels.tobytes())
    return found.hexdigest()


class Results:
    """The rows in OUT/results.json. Raises Refusal if they are of another plan."""

    def __init__(self, folder: Path, plan: dict):
        from segnet.run import differences

        self.path, self.plan, self.rows = folder / "results.json", plan, []
        if self.path.exists():
            found = read_json(self.path)
            if other := differences(found["plan"], plan):
                raise cli.Refusal(f"{folder} is of another study: {other}. Name a new --out")
            self.rows = found["rows"]

    def has(self, net: Net, seed: int) -> bool:
        return any((row["net"], row["seed"]) == (net.name, seed) for row in self.rows)

    def add(self, row: dict) -> None:
        self.rows.append(row)
        write_json(self.path, {"plan": self.plan, "rows": self.rows})


def rows_of(rows: list[dict], name: str) -> list[dict]:
    return [row for row in rows if row["net"] == name]


def table(nets: list[Net], rows: list[dict]) -> str:
    """Markdown: mean accuracy and its range over the seeds."""
    lines = [
        "| net | parameters | receptive field, pixels | accuracy, % | seeds | s per epoch |",
        "|---|---|---|---|---|---|",
    ]
    for net in nets:
        own = rows_of(rows, net.name)
        accuracies = [100 * row["accuracy"] for row in own]
        lines.append(
            f"| {net.name} | {own[0]['parameters']:,} | {receptive_field(net.layers)} "
            f"| {mean(accuracies):.1f} ({min(accuracies):.1f} to {max(accuracies):.1f}) "
            f"| {len(own)} | {median(row['epoch_seconds'] for row in own):.1f} |"
        )
    return "\n".join(lines)


def accuracy(rows: list[dict]) -> float:
    return mean(row["accuracy"] for row in rows)


def verdicts(rows: list[dict], patches: int) -> str:
    """A line per claim whose two nets have rows. patches: number of validation patches."""
    lines = []
    for claim in CLAIMS:
        better, other = rows_of(rows, claim.better), rows_of(rows, claim.other)
        if better and other:
            lines.append(f"- {claim.text}: {verdict(better, other, patches)}")
    return "\n".join(lines)


def verdict(better: list[dict], other: list[dict], patches: int) -> str:
    """Whether `better` is more accurate than `other`, with the figures.

    Noise is the spread over the seeds or two standard errors of the difference of both nets on the
    same patches, whichever is larger. Patches are treated as independent.
    """
    gain = accuracy(better) - accuracy(other)
    differences = fraction_correct(better, patches) - fraction_correct(other, patches)
    error = differences.std() / patches**0.5
    noise = max(2 * error, spread(better), spread(other))
    word = "not decided" if abs(gain) <= noise else "holds" if gain > 0 else "does not hold"
    sides = " and ".join(
        f"{rows[0]['net']} {100 * accuracy(rows):.1f} % ({rows[0]['parameters']:,} parameters)"
        for rows in (better, other)
    )
    return f"{word}; {sides}; difference {100 * gain:+.1f} points, noise {100 * noise:.1f}"


def fraction_correct(rows: list[dict], patches: int):
    """(patches,): for each patch, the fraction of seeds that classify it correctly."""
    import numpy as np

    packed = [np.frombuffer(bytes.fromhex(row["right"]), np.uint8) for row in rows]
    return np.unpackbits(packed, axis=1, count=patches).mean(0)


def spread(rows: list[dict]) -> float:
    accuracies = [row["accuracy"] for row in rows]
    return max(accuracies) - min(accuracies)


if __name__ == "__main__":
    cli.run(main)
