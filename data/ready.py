"""Whether training can learn anything from a dataset: refusals and remarks before the first step.

It takes no more than the headers of the images and the pixel counts of the masks, which are cached;
python -m data check reads every file.
"""

import shlex
from collections.abc import Iterator, Sequence

import numpy as np

from cli import Refusal
from data.dataset import Dataset
from data.layout import VOID
from data.mirror import ids_when_flipped, likely_pairs
from data.shards import is_packed
from data.statistics import count_ids

FEW = 100  # validation images; with fewer, the uncertainty of their mIoU is told
NAMED = 5  # classes that a remark names


def check_ready(dataset: Dataset, batch: int) -> None:
    """Raises Refusal for a dataset that a network cannot learn from in steps of `batch` images."""
    images = len(dataset.pairs("train"))
    if batch > images:
        raise Refusal(
            f"--batch is {batch}, but {dataset.folder} has {images} training "
            f"image{'s' * (images > 1)}. Type --batch {images}, or less"
        )
    masks = {split: count_ids(dataset, split) for split in ("train", "val")}
    for split, counts in masks.items():
        scored = counts[: len(dataset.classes)]
        where = f"{dataset.folder}, {split}"
        if not scored.any():
            raise Refusal(
                f"{where}: every pixel of every mask is void, so that nothing is trained on or "
                f"scored. {remedy(dataset, sum(masks.values()))}"
            )
        if split == "train" and len(scored) > 1 and (scored > 0).sum() == 1:
            todo = remedy(dataset, sum(masks.values()))
            raise Refusal(f"{where}: {one_class(dataset, counts)}. {todo}")


def one_class(dataset: Dataset, counts: np.ndarray) -> str:
    scored = counts[: len(dataset.classes)]
    others = [name for name, pixels in zip(dataset.classes, scored, strict=True) if not pixels]
    void = f"{counts[VOID] / counts.sum():.0%} of all pixels are void ({ids_of_void(dataset)})"
    return (
        f"no pixel is {listed(others, 'or')}; all that are scored are "
        f"{dataset.classes[scored.argmax()]}, and {void}"
    )


def ids_of_void(dataset: Dataset) -> str:
    return f"{VOID}" if dataset.void == VOID else f"{dataset.void} and {VOID}"


def remedy(dataset: Dataset, counts: np.ndarray) -> str:
    """counts: pixels of each id in all masks. If some hold ids of classes, --fix takes 255 for void
    as well, as `data.doctor.readings.conventions_of` does."""
    folder = shlex.quote(str(dataset.folder))
    labelled = counts[1 : len(dataset.classes)].any()
    if not counts[VOID] or labelled or len(dataset.classes) != 2 or is_packed(dataset.folder):
        return f"python -m data check {folder} shows what the masks contain"
    return (
        f"If {VOID} means a class in your masks, type python -m data check {folder} --fix OUT and "
        "train on OUT"
    )


def remarks(dataset: Dataset) -> Iterator[str]:
    """What a person should know before training, a line each."""
    images = len(dataset.pairs("val"))
    if half_width(images) > 0.5:
        few = f"val has {images} image{'s' * (images > 1)}"
        yield f"{few}: too few for their mIoU to tell anything; {FEW} give it ± 0.10"
    elif images < FEW:
        yield (
            f"val has {images} images: the 95 % interval of their mIoU may be as wide as "
            f"± {half_width(images):.2f} (0.98 / √{images}, if they are independent); smaller "
            "differences between runs may be chance"
        )
    train, val = (
        count_ids(dataset, split)[: len(dataset.classes)] > 0 for split in ("train", "val")
    )
    for absent, why in (
        (~train & val, "in no training mask but in val: not learnt, with an IoU of 0 there"),
        (~train & ~val, "in no mask of train or val: not learnt, and not part of the mIoU"),
        (train & ~val, "in no mask of val: not part of the mIoU"),
    ):
        if absent.any():
            yield f"{listed(np.array(dataset.classes)[absent].tolist(), 'and')}: {why}"
    if ids_when_flipped(dataset) is None:
        yield unsaid(dataset)


def half_width(images: int) -> float:
    """The half-width of the 95 % interval of a mean of `images` scores from 0 to 1, at its widest.

    It is that of a proportion of 1/2, 1.96 * sqrt(1/2 * 1/2 / images). Scores of images that are
    less spread out have a narrower one; frames of one video count as fewer images.
    """
    return 0.98 / images**0.5


def unsaid(dataset: Dataset) -> str:
    """The remark on classes that look like left and right while dataset.toml has no `mirror`."""
    pairs = likely_pairs(dataset.classes)
    shown = ", ".join(f"{left} and {right}" for left, right in pairs[:NAMED])
    first = f"[[{', '.join(map(repr, pairs[0]))}]]"
    return (
        f"{shown} look like left and right, so images are not flipped. Write mirror = {first} with "
        f"all such pairs in {dataset.folder / 'dataset.toml'}: flips then swap them; mirror = [] "
        "flips and swaps nothing"
    )


def listed(names: Sequence[str], word: str) -> str:
    """Names as in a sentence: a, b and c."""
    few = [*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])]
    return f" {word} ".join([", ".join(few[:-1]), few[-1]] if len(few) > 1 else few)
