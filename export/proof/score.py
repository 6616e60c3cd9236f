"""Scores a run or a .tflite on a split of a dataset, with `segnet.metrics`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.batches import MEAN, STD, evaluation_pairs, scale, to_input
from data.dataset import Dataset
from data.images import read_pair, resize
from export.proof.outputs import mask_of
from export.tflite.head import values_of
from export.tflite.metadata import read_loosely
from segnet.metrics import confusion, scores

SUBSET = 32  # validation images for a search; the gate then checks its result on all of them
IN_RANGE = "RGB from -1 to 1"
BATCH = 1  # the batch size of an exported file


class Model(NamedTuple):
    """function: from (1, H, W, 3) in [-1, 1] to `values`, logits or probabilities (1, H, W, C) or
    classes (1, H, W). size: (H, W). classes: their names, or None if the file does not say. input:
    what it is fed with, in words."""

    function: Callable
    size: tuple[int, int]
    classes: list[str] | None
    input: str
    values: str = "logits"


def open_model(model: Path) -> Model:
    """A run or a .tflite, which is fed as its own metadata say."""
    if Path(model).is_dir():
        from segnet.run import load_run

        net, plan, manifest = load_run(model)
        return Model(keras_function(net), plan.size, manifest["dataset"]["classes"], IN_RANGE)
    from export.targets.xnnpack import load

    runtime = load(model)
    content = Path(model).read_bytes()
    found, values = read_loosely(content), values_of(content)
    function, words = fed(runtime, found)
    if values == "classes":
        function = ids_of(function)
    return Model(function, runtime.size, found["labels"], words, values)


def ids_of(function: Callable) -> Callable:
    """The function of a file that ends in argmax, whose output may have an axis of one channel."""

    def ids(image):
        found = function(image)
        return found[..., 0] if found.ndim == 4 else found

    return ids


def fed(runtime, found: dict) -> tuple[Callable, str]:
    """(the function of a file, its input in words). found: as `read_loosely` returns it."""
    if runtime.input["dtype"] == np.uint8:
        return runtime, "the bytes of the RGB image"
    if runtime.input["dtype"] != np.float32:
        name = np.dtype(runtime.input["dtype"]).name
        raise Refusal(f"the file's input is {name}; float32 and uint8 files can be scored")
    if found["mean"] is None:
        return runtime, f"{IN_RANGE}, which is assumed: the file has no metadata that tell it"
    mean, std = (np.float32(found[name]) for name in ("mean", "std"))
    if (mean == MEAN).all() and (std == STD).all():
        return runtime, IN_RANGE
    words = f"({found['mean']} and {found['std']} are mean and standard deviation in its metadata)"
    return lambda image: runtime(((image + 1) * np.float32(STD) - mean) / std), words


def predictor(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from an image (H, W, 3) uint8 RGB to class ids (H, W) uint8. model: as `score`."""
    function, size, *_, values = open_model(model)
    return lambda image: mask_of(function(to_input(image, size)[None])[0], values, image.shape[:2])


def keras_function(net) -> Callable:
    return lambda image: np.asarray(net.predict_on_batch(image))


def predictions(function, dataset: Dataset, split: str, size) -> Iterator[tuple]:
    """(input (1, H, W, 3), logits (H, W, C), or what else the function gives, ground truth at its
    own size) of every image."""
    for inputs, masks, _ in evaluation_pairs(dataset, split, size, BATCH):
        yield inputs, function(inputs)[0], masks[0]


def score(model: Path, dataset: Dataset, split: str, say: Callable = lambda line: None) -> dict:
    """`segnet.metrics.scores` of a run or a .tflite. Raises Refusal if the classes differ.

    say: is told how the model is fed.
    """
    found = open_model(model)
    height, width = found.size
    say(f"{model}: input {width}x{height} (width x height), {found.input}")
    if found.classes is None:
        say(f"note: {model} does not name its classes; they are taken in the dataset's order")
    elif found.classes != dataset.classes:
        raise Refusal(
            f"{model} predicts the classes {', '.join(found.classes)}, but {dataset.folder} has "
            f"{', '.join(dataset.classes)}. Score it on a dataset with the same classes in the "
            "same order"
        )
    return score_function(found.function, dataset, split, found.size, model, found.values)


def score_function(
    function, dataset: Dataset, split: str, size, name="the model", values="logits"
) -> dict:
    """`score` of a function from (1, H, W, 3) to logits (1, H, W, C), or to other `values`."""
    classes, matrix = len(dataset.classes), 0
    for _, found, truth in predictions(function, dataset, split, size):
        count = max(classes, int(found.max()) + 1) if values == "classes" else found.shape[-1]
        if count != classes:
            raise Refusal(
                f"{name} predicts {count} classes, but {dataset.folder} has {classes}. "
                "Score it on a dataset with the classes that it was trained on"
            )
        matrix = matrix + confusion(truth, mask_of(found, values, truth.shape), classes)
    return scores(matrix, dataset.classes)


def subset_miou(function, dataset: Dataset, size: tuple[int, int], seed: int = 0) -> float:
    """mIoU of a function from (1, H, W, 3) to logits on SUBSET validation images; seeded."""
    return miou_by_rule(function, dataset, "val", size, {"": resize}, SUBSET, seed)[""]


def miou_by_rule(
    function, dataset: Dataset, split: str, size, rules: dict[str, Callable], most: int, seed=0,
    values="logits",
) -> dict[str, float]:  # fmt: skip
    """mIoU by name of the rule, (image, size) to an image, that resizes the images; on at most
    `most` of a split, seeded. values: what the function gives, see `mask_of`."""
    pairs, matrices = dataset.pairs(split), dict.fromkeys(rules, 0)
    for index in np.random.default_rng(seed).permutation(len(pairs))[:most]:
        image, truth = read_pair(pairs[index], dataset)
        for name, rule in rules.items():
            found = function(scale(rule(image, size))[None])[0]
            predicted = mask_of(found, values, truth.shape)
            counts = confusion(truth, predicted, len(dataset.classes))
            matrices[name] = matrices[name] + counts
    return {name: scores(matrix, dataset.classes)["miou"] for name, matrix in matrices.items()}
