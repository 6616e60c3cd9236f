"""Loads, runs and times a .tflite in LiteRT's interpreter with XNNPACK, as phones do."""

import os
import platform
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np

from cli import Refusal
from files import quiet

DELEGATE = "DELEGATE"
WARM_UP = 2  # untimed runs before each timed one


class Runtime:
    """An interpreter of one .tflite that hides the types of its input and output.

    A call takes (1, H, W, 3) float32 RGB in [-1, 1] and returns logits or probabilities
    (1, H, W, C) float32, or class ids (1, H, W) of the file's integer type.
    xnnpack: False for the runtime's own kernels, which phones use where they lack XNNPACK.
    """

    def __init__(self, model: Path | bytes, threads: int = 1, xnnpack: bool = True):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        content = model if isinstance(model, bytes) else read_model(model)
        kernels = "AUTO" if xnnpack else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        try:
            with quiet():
                self.interpreter = Interpreter(
                    model_content=content, num_threads=threads,
                    experimental_op_resolver_type=OpResolverType[kernels],
                )  # fmt: skip
                self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Refusal(f"the model cannot be loaded: {error}") from error
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.decode(self.run(self.encode(image)))

    def encode(self, image: np.ndarray) -> np.ndarray:
        """The input tensor of an image in [-1, 1]: the image, or its bytes for a uint8 input."""
        return to_bytes(image) if self.input["dtype"] == np.uint8 else image

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Input tensor to output tensor, both in the file's own types."""
        self.interpreter.set_tensor(self.input["index"], tensor)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])

    def decode(self, tensor: np.ndarray) -> np.ndarray:
        scale, zero_point = self.output["quantization"]
        if self.output["dtype"] == np.float32 or not scale:  # classes have no scale
            return tensor
        return (tensor.astype(np.float32) - zero_point) * np.float32(scale)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the input in pixels."""
        return tuple(int(side) for side in self.input["shape"][1:3])

    def partitioning(self) -> dict:
        """ops: operator -> count; partitions: their number; outside: what is not delegated."""
        details = self.interpreter._get_ops_details()
        plan = [op["op_name"] for op in details]
        ops = Counter(name for name in plan if name != DELEGATE)
        taken, outside = set(), Counter()
        # The interpreter lists replaced operators too; those that still run are in the plan.
        for index in execution_plan(self.interpreter, details):
            name = details[index]["op_name"]
            if name == DELEGATE:
                taken.add(index)
            else:
                outside[name] += 1
        return {
            "ops": dict(sorted(ops.items())),
            "partitions": len(taken),
            "outside": dict(outside),
        }


def execution_plan(interpreter, details: list) -> list[int]:
    """Indices of the nodes that run: delegate nodes, and operators that no delegate replaced.

    They are found backwards from the outputs of the network: each tensor is written by the
    delegate node that has it as an output, else by the operator itself. Replaced operators are
    not reached.
    """
    maker = {}
    for index, op in enumerate(details):  # delegate nodes come last and so take precedence
        for tensor in op["outputs"]:
            maker[int(tensor)] = index
    wanted = [int(detail["index"]) for detail in interpreter.get_output_details()]
    seen, runs = set(), set()
    while wanted:
        tensor = wanted.pop()
        if tensor in seen or tensor not in maker:
            continue
        seen.add(tensor)
        runs.add(maker[tensor])
        wanted += [int(source) for source in details[maker[tensor]]["inputs"] if source >= 0]
    return sorted(runs)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """The bytes of an image in [-1, 1]."""
    return np.round((image + 1) * 127.5).astype(np.uint8)


def read_model(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error


def machine() -> str:
    """The processor's name and the number of cores."""
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):  # not Linux, or an ARM processor, which is not named there
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def latency_rounds(runtimes: dict, rounds: int = 30) -> dict:
    """Milliseconds (rounds,) of each runtime, timed in interleaved rounds.

    Interleaving spreads load of other programs over all of them. But it also leaves each network
    cold caches, with which a small one takes up to twice as long; so WARM_UP runs come before each
    timed one. benchmark_model, too, runs one network repeatedly.
    """
    times = {name: [] for name in runtimes}
    for _ in range(rounds):
        for name, runtime in runtimes.items():
            for _ in range(WARM_UP):
                runtime.interpreter.invoke()
            start = time.perf_counter()
            runtime.interpreter.invoke()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(each) for name, each in times.items()}


def latency_ms(runtimes: dict[str, Runtime], rounds: int = 30) -> dict[str, dict[str, float]]:
    """Least, median and p90 milliseconds of each runtime in `latency_rounds`."""
    return {
        name: {
            "least": float(np.min(each)),
            "median": float(np.median(each)),
            "p90": float(np.percentile(each, 90)),
        }
        for name, each in latency_rounds(runtimes, rounds).items()
    }
