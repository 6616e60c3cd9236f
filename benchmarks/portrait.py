"""python -m benchmarks.portrait FILE --data DIR: a published portrait file on a person dataset.

For files as MediaPipe's selfie segmentation: an image in [0, 1], RGB, and the person's share
(1, H, W, 1). Images are resized as for our own files, shares to the mask's size, and a pixel is
the person's from 0.5 on.
"""

from pathlib import Path

import numpy as np

import cli


def main() -> None:
    parser = cli.parser("python -m benchmarks.portrait", "A published portrait file's IoU.")
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tflite")
    parser.add_argument("--data", required=True, metavar="DIR", help="with background and person")
    parser.add_argument("--split", default="val", metavar="NAME", help="(default val)")
    words = parser.parse_args()
    from data.dataset import read_dataset
    from export.proof.score import score_function
    from export.tflite.runtime import Runtime

    dataset, runtime = read_dataset(words.data), Runtime(words.file)
    shape = tuple(runtime.output["shape"].tolist())
    if len(dataset.classes) != 2 or len(shape) != 4 or shape[-1] != 1:
        raise cli.Refusal(
            f"{words.file} gives {shape} and {words.data} has {len(dataset.classes)} classes; "
            "needed: one share a pixel, (1, H, W, 1), and two classes, the person last"
        )
    found = score_function(shares(runtime), dataset, words.split, runtime.size)
    iou = ", ".join(f"{name} {value:.4f}" for name, value in found["iou"].items())
    print(f"mIoU {found['miou']:.4f} ({iou})")


def shares(runtime):
    """From (1, H, W, 3) in [-1, 1] to the two classes' shares (1, H, W, 2)."""

    def function(image):
        person = runtime((image + 1) / 2)
        return np.concatenate([1 - person, person], -1)

    return function


if __name__ == "__main__":
    cli.run(main)
