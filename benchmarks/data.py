"""python -m benchmarks.data --data DIR: training images per second from a folder, shards, tf.data.

All three decode the same files and augment them with `data.augment`; tf.data decodes with its own
operators and augments in tf.numpy_function. Each round draws the same number of batches from each
source in turn. A source is opened and exhausted in every round, so no batch is prefetched outside
the timed section.
"""

import tempfile
import time
from pathlib import Path

import cli

PARALLEL = 4  # parallel calls of tf.data; 2 were not faster (LOG.md)


def main() -> None:
    parser = cli.parser("python -m benchmarks.data", "Training images per second by data source.")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(160, 160), metavar=("H", "W"),
        help="size of the training crops in pixels (default 160 160)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=16, metavar="N", help="images per batch (default 16)"
    )
    parser.add_argument(
        "--batches", type=int, default=25, metavar="N", help="per round (default 25)"
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(default 7)")
    args = parser.parse_args()
    from data.dataset import read_dataset
    from data.pack import pack

    shape = tuple(args.size), args.batch, args.batches
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "packed"
        pack(args.data, packed)
        plain = read_dataset(args.data)
        makers = {
            "folder": lambda: ours(plain, *shape),
            "shards": lambda: ours(read_dataset(packed), *shape),
            "tf.data": lambda: theirs(plain, *shape),
        }
        report(measure(makers, args.rounds), args.batch * args.batches, args.rounds)


def ours(dataset, size, batch, batches):
    from data.batches import training_stream, with_threads

    return iter(with_threads(training_stream(dataset, size, batch, seed=0)[:batches], batch))


def theirs(dataset, size, batch, batches):
    import numpy as np
    import tensorflow as tf

    from data.augment import augment
    from data.batches import AHEAD
    from data.layout import VOID

    pairs = [[str(path) for path in pair] for pair in dataset.pairs("train")]

    def change(index, image, mask):
        rng = np.random.default_rng([0, index])
        return augment(image, mask[..., 0], rng, size)

    def read(index, pair):
        # INTEGER_ACCURATE gives the same pixels as OpenCV. The operator decodes PNG as well.
        image = tf.io.decode_jpeg(tf.io.read_file(pair[0]), 3, dct_method="INTEGER_ACCURATE")
        mask = tf.io.decode_png(tf.io.read_file(pair[1]), 1)
        mask = tf.where(mask == dataset.void, np.uint8(VOID), mask)
        return tf.numpy_function(change, (index, image, mask), (tf.uint8, tf.uint8))

    def scale(images, masks):
        return tf.cast(images, tf.float32) / 127.5 - 1, masks

    stream = tf.data.Dataset.from_tensor_slices(pairs).shuffle(len(pairs), seed=0).repeat()
    stream = stream.enumerate().map(read, num_parallel_calls=PARALLEL)
    stream = stream.batch(batch).map(scale).prefetch(max(1, AHEAD // batch)).take(batches)
    return iter(stream.as_numpy_iterator())


def measure(makers: dict, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(wall-clock seconds, CPU seconds) of every round, after a warm-up round."""
    found = {name: [] for name in makers}
    for _ in range(rounds + 1):
        for name, make in makers.items():
            stream = make()
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in stream:
                pass
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: times[1:] for name, times in found.items()}


def report(found: dict, images: int, rounds: int) -> None:
    from statistics import median

    print(
        f"{'source':10}{'images/s':>12}{'images/CPU s':>14}  median of {rounds} interleaved rounds"
    )
    for name, times in found.items():
        wall, cpu = (images / median(column) for column in zip(*times, strict=True))
        print(f"{name:10}{wall:12.0f}{cpu:14.0f}")


if __name__ == "__main__":
    cli.run(main)
