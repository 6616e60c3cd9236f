"""python -m benchmarks.data --data DIR: training images per second of folder, shards, tf.data.

All three decode the same files and augment them with `data.augment`; tf.data decodes in its own
operators and augments in tf.numpy_function. Each round makes the same number of batches with each,
in turn, from nothing to the last one, so that nothing is made ahead for the next.
"""

import tempfile
import time
from pathlib import Path

import cli

PARALLEL = 4  # calls of tf.data; 2 were no faster (LOG.md)


def main() -> None:
    parser = cli.parser("python -m benchmarks.data", "Training images per second, by source.")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--size", type=int, nargs=2, default=(160, 160), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="(default 16)")
    parser.add_argument("--batches", type=int, default=25, metavar="N", help="a round (default 25)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(default 7)")
    words = parser.parse_args()
    from data.dataset import read_dataset
    from data.pack import pack

    shape = tuple(words.size), words.batch, words.batches
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "packed"
        pack(words.data, packed)
        plain = read_dataset(words.data)
        makers = {
            "folder": lambda: ours(plain, *shape),
            "shards": lambda: ours(read_dataset(packed), *shape),
            "tf.data": lambda: theirs(plain, *shape),
        }
        report(measure(makers, words.rounds), words.batch * words.batches, words.rounds)


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
        # As OpenCV decodes: the same pixels. The operator takes PNG as well.
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
    """(seconds of the clock, seconds of all cores) of every round; one before them is not kept."""
    found = {name: [] for name in makers}
    for _ in range(rounds + 1):
        for name, make in makers.items():
            stream = make()
            wall, cores = time.perf_counter(), time.process_time()
            for _ in stream:
                pass
            found[name].append((time.perf_counter() - wall, time.process_time() - cores))
    return {name: times[1:] for name, times in found.items()}


def report(found: dict, images: int, rounds: int) -> None:
    from statistics import median

    print(f"{'source':10}{'images/s':>12}{'a core':>10}  median of {rounds} interleaved rounds")
    for name, times in found.items():
        wall, cores = (images / median(column) for column in zip(*times, strict=True))
        print(f"{name:10}{wall:12.0f}{cores:10.0f}")


if __name__ == "__main__":
    cli.run(main)
