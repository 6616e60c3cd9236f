"""Milliseconds that a video frame takes besides the network, in a kit's Python code."""

import numpy as np

from data.layout import default_colours
from export.kit.render import filled
from export.proof.frame import medians, program, times, without_network
from export.proof.golden import MEASURED
from export.recipes import BY_NAME

ROUNDS = 15  # of which the median counts


def rest_ms(sizes: list, classes: int, recipe: str, frame: tuple[int, int]) -> dict:
    """Input size (H, W) to the time of everything but the network on the way of a frame (width,
    height) to its overlay at the network's size. Measured on this machine, all sizes interleaved.
    """
    codes = [code_of(size, classes, recipe) for size in sizes]
    rows = times(codes, [frame], ROUNDS, paths=("live",))
    return {size: medians(row)["rest"] for size, row in zip(sizes, rows, strict=True)}


def code_of(size: tuple[int, int], classes: int, recipe: str):
    """A kit's Python code for that input size, with a network that takes no time."""
    types = BY_NAME[recipe]
    contract = {
        "sha256": "", "mean": 127.5, "std": 127.5,
        "input": {"shape": [1, *size, 3], "dtype": types.input},
        "output": {
            "values": "logits", "shape": [1, *size, classes], "dtype": types.output, "scale": 1.0,
        },
        "labels": ["a class"] * classes, "colours": default_colours(classes),
        "golden": {key: {"tolerance": 0, "pixel_agreement": 1} for key in MEASURED},
    }  # fmt: skip
    logits = np.random.default_rng(0).integers(0, 255, contract["output"]["shape"])
    code = program(filled(contract, "python/segment.py"), "python/segment.py")
    return without_network(code, logits.astype(types.output))
