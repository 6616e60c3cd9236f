"""A finished run, and what all recipes need of it, computed once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cli import Refusal
from data.batches import to_input
from data.images import read_image
from export.graph import calibration
from export.graph.deploy import deploy
from export.proof.score import keras_function, score_function

LOOKED_AT = 8  # images on which layers are compared


@dataclass
class Trained:
    folder: Path
    model: object
    plan: object
    manifest: dict
    dataset: object

    @property
    def network(self):
        return self.plan.network()

    @property
    def keras(self):
        """The function from (1, H, W, 3) to logits (1, H, W, C) that was trained."""
        return keras_function(self.model)

    @property
    def weights(self) -> str:
        """SHA-256 of the weights file that the kits are made from."""
        return self.manifest["best"]["sha256"]

    @cached_property
    def judge(self) -> str:
        """The split that files are judged on: test if there is one, since val chose the epoch."""
        return self.dataset.splits()[-1]

    def miou(self, report: dict) -> float:
        """Keras' mIoU on the validation images, which `accuracy` may have measured already."""
        return report["miou_keras"] if self.judge == "val" else self.val_miou

    @cached_property
    def val_miou(self) -> float:
        return score_function(self.keras, self.dataset, "val", self.plan.size)["miou"]

    @cached_property
    def samples(self) -> np.ndarray:
        """LOOKED_AT images of `judge`, evenly spaced, (N, H, W, 3) in [-1, 1]."""
        return self.judged(LOOKED_AT)

    def judged(self, most: int) -> np.ndarray:
        pairs = self.dataset.pairs(self.judge)
        places = np.unique(np.linspace(0, len(pairs) - 1, most).round().astype(int))
        return np.stack([to_input(read_image(pairs[at][0]), self.plan.size) for at in places])

    @cached_property
    def calibration_pairs(self) -> list:
        return calibration.sample(self.dataset)

    @cached_property
    def calibration(self) -> np.ndarray:
        return calibration.inputs(self.calibration_pairs, self.plan.size)

    @cached_property
    def calibration_distance(self) -> float:
        """By how much the calibration images are further from the judged ones than training is.

        They are histograms' distances; 0 where they are nearer.
        """
        mine, training, judged = (
            calibration.histogram(batch)
            for batch in (
                self.calibration, calibration.random_inputs(self.dataset, self.plan.size),
                self.judged(2 * calibration.IMAGES),
            )
        )  # fmt: skip
        further = calibration.distance(mine, judged) - calibration.distance(training, judged)
        return max(0.0, further)

    def graph(self, lowering, k=None, batch=1):
        classes = len(self.dataset.classes)
        return deploy(self.model, self.network, self.plan.size, classes, lowering, k, batch)


def load(folder: Path) -> Trained:
    """A run. Raises Refusal if its weights or its dataset are not those of the training."""
    from data.dataset import read_dataset
    from segnet.run import best_of, load_run, read_run

    folder = Path(folder)
    plan, manifest = read_run(folder)
    best_of(folder, manifest)
    dataset, before = read_dataset(plan.data, plan.damaged), manifest["dataset"]
    # Other colours prove no less.
    if changes := dataset.changes({**before, "colours": dataset.colours}):
        raise Refusal(
            f"{plan.data} has changed since {folder} was trained: {'; '.join(changes)}. "
            "Restore it, or train a new run"
        )
    return Trained(folder, load_run(folder)[0], plan, manifest, dataset)
