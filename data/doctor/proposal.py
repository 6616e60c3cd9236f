"""The input size and the class weights that a dataset suggests, and the command with them."""

import shlex

import numpy as np

from data.doctor.checks.check import hw
from data.doctor.exam import Exam
from data.statistics import balanced_weights

STRIDE = 32  # the sides of a model's input are multiples of this
LEAST, MOST = 160, 512  # pixels, range of the longer side of a suggested input
SEEN = 24  # pixels; in the suggested input each class covers at least a square with this side
UNEVEN = 3.0  # balanced weights are suggested if the largest is more than this times the smallest
BATCH = 16  # images per step, train.py's default


def command(made: dict, folder: str) -> str:
    """What to type to train on `folder` as `proposal` suggests."""
    words = ["python", "train.py", "--data", folder, "--run", "runs/NAME"]
    words += ["--size", *map(str, made["size"])]
    if made["balanced"]:
        words += ["--class-weights", "balanced"]
    if 0 < made["images"] < BATCH:
        words += ["--batch", str(made["images"])]
    return shlex.join(words)


def reason(made: dict) -> str:
    """What `proposal` suggests and what for, as one line."""
    weights = "balanced" if made["balanced"] else "none"
    smallest = ""
    if made["smallest"]:
        smallest = f", in which {made['smallest']}, the smallest class, is typically "
        smallest += f"{made['side']:.0f} pixels wide"
    size = "x".join(map(str, made["size"]))
    return f"input {size} (HxW; median image {made['median']}){smallest}; class weights {weights}"


def side_of(pixels: np.ndarray, index: int, size: tuple[int, int]) -> float | None:
    """The area of a class in the median image that shows it, as the side of a square in pixels of
    an input of `size` (H, W); None if no image shows it."""
    rows = pixels[pixels[:, index] > 0]
    if not len(rows):
        return None
    return float(np.sqrt(np.median(rows[:, index] / rows.sum(1)) * size[0] * size[1]))


def proposal(exam: Exam) -> dict:
    """A suggested input size (H, W) and class weights; the page explains how they are chosen."""
    split = "train" if "train" in exam.splits else (exam.splits or ["train"])[0]
    at = exam.of(split)
    if not len(at):
        return {"size": (LEAST, LEAST), "balanced": False, "median": None, "smallest": None,
                "images": 0}  # fmt: skip
    height, width = np.median([exam.facts[index].image.size for index in at], axis=0)
    pixels = exam.pixels[at]
    longest = np.clip(max(height, width) // STRIDE * STRIDE, LEAST, MOST)
    for long in range(LEAST, int(longest) + 1, STRIDE):
        size = tuple(
            max(STRIDE, round(long * side / max(height, width) / STRIDE) * STRIDE)
            for side in (height, width)
        )
        sides = {
            name: side_of(pixels, index, size) or np.inf
            for index, name in enumerate(exam.dataset.classes)
        }
        smallest = min(sides, key=sides.get, default="")
        if not sides or sides[smallest] >= SEEN:
            break
    present = balanced_weights(pixels[:, :-1].sum(0))[pixels[:, :-1].any(0)]
    uneven = len(present) > 1 and present.max() / present.min() > UNEVEN
    return {
        "size": size, "balanced": bool(uneven), "median": hw((int(height), int(width))),
        "smallest": smallest if sides and np.isfinite(sides[smallest]) else None,
        "side": sides.get(smallest), "longest": int(longest), "images": len(at),
    }  # fmt: skip
