"""python -m benchmarks.portrait FILE --data DIR: scores a published portrait model.

For .tflite files like MediaPipe's selfie segmentation: input RGB in [0, 1], output (1, H, W, 1) the
probability of the person. Images are resized as for our own files, probabilities to the size of the
mask; from 0.5 on a pixel counts as person.
"""

from pathlib import Path

import numpy as np

import cli


def main() -> None:
    parser = cli.parser("python -m benchmarks.portrait", "IoU of a published portrait model.")
    parser.add_argument("file", type=Path, metavar="FILE", help=".tflite file")
    parser.add_argument(
        "--data", required=True, metavar="DIR",
        help="dataset folder with the classes background and person",
    )  # fmt: skip
    parser.add_argument(
        "--split", default="val", metavar="NAME", help="split of the dataset (default val)"
    )
    args = parser.parse_args()
    from data.dataset import read_dataset
    from export.proof.score import score_function
    from export.tflite.runtime import Runtime

    dataset, runtime = read_dataset(args.data), Runtime(args.file)
    shape = tuple(runtime.output["shape"].tolist())
    if len(dataset.classes) != 2 or len(shape) != 4 or shape[-1] != 1:
        raise cli.Refusal(
            f"{args.file} outputs {shape} and {args.data} has {len(dataset.classes)} classes; "
            "needed: one probability per pixel, (1, H, W, 1), and two classes, the person last. "
            "Name another file or --data"
        )
    found = score_function(two_classes(runtime), dataset, args.split, runtime.size)
    iou = ", ".join(f"{name} {value:.4f}" for name, value in found["iou"].items())
    print(f"mIoU {found['miou']:.4f} ({iou})")


def two_classes(runtime):
    """A function from (1, H, W, 3) in [-1, 1] to the probabilities of both classes (1, H, W, 2)."""

    def function(image):
        person = runtime((image + 1) / 2)
        return np.concatenate([1 - person, person], -1)

    return function


if __name__ == "__main__":
    cli.run(main)
