"""Milliseconds from a frame to its overlay, by stage, of the Python code of kits, on one thread.

`exact` is the path of stills: the mask at the frame's size; `live` that of video: the mask at the
network's; `smooth` is `live` with Smooth, whose time is the mask's. The stages: the input tensor of
a frame, the network, the mask, its layer of colours.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from export.tflite.runtime import machine

SIZES = ((640, 480), (1280, 720), (4000, 3000))  # width, height
PATHS = ("exact", "live")
HOLD = 1.25  # of the path `smooth`
STAGES = ("tensor", "network", "mask", "colours")
WARM_ROUNDS = 2
SWEPT = 1 << 22  # bytes, more than the caches of one core
FEWEST, MOST = 3, 30  # rounds of an export
SECONDS = 0.4  # for the rounds of an export at one size, if FEWEST of them take less


def figures(kit: Path) -> dict:
    """For report.json: the medians of a kit's times, see `medians`."""
    rows = times([load(kit)], SIZES, MOST, SECONDS)
    return {"frame": {"machine": machine(), "ms": [medians(row) for row in rows]}}


def load(kit: Path) -> ModuleType:
    """The kit's segment.py as a module; nothing is written to the kit."""
    path = Path(kit).absolute() / "python/segment.py"
    return program(path.read_bytes(), path)


def program(code: bytes | str, path: Path) -> ModuleType:
    """path: what the code takes for its own."""
    module = ModuleType(Path(path).stem)
    module.__file__ = str(path)
    exec(compile(code, path, "exec"), vars(module))
    return module


def without_network(code: ModuleType, output: np.ndarray) -> ModuleType:
    """The code with a network whose output tensor (1, H, W, C) never changes."""
    code.Interpreter = lambda path: FixedOutput(output)
    return code


class FixedOutput:
    """Takes the place of LiteRT's Interpreter. A run leaves nothing of a frame in fast caches, as a
    network does: what comes after it takes up to twice as long then."""

    def __init__(self, output: np.ndarray):
        self.output, self.input = output, None
        self.swept = np.empty(SWEPT, np.uint8)

    def allocate_tensors(self):
        pass

    def get_input_details(self):
        return [{"index": 0}]

    get_output_details = get_input_details

    def tensor(self, index):
        return lambda: self.output

    def set_tensor(self, index, tensor):
        if self.input is None:
            self.input = np.empty_like(tensor)
        np.copyto(self.input, tensor)

    def invoke(self):
        self.swept.fill(0)


def medians(row: dict) -> dict:
    """A row of `times` with the median of each stage instead of its list. all: their sum; rest: all
    but the network. What other programs take falls on one stage a round, not on the medians."""
    found = {stage: float(np.median(ms)) for stage, ms in row["times"].items()}
    whole = sum(found.values())
    rest = whole - found["network"]
    return {key: row[key] for key in ("width", "height", "path")} | found | {
        "all": whole, "rest": rest,
    }  # fmt: skip


def times(codes: list, sizes: Iterable, rounds: int, seconds=float("inf"), paths=PATHS):
    """Rows of code (its place in the list), path, width, height and times: stage to milliseconds,
    one for each round. The rounds of all codes are interleaved.

    seconds: after which no further round at a size begins, if there have been FEWEST.
    """
    rows = []
    with one_thread():
        for width, height in sizes:
            image, found, runs = picture(width, height), [], []
            for number, code in enumerate(codes):
                plain = code.Segmenter()
                for path in paths:
                    segmenter = code.Segmenter(HOLD) if path == "smooth" else plain
                    runs.append(runner(code, segmenter, path, image))
                    found.append({"code": number, "path": path, "width": width, "height": height,
                                  "times": {stage: [] for stage in STAGES}})  # fmt: skip
            interleave(runs, [row["times"] for row in found], rounds, seconds)
            rows += found
    return rows


def interleave(runs: list, times: list[dict], rounds: int, seconds: float) -> None:
    """Adds to the lists of `times` what each of `runs` returns, in rounds."""
    for turn in range(-WARM_ROUNDS, rounds):
        if turn == 0:
            end = time.perf_counter() + seconds
        if turn >= FEWEST and time.perf_counter() > end:
            return
        for run, found in zip(runs, times, strict=True):
            for stage, ms in zip(STAGES, run(), strict=True):
                if turn >= 0:
                    found[stage].append(ms)


def runner(code: ModuleType, segmenter, path: str, image: np.ndarray) -> Callable:
    """A function that takes the image to its overlay and returns the milliseconds of STAGES."""
    network, clock, layer = segmenter.infer, [], None

    def infer(tensor):
        clock.append(time.perf_counter())
        found = network(tensor)
        clock.append(time.perf_counter())
        return found

    def run():
        nonlocal layer
        clock[:] = [time.perf_counter()]
        segmenter.infer = infer
        ids = segmenter.mask(image) if path == "exact" else segmenter.frame(image)
        clock.append(time.perf_counter())
        layer = code.colours(ids, out=layer)
        clock.append(time.perf_counter())
        return [1e3 * (end - start) for start, end in pairwise(clock)]

    return run


def picture(width: int, height: int) -> np.ndarray:
    """Smooth colours with some noise, (height, width, 3) uint8."""
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 225, (9, 12, 3)).astype(np.uint8)
    noise = rng.integers(0, 30, 1 << 16, np.uint8)  # of as many values, repeated
    return cv2.resize(rough, (width, height)) + np.resize(noise, (height, width, 3))


@contextmanager
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
