"""python -m benchmarks.receptive_field --data DIR: what a pixel sees, and how it tells its class.

The dilation article's study: small nets without down-sampling, which differ in how the centre of a
32x32 patch comes to see its surroundings, trained alike and compared in one table. A patch has the
class of its centre pixel, and the net's answer is its logits at that pixel, not their average over
the patch: an average would see all of the patch, whatever the receptive field. So of a patch only
the square that the centre sees is computed, without padding. That is the same function as `same`
padding on all of it, read at the centre, and 6 to 25 times faster in training; batch norm's
statistics are of that square.

--data takes a dataset folder, from which patches are cut, or CIFAR-10 or -100 in the binary
version. Finished rows are kept in OUT/results.json and skipped next time.
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
LEARNING_RATE = 2e-3  # Adam's; it falls to 0 along a cosine
DENSE = 0.2  # of the epochs, before weights are taken away
WARM_STEPS, TIMED_STEPS = 2, 5


class Claim(NamedTuple):
    words: str
    better: str  # names of nets
    other: str


CLAIMS = (
    Claim("A larger receptive field helps", "dilated", "plain"),
    Claim("More channels on it help", "wide", "dilated"),
    Claim("Down-sampling loses against dilation", "dilated", "strided"),
    Claim("A cascade beats the large kernels that see as much", "cascade", "large"),
    Claim("A sparse cascade beats dilation", "cascade_sparse", "dilated"),
    Claim("A cascade of two non-zeros a kernel beats dilation", "cascade_two", "dilated"),
    Claim("A cascade with depthwise layers between beats dilation", "depthwise", "dilated"),
    Claim("Sparse large kernels beat dilation", "large_sparse", "dilated"),
    Claim("A sparse cascade beats sparse large kernels", "cascade_sparse", "large_sparse"),
)


def main() -> None:
    parser = cli.parser("python -m benchmarks.receptive_field", __doc__.split("\n\n", 1)[1])
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="dataset or CIFAR")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/receptive_field"), metavar="DIR",
        help="of results.json (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=40, metavar="N", help="(default 40)")
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="a net (default 2)")
    parser.add_argument(
        "--nets", nargs="+", default=[*NETS], metavar="NAME",
        help=f"(default all: {', '.join(NETS)})",
    )  # fmt: skip
    words = parser.parse_args()
    nets = [NETS[cli.one_of(name, NETS, "net")] for name in words.nets]
    if words.epochs < 1 or words.seeds < 1:
        raise cli.Refusal("--epochs and --seeds take 1 or more")
    patches, classes = read_patches(words.data)
    results = Results(words.out, {"data": digest(patches), "epochs": words.epochs})
    todo = [(net, seed) for seed in range(words.seeds) for net in nets]
    todo = [(net, seed) for net, seed in todo if not results.has(net, seed)]
    announce(todo, patches, classes, words.epochs)
    for net, seed in todo:
        results.add(train(net, seed, patches, classes, words.epochs))
    print(table(nets, results.rows))
    print(judged(results.rows, len(patches["val"][1])))


# Training


def train(net: Net, seed: int, patches: dict, classes: int, epochs: int) -> dict:
    """The row of results.json. "right": a bit for every patch of val, after the last epoch."""
    import numpy as np
    from tqdm import tqdm

    from segnet.backend import seed_everything

    seed_everything(seed)
    rng, seconds = np.random.default_rng(seed), []
    steps = -(-len(patches["train"][1]) // BATCH)
    trained = sparsified(net, build(net, classes), round(DENSE * epochs) * steps)
    compile_model(trained.model, epochs * steps)
    for _ in tqdm(range(epochs), desc=f"{net.name}, seed {seed}", unit="epoch"):
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
    # XLA on a CPU was measured 13 times slower.
    model.compile(tf_keras.optimizers.Adam(rate), loss, jit_compile=False)


def batches(images, labels, rng):
    """An epoch of them, shuffled, half of the patches mirrored."""
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
    """(N,) bool: where the greatest logit is the label's."""
    import numpy as np

    starts = range(0, len(labels), BATCH)
    logits = [model.predict_on_batch(scaled(images[at : at + BATCH])) for at in starts]
    return np.concatenate(logits).argmax(1) == labels


def announce(todo: list, patches: dict, classes: int, epochs: int) -> None:
    """How long it will take, by a few steps of every layout."""
    from segnet.backend import start

    start()  # without TensorFlow's greetings
    count = len(patches["train"][1])
    layouts = {net.layers: net for net, _ in todo}
    seconds = {layers: step_seconds(net, patches, classes) for layers, net in layouts.items()}
    whole = sum(seconds[net.layers] for net, _ in todo) * epochs * -(-count // BATCH)
    cli.say(
        f"{count} patches to train on, {len(patches['val'][1])} to judge by, {classes} classes; "
        f"{len(todo)} rows of {epochs} epochs to go, takes about {whole / 60:.0f} min"
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
    """Finished rows in OUT/results.json, all of one plan. Raises Refusal for another."""

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
        "| net | parameters | sees, pixels | accuracy, % | seeds | s an epoch |",
        "|---|---|---|---|---|---|",
    ]
    for net in nets:
        own = rows_of(rows, net.name)
        shares = [100 * row["accuracy"] for row in own]
        lines.append(
            f"| {net.name} | {own[0]['parameters']:,} | {receptive_field(net.layers)} "
            f"| {mean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f}) | {len(own)} "
            f"| {median(row['epoch_seconds'] for row in own):.1f} |"
        )
    return "\n".join(lines)


def accuracy(rows: list[dict]) -> float:
    return mean(row["accuracy"] for row in rows)


def judged(rows: list[dict], patches: int) -> str:
    """A line a claim whose two nets have rows. `patches`: how many judged them."""
    lines = []
    for claim in CLAIMS:
        better, other = rows_of(rows, claim.better), rows_of(rows, claim.other)
        if better and other:
            lines.append(f"- {claim.words}: {verdict(better, other, patches)}")
    return "\n".join(lines)


def verdict(better: list[dict], other: list[dict], patches: int) -> str:
    """In words and figures. Noise: what seeds differ by or, if more, two standard errors.

    These are of the two nets' difference on the same patches, taken for independent.
    """
    gain = accuracy(better) - accuracy(other)
    error = (right(better, patches) - right(other, patches)).std() / patches**0.5
    noise = max(2 * error, spread(better), spread(other))
    word = "not decided" if abs(gain) <= noise else "holds" if gain > 0 else "does not hold"
    sides = " against ".join(
        f"{rows[0]['net']} {100 * accuracy(rows):.1f} % ({rows[0]['parameters']:,} parameters)"
        for rows in (better, other)
    )
    return f"{word}; {sides}, {100 * gain:+.1f} points where {100 * noise:.1f} are noise"


def right(rows: list[dict], patches: int):
    """(patches,): share of the seeds that have each patch right."""
    import numpy as np

    packed = [np.frombuffer(bytes.fromhex(row["right"]), np.uint8) for row in rows]
    return np.unpackbits(packed, axis=1, count=patches).mean(0)


def spread(rows: list[dict]) -> float:
    shares = [row["accuracy"] for row in rows]
    return max(shares) - min(shares)


if __name__ == "__main__":
    cli.run(main)
