"""The model that is tried: a run, a kit or a .tflite of anybody, as a function to masks."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.batches import to_input
from data.images import resize
from data.layout import VOID, default_colours
from data.names import first_fault, shown
from export.kit.smooth import Smooth, SmoothProbabilities
from export.kit.verify import contract_faults, lines_of
from export.proof.outputs import mask_of
from export.proof.score import fed, ids_of, open_model
from export.targets.xnnpack import load
from export.tflite.head import values_of
from export.tflite.inspect import operators
from export.tflite.metadata import read_loosely
from export.tflite.runtime import Runtime, read_model
from files import read_json, read_regular
from segnet.manifest import read_manifest
from segnet.metrics import to_mask

MOST_TEXT = 1_000_000  # bytes of a file of class names
# Operators that leave a probability a probability and a logit a logit.
PASSING = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR")
LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "ADD")


class Tried(NamedTuple):
    """function: from (1, H, W, 3) in [-1, 1] to `values`: logits or probabilities (1, h, w, C),
    classes (1, h, w), or scores (1, h, w, C) that are none of them. size: (H, W). told: how it is
    fed and read, in words."""

    function: Callable
    size: tuple[int, int]
    classes: list[str]
    colours: list[list[int]]
    told: str
    values: str = "logits"

    def mask(self, image: np.ndarray) -> np.ndarray:
        """Class ids (H, W) uint8 of an image (H, W, 3) uint8 RGB."""
        found = self.function(to_input(image, self.size)[None])[0]
        return mask_of(found, self.values, image.shape[:2])

    def steady(self, hold: float = 1.25) -> Callable:
        """`mask` for the frames of one video in order, with less flicker. hold: see Smooth."""
        smooth = (SmoothProbabilities if self.values == "probabilities" else Smooth)(hold)
        ids = None

        def mask(image):
            nonlocal ids
            tensor = to_input(image, self.size)
            found = np.array(self.function(tensor[None])[0], np.float32)
            smooth.add(found, resize(tensor, found.shape[:2])[None], ids)
            ids = to_mask(found)
            return to_mask(found, image.shape[:2])

        return mask


def open_tried(path: str, classes: str | None, limits: list[float] | None) -> Tried:
    """classes, limits: --classes and --range as typed, for a .tflite that does not tell them."""
    path = Path(path)
    contract = (path if path.is_dir() else path.parent) / "contract.json"
    kit = contract.exists()
    if not kit and not path.is_dir():
        return open_file(path, classes, limits)
    if classes or limits:
        option = "--classes" if classes else "--range"
        raise Refusal(f"{path} is a {'kit' if kit else 'run'}, which tells it: leave {option} out")
    if kit:
        return open_kit(path / "model.tflite" if path.is_dir() else path, contract)
    found = open_model(path)
    colours = read_manifest(path)["dataset"]["colours"]
    return Tried(found.function, found.size, found.classes, colours, told(found.size, found.input))


def told(size: tuple[int, int], words: str) -> str:
    return f"input {size[1]}x{size[0]} (width x height), {words}"


def open_kit(file: Path, path: Path) -> Tried:
    """path: of contract.json, which must be intact and of this file."""
    if faults := lines_of(contract_faults, path):
        raise Refusal(f"{path}: {faults[0]}")
    contract = read_json(path)
    if hashlib.sha256(read_model(file)).hexdigest() != contract["sha256"]:
        raise Refusal(
            f"{file} is not the file that {path} describes: copy the kit again, or try the file in "
            "a folder of its own"
        )
    found = open_model(file)
    words, values = told(found.size, found.input), contract["output"]["values"]
    return Tried(found.function, found.size, contract["labels"], contract["colours"], words, values)


def open_file(path: Path, classes: str | None, limits: list[float] | None) -> Tried:
    """A .tflite without a contract. Raises Refusal for what cannot be known of it."""
    content = read_model(path)
    runtime = load(content)
    values = values_of(content)
    check_shapes(path, runtime, values)
    found = read_loosely(content)
    needs_range = runtime.input["dtype"] == np.float32 and found["mean"] is None
    if needs_range and not limits:
        raise Refusal(
            f"{path} has no metadata that tell the range of its input. Add --range 0 1 or "
            "--range -1 1, as its maker says"
        )
    if limits and not needs_range:
        raise Refusal(f"{path} tells how it is fed: leave --range out")
    if limits:
        found |= zip(("mean", "std"), normalisation(*limits), strict=True)
    function, words = fed(runtime, found)
    if limits:
        words = f"RGB from {limits[0]:g} to {limits[1]:g}"
    channels = None if values == "classes" else int(runtime.output["shape"][-1])
    if channels == 1:
        function, how = one_class(path, content, function)
        words = f"{words}; {how}"
    names = class_names(path, found["labels"], classes, channels)
    if channels is None:
        function = named_ids(path, ids_of(function), names)
    if channels == 1 or last_operator(content).name == "LOGISTIC":
        values = "scores"
    return Tried(function, runtime.size, names, default_colours(len(names)),
                 told(runtime.size, words), values)  # fmt: skip


def named_ids(path: Path, function: Callable, names: list[str]) -> Callable:
    """The function, which refuses class ids that have no name."""

    def ids(image):
        found = function(image)
        if found.max() >= len(names):
            raise Refusal(
                f"{path} gives the class id {found.max()}, but {len(names)} classes are named: "
                "--classes takes the names of all, in the order of their ids"
            )
        return found

    return ids


def last_operator(content: bytes):
    return next(op for op in reversed(operators(content)) if op.name not in PASSING)


def normalisation(low: float, high: float) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that take the bytes 0 and 255 to `low` and `high`."""
    if not low < high:
        raise Refusal(f"--range {low:g} {high:g}: the first must be the smaller")
    return [255 * low / (low - high)], [255 / (high - low)]


