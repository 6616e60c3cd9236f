"""Every training option, once, with its unit."""

from dataclasses import dataclass

from cli import Refusal, one_of, option

CLASS_WEIGHTS = ("none", "balanced")
DAMAGED = ("refuse", "skip")


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

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size))
        one_of(self.class_weights, CLASS_WEIGHTS, "class weights")
        one_of(self.damaged, DAMAGED, "way to treat damaged records")
        if self.width < 0:
            raise Refusal(f"--width is {self.width:g}; needed: above 0, or 0 for the preset's own")
        for name in ("epochs", "batch", "learning_rate"):
            if getattr(self, name) <= 0:
                raise Refusal(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}; needed: above 0"
                )
        if not 0 <= self.augment <= 2:
            raise Refusal(f"--augment is {self.augment:g}; needed: 0 to 2")

    def network(self):
        """The network, a `segnet.rows.Preset`. Raises Refusal for an unknown name or width."""
        from segnet.presets import preset

        return preset(self.preset, self.width)

    @property
    def network_name(self) -> str:
        """As people write it: base, or base at width 0.5."""
        return f"{self.preset} at width {self.width:g}" if self.width else self.preset
