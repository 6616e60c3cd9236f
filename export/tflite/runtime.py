"""Load, run and time a .tflite in LiteRT's interpreter with XNNPACK, as phones do."""

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
WARM_UP = 2  # runs before each that is timed


class Runtime:
    """An interpreter over one .tflite, whatever types the file takes and gives.

    Call it with (1, H, W, 3) float32 RGB in [-1, 1], get logits (1, H, W, C) float32.
    """

    def __init__(self, model: Path | bytes, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        content = model if isinstance(model, bytes) else read_model(model)
        try:
            with quiet():
                self.interpreter = Interpreter(model_content=content, num_threads=threads)
                self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Refusal(f"the model cannot be loaded: {error}") from error
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.decode(self.run(self.encode(image)))

    def encode(self, image: np.ndarray) -> np.ndarray:
        """The input tensor of an image in [-1, 1]: itself, or its bytes for a uint8 file."""
        return to_bytes(image) if self.input["dtype"] == np.uint8 else image

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Input tensor to output tensor, both in the file's own types."""
        self.interpreter.set_tensor(self.input["index"], tensor)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])

    def decode(self, tensor: np.ndarray) -> np.ndarray:
        scale, zero_point = self.output["quantization"]
        if self.output["dtype"] == np.float32:
            return tensor
        return (tensor.astype(np.float32) - zero_point) * np.float32(scale)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the input in pixels."""
        return tuple(int(side) for side in self.input["shape"][1:3])

    def partitioning(self) -> dict:
        """ops: operator -> count; partitions: delegate nodes; outside: operators left out."""
        details = self.interpreter._get_ops_details()
        plan = [op["op_name"] for op in details]
        ops = Counter(name for name in plan if name != DELEGATE)
        taken, outside = set(), Counter()
        # A delegate node's inputs and outputs enclose what it took; operators that still run are
        # in the execution plan, which follows the delegates in the interpreter's own list.
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
    """Indices of the nodes that run: delegates, and operators that no delegate replaced.

    A node that no delegate took is found by its output: it is written by nothing else, while what
    a delegate took is not reachable from the outputs any more except through the delegate.
    """
    maker = {}
    for index, op in enumerate(details):  # delegates stand last and so win
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
    """[-1, 1] float to the bytes that it came from."""
    return np.round((image + 1) * 127.5).astype(np.uint8)


def read_model(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from error


def machine() -> str:
    """The processor's name and how many cores it lends."""
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):  # not Linux, or an ARM processor, which has no name there
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def latency_ms(runtimes: dict[str, Runtime], rounds: int = 30) -> dict[str, dict[str, float]]:
    """Least, median and p90 milliseconds of each; rounds are interleaved: all share the noise.

    The others of a round leave a network cold caches, with which a small one takes up to twice as
    long. Each turn therefore runs it WARM_UP times before the run that is timed, as benchmark_model
    runs one again and again.
    """
    times = {name: [] for name in runtimes}
    for _ in range(rounds):
        for name, runtime in runtimes.items():
            for _ in range(WARM_UP):
                runtime.interpreter.invoke()
            start = time.perf_counter()
            runtime.interpreter.invoke()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: {
            "least": float(np.min(each)),
            "median": float(np.median(each)),
            "p90": float(np.percentile(each, 90)),
        }
        for name, each in times.items()
    }