def check_shapes(path: Path, runtime: Runtime, values: str) -> None:
    """Raises Refusal unless the file takes one RGB image and gives one map of channels or ids."""
    sides = runtime.interpreter.get_input_details(), runtime.interpreter.get_output_details()
    for name, details, needed in zip(
        ("input", "output"), sides, ("1xHxWx3", "1xHxWxC, a channel a class"), strict=True
    ):
        shape = details[0]["shape"]
        if name == "output" and values == "classes" and len(shape) == 3:
            shape = [*shape, 1]
        right = len(details) == 1 and len(shape) == 4 and shape[0] == 1
        if not right or (name == "input" and shape[3] != 3):
            came = " and ".join("x".join(map(str, detail["shape"])) for detail in details)
            raise Refusal(f"{path}: its {name} is {came}; needed: {needed}")


def one_class(path: Path, content: bytes, function: Callable) -> tuple[Callable, str]:
    """A file with one channel as logits of two classes, and what the channel is, in words."""
    last = last_operator(content)
    if last.name == "LOGISTIC":
        limit, what = 0.5, "a probability, as it comes from LOGISTIC"
    elif last.name in LINEAR and last.activation == "NONE":
        limit, what = 0.0, f"taken as a logit, as it comes from {last.name} without an activation"
    else:
        raise Refusal(
            f"{path} gives one channel that comes from {last.name}: whether it is a probability or "
            "a logit cannot be known. Needed: a file that ends in LOGISTIC, or one with a channel "
            "for each class"
        )

    def logits(image):
        found = function(image) - np.float32(limit)
        return np.concatenate([np.zeros_like(found), found], -1)

    return logits, f"one channel, {what}: class 1 is above {limit:g}"


def class_names(path: Path, labels, given: str | None, channels: int | None) -> list[str]:
    """The names typed or those of the file's metadata. One channel has two classes, of which the
    first may be left out. channels: None if the file gives ids and does not tell."""
    names = names_of(given) if given else labels
    if not names:
        raise Refusal(
            f"{path} does not name its {max(channels or 2, 2)} classes. Add --classes with a file "
            "of one name a line, or with the names: background,person"
        )
    channels = len(names) if channels is None else channels
    if channels == 1 and len(names) == 1:
        names = ["background", *names]
    if len(names) != max(channels, 2):
        raise Refusal(
            f"{path} gives {channels} channels, but {len(names)} classes are named: "
            f"{', '.join(names[:5])}. --classes takes as many names, in the order of the channels"
        )
    if len(names) > VOID:
        raise Refusal(f"{path} has {len(names)} classes; an 8-bit mask holds at most {VOID}")
    if fault := first_fault(names):
        index, why = fault
        raise Refusal(f"class {index}, {shown(names[index])}, {why}. Type --classes with others")
    return names


def names_of(given: str) -> list[str]:
    if not Path(given).is_file():
        return [name.strip() for name in given.split(",")]
    try:
        text = read_regular(Path(given), MOST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(f"{given} is no text: {error}. Write one name a line") from error
    return [line.strip() for line in text.rstrip().split("\n")]
