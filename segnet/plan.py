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
        (160, 160), type=int, nargs=2, metavar=("H", "W"), help="model input in pixels"
    )
    epochs: int = option(60, type=int, help="passes over the training set")
    batch: int = option(16, type=int, help="images a step")
    weights: str = option(
        "imagenet",
        metavar="SOURCE",
        help="imagenet, none, a keras.applications .h5 file or runs/OTHER",
    )
    teacher: str = option(
        "", metavar="runs/BIG", help="a finished run whose answers are learnt too (distillation)"
    )
    width: float = option(
        0.0, type=float, help="of the encoder, 1 as published; 0: the preset's own"
    )
    learning_rate: float = option(2e-3, type=float, help="highest, after warm-up")
    weight_decay: float = option(1e-2, type=float, help="of AdamW, on kernels only")
    warmup_steps: int = option(200, type=int, help="steps until the highest learning rate")
    class_weights: str = option(
        "none", help="none, or balanced: cross entropy counts rare classes more"
    )
    damaged: str = option(
        "refuse", help="refuse, or skip: records of a packed dataset that cannot be read"
    )
    augment: float = option(
        1.0, type=float, help="strength: 0 none, 1 what is best by today's knowledge, 2 strong"
    )
    seed: int = option(0, type=int, help="of everything random")

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size))
        one_of(self.class_weights, CLASS_WEIGHTS, "class weights")
        one_of(self.damaged, DAMAGED, "way with damaged records")
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
        """The network, a `segnet.rows.Preset`. Raises Refusal for a name or width there is not."""
        from segnet.presets import preset

        return preset(self.preset, self.width)

    @property
    def network_name(self) -> str:
        """The network in words: base, or base at width 0.5."""
        return f"{self.preset} at width {self.width:g}" if self.width else self.preset
