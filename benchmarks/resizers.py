"""python -m benchmarks.resizers runs/NAME [runs/NAME...]: the validation mIoU of runs under each
rule by which platforms resize images."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import cli
from data.batches import scale
from data.dataset import read_dataset
from data.images import read_pair, resize
from export.proof.score import open_model
from segnet.metrics import confusion, scores, to_mask
from segnet.run import read_plan


def opencv(interpolation: int) -> Callable:
    def rule(image, size):
        return cv2.resize(image, size[::-1], interpolation=interpolation)

    return rule


def pillow(resampling: Image.Resampling) -> Callable:
    def rule(image, size):
        return np.asarray(Image.fromarray(image).resize(size[::-1], resampling))

    return rule


def from_corner(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the four nearest pixels, with the corners of both images in one place
    instead of their pixels' centres: half a pixel of the smaller image aside."""
    (height, width), (rows, columns) = size, image.shape[:2]
    x, y = np.meshgrid(
        np.arange(width, dtype=np.float32) * (columns / width),
        np.arange(height, dtype=np.float32) * (rows / height),
    )
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


# From (H, W, 3) uint8 RGB and a size (h, w) to (h, w, 3) uint8.
RULES = {
    "area": resize,
    "bilinear": opencv(cv2.INTER_LINEAR),
    "bilinear from the corner": from_corner,
    "bilinear antialiased": pillow(Image.Resampling.BILINEAR),
    "lanczos": pillow(Image.Resampling.LANCZOS),
    "nearest": opencv(cv2.INTER_NEAREST),
}
WHERE = {
    "area": "a kit's exact path",
    "bilinear": "Android: Bitmap.createScaledBitmap and Canvas with filtering",
    "bilinear from the corner": "MediaPipe",
    "bilinear antialiased": "canvas with imageSmoothingQuality medium or high",
    "lanczos": "iOS: vImageScale",
    "nearest": "Android and canvas without filtering",
}


def by_rule(run: Path) -> dict[str, float]:
    """mIoU under each rule, on the validation images of the run's dataset."""
    from tqdm import tqdm

    model, dataset = open_model(run), read_dataset(Path(read_plan(run).data))
    matrices = dict.fromkeys(RULES, 0)
    for pair in tqdm(dataset.pairs("val"), unit="image", leave=False, disable=None):
        image, truth = read_pair(pair, dataset)
        for name, rule in RULES.items():
            logits = model.function(scale(rule(image, model.size))[None])[0]
            found = confusion(truth, to_mask(logits, truth.shape), len(dataset.classes))
            matrices[name] = matrices[name] + found
    return {name: scores(matrix, dataset.classes)["miou"] for name, matrix in matrices.items()}


def main():
    parser = cli.parser("python -m benchmarks.resizers", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="runs/NAME")
    runs = parser.parse_args().runs
    found = {run: by_rule(run) for run in runs}
    print("| run |" + "".join(f" {rule} |" for rule in RULES))
    print("|---|" + "---|" * len(RULES))
    for run, mious in found.items():
        print(f"| {run.name} |" + "".join(f" {mious[rule]:.4f} |" for rule in RULES))
    for rule, where in WHERE.items():
        print(f"{rule}: {where}")


if __name__ == "__main__":
    cli.run(main)
