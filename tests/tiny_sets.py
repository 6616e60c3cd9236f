"""Datasets of a few pixels, written with Pillow."""

import numpy as np
from PIL import Image

from data.dataset import read_dataset


def write_set(folder, names, **splits):
    """A dataset with classes `names`; splits: lists of (image (H, W, 3), mask (H, W)) uint8."""
    for split, pairs in splits.items():
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
        for number, pair in enumerate(pairs):
            for part, values in zip(("images", "masks"), pair, strict=True):
                Image.fromarray(np.uint8(values)).save(folder / split / part / f"{number}.png")
    (folder / "labels.txt").write_text("\n".join(names))
    return read_dataset(folder)


def grey(values):
    """An image of grey pixels (H, W, 3)."""
    return np.uint8(values)[..., None].repeat(3, -1)
