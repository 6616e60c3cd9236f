"""The time of each operator of a file.

LiteRT's Python wheel has no profiler. So the file is cut after each operator and the beginnings
are timed: the difference of two is the time of the operator between them, as the delegate runs it.
"""

from collections.abc import Iterator

import numpy as np

from export.tflite.inspect import operators, parse
from export.tflite.pack import pack
from export.tflite.runtime import Runtime, latency_ms

ROUNDS = 10
TOP = 10


def profile(content: bytes) -> list[dict]:
    """The TOP slowest operators: layer (as in Keras), operator, ms, share of the total time."""
    steps = operators(content)
    # Operators that only unpack weights run once, when the file is loaded.
    running = [i for i, step in enumerate(steps) if step.outputs[0].role != "constant"]
    times = [
        latency_ms({"": Runtime(cut)}, ROUNDS)[""]["least"] for cut in beginnings(content, running)
    ]
    # No operator takes negative time: such noise is averaged over neighbouring operators.
    cumulative = monotone(times)
    spent = np.diff(cumulative, prepend=0.0)
    rows = [
        {"layer": steps[i].layer, "operator": steps[i].name, "ms": float(ms),
         "share": float(ms / cumulative[-1])}
        for i, ms in zip(running, spent, strict=True)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["ms"])[:TOP]


def beginnings(content: bytes, ends: list[int]) -> Iterator[bytes]:
    """The file cut after each of the operators `ends`, without the weights of what is cut off."""
    tree = parse(content)
    (graph,) = tree.subgraphs
    steps, data = graph.operators, [buffer.data for buffer in tree.buffers]
    tree.signatureDefs = None
    for place, end in enumerate(ends):
        graph.operators = steps[: end + 1]
        inputs = {int(t) for step in graph.operators for t in step.inputs}
        made = [int(t) for index in ends[: place + 1] for t in steps[index].outputs]
        # All unused results are outputs: the delegate would skip what only a later operator needs.
        graph.outputs = [t for t in made if t not in inputs]
        used = {graph.tensors[t].buffer for t in inputs if t >= 0}
        for index, buffer in enumerate(tree.buffers):
            buffer.data = data[index] if index in used else None
        yield pack(tree)


def monotone(values: np.ndarray) -> np.ndarray:
    """The nearest non-decreasing sequence in least squares (pool adjacent violators)."""
    blocks = []  # (mean, count)
    for value in values:
        mean, count = value, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        blocks.append((mean, count))
    return np.concatenate([np.full(count, mean) for mean, count in blocks])
