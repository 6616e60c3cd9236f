"""Every training option, once, with its unit."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from cli import Refusal, flag, one_of, option

CLASS_WEIGHTS = ("none", "balanced")
DAMAGED = ("refuse", "skip")
SOURCES = ("imagenet", "none")  # initial weights that are no path
MOST = 1_000_000  # epochs, or images per step
SEEDS = 2**32  # NumPy's, Keras' and Grain's are below
KINDS = {
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    bool: "true or false",
    tuple[int, int]: "two whole numbers",
}


@dataclass(frozen=True)
class Plan:
    data: str = option(help="dataset folder", metavar="DIR")
    preset: str = option("base", help="network; python -m segnet presets lists them")
    size: tuple[int, int] = option(
        (160, 160),
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="input size of the model in pixels, multiples of the network's stride, mostly 32",
    )
    epochs: int = option(60, type=int, help="passes over the training set")
    batch: int = option(16, type=int, help="images per step")
    weights: str = option(
        "imagenet",
        metavar="SOURCE",
        help="initial weights: imagenet (of the encoder), none, a .h5 file of keras.applications, "
        "or runs/OTHER (all layers that fit)",
    )
    teacher: str = option(
        "", metavar="runs/BIG",
        help="finished run to distil from: the loss also compares with its softmax probabilities",
    )  # fmt: skip
    width: float = option(
        0.0, type=float, help="width multiplier of the encoder, 0 for that of the preset"
    )
    learning_rate: float = option(
        2e-3, type=float, help="peak learning rate; linear warm-up before it, cosine decay after it"
    )
    weight_decay: float = option(
        1e-2, type=float, help="weight decay of the optimizer AdamW, on kernels only"
    )
    warmup_steps: int = option(200, type=int, help="steps of linear warm-up")
    class_weights: str = option(
        "none", metavar="{none,balanced}",
        help="balanced: classes weigh 1 / sqrt(frequency) in the cross-entropy",
    )  # fmt: skip
    damaged: str = option(
        "refuse", metavar="{refuse,skip}",
        help="at an image of a packed dataset that cannot be read: stop, or leave it out",
    )  # fmt: skip
    augment: float = option(
        1.0, type=float, help="strength of the augmentation: 0 none, 1 what was measured to help, "
        "2 strong",
    )  # fmt: skip
    seed: int = option(0, type=int, help="seed of all random numbers")
    trust_times: bool = option(
        False, help="tell from sizes and times whether the dataset has changed, not from contents, "
        "which are read once: for sets too large for that",
    )  # fmt: skip

    def __post_init__(self):
        from segnet.presets import check_width

        if isinstance(self.size, list):  # of plan.json
            object.__setattr__(self, "size", tuple(self.size))
        check_types(self, flag)
        for name in ("data", "weights", "teacher"):
            object.__setattr__(self, name, spelt(getattr(self, name)))
        if not self.data:
            raise Refusal("--data is empty; needed: a dataset folder")
        one_of(self.class_weights, CLASS_WEIGHTS, "class weights")
        one_of(self.damaged, DAMAGED, "way to treat damaged records")
        check_width(self.width)
        check_counts(self, ("epochs", "batch"), flag)
        check_range(self, ("learning_rate",), lambda v: v > 0, "above 0", flag)
        check_range(self, ("weight_decay", "warmup_steps"), lambda v: v >= 0, "0 or above", flag)
        check_range(self, ("augment",), lambda v: 0 <= v <= 2, "0 to 2", flag)
        check_range(self, ("seed",), lambda v: 0 <= v < SEEDS, f"0 to {SEEDS - 1}", flag)

    def network(self):
        """The network, a `segnet.rows.Preset`. Raises Refusal for an unknown name or width."""
        from segnet.presets import preset

        return preset(self.preset, self.width)

    @property
    def network_name(self) -> str:
        """As people write it: base, or base at width 0.5."""
        return f"{self.preset} at width {self.width:g}" if self.width else self.preset


def check_types(options, named: Callable[[str], str] = str) -> None:
    """Raises Refusal for a field of a dataclass whose value is not of its type, or not finite."""
    for field in fields(options):
        value = getattr(options, field.name)
        if not is_a(value, field.type):
            needed = KINDS[field.type]
            raise Refusal(f"{named(field.name)} is {value!r:.40}; needed: {needed}")


def is_a(value, kind) -> bool:
    """Python's bool is no number here, an int is a float."""
    if kind == tuple[int, int]:
        return isinstance(value, tuple) and len(value) == 2 and all(is_a(v, int) for v in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, int | float) and abs(value) < 1e300  # not so for NaN
    return isinstance(value, kind)


def check_range(options, names, allowed: Callable, needed: str, named=str) -> None:
    for name in names:
        if not allowed(getattr(options, name)):
            raise Refusal(f"{named(name)} is {getattr(options, name)!r:.40}; needed: {needed}")


def check_counts(options, names, named=str) -> None:
    needed = f"above 0 and at most {MOST}"
    check_range(options, names, lambda value: 0 < value <= MOST, needed, named)


def spelt(path: str) -> str:
    """A path without ./ and doubled or last slashes, so that one folder has one spelling.

    A `..` stays: after a link it does not lead back.
    """
    if not path or path in SOURCES:
        return path
    plain = str(Path(path))
    return os.path.join(".", plain) if plain in SOURCES else plain
