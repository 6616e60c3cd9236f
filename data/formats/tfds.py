"""Segmentation sets of TensorFlow Datasets, which is not among our requirements."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from cli import Refusal
from data.archives import temporary
from data.formats import Found, Item
from data.formats.masks import SPLIT_OF, given_values, read_as

ABOUT = """SOURCE: NAME or NAME/CONFIG or NAME:VERSION of TensorFlow Datasets, with a picture and a
mask of class ids. Needs: pip install tensorflow-datasets. It is downloaded once, to --data-dir."""


def add_arguments(parser) -> None:
    parser.add_argument("--image", default="image", metavar="KEY", help="(default image)")
    parser.add_argument(
        "--mask", default="segmentation_mask", metavar="KEY", help="(default segmentation_mask)"
    )
    parser.add_argument(
        "--values", nargs="+", default=(), metavar="N=CLASS",
        help="what the numbers in a mask mean; void is not scored",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", metavar="FOLDER", help="where downloads lie (default: that of the library)"
    )


def read(source: Path, words) -> Found:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise Refusal(
            "tensorflow-datasets is not installed. Type: pip install tensorflow-datasets"
        ) from error
    if not words.values:
        raise Refusal("--values is missing: say what the numbers mean, 0=background 1=pet ...")
    means = given_values(words.values)
    try:
        builder = tfds.builder(str(source), data_dir=words.data_dir)
        builder.download_and_prepare()
    except (tfds.core.DatasetNotFoundError, ValueError, OSError) as error:
        raise Refusal(f"{source}: {' '.join(str(error).split())[:300]}") from error
    features = list(builder.info.features or ())
    for key in (words.image, words.mask):
        if key not in features:
            raise Refusal(f"{source} has no feature {key!r}; there are: {', '.join(features)}")
    folder, items = temporary(), []
    for name, info in builder.info.splits.items():
        examples = tfds.as_numpy(builder.as_dataset(split=name))
        for index, example in enumerate(examples):
            stem = f"{name}_{index:0{len(str(info.num_examples))}}"
            paths = [folder / f"{stem}{part}.png" for part in ("", "_mask")]
            Image.fromarray(rgb(example[words.image])).save(paths[0])
            Image.fromarray(flat(example[words.mask])).save(paths[1])
            mask = partial(read_as, paths[1], means)
            items.append(Item(stem, paths[0], mask, SPLIT_OF.get(name)))
    return Found(means.classes, items, [])


def rgb(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of (H, W, 1) or (H, W, 3)."""
    return np.repeat(picture, 3, -1) if picture.shape[-1] == 1 else picture


def flat(mask: np.ndarray) -> np.ndarray:
    return mask[..., 0] if mask.ndim == 3 else mask
