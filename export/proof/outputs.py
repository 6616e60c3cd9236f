"""What a file gives, logits, probabilities or classes, and the mask that is made of it."""

import numpy as np

from segnet.metrics import to_mask

INPUT_RULE = (
    "area-bilinear: the whole image is resized to the input's size, width and height "
    "independently, by area averaging where it is downscaled and bilinearly where it is upscaled; "
)
INTERPOLATED = "the {} are resized to the image's size bilinearly, then argmax gives the class"
# By the values of the output: the contract's text "resize".
RESIZE_TEXTS = {
    "logits": INPUT_RULE + INTERPOLATED.format("logits"),
    "probabilities": INPUT_RULE + INTERPOLATED.format("probabilities"),
    "classes": INPUT_RULE + "the classes are enlarged to the image's size by nearest neighbour: "
    "the pixel in column x of W has the class in column floor((2 * x + 1) * w / (2 * W)) of the "
    "w of the output, and rows likewise",
}  # fmt: skip


def mask_of(found: np.ndarray, values: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Class ids (H, W) uint8 at `size` of what a file gives for one image, without its batch."""
    return enlarged(found, size) if values == "classes" else to_mask(found, size)


def enlarged(ids: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Class ids (h, w) of any integer type to uint8 ids of `size`, by nearest neighbour."""
    height, width = ids.shape if size is None else size
    rows, columns = (
        (2 * np.arange(side) + 1) * of // (2 * side)
        for side, of in zip((height, width), ids.shape, strict=True)
    )
    return ids.astype(np.uint8)[rows[:, None], columns]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    powers = np.exp(np.float64(logits) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def head_error(found: np.ndarray, values: str, logits: np.ndarray) -> float:
    """How far a file's output is from that of its logits (H, W, C); infinite for another shape.

    The largest difference of a probability, or the fraction of pixels of another class; of equal
    logits the first counts.
    """
    wanted = logits.argmax(-1) if values == "classes" else softmax(logits)
    if found.shape != wanted.shape:
        return float("inf")
    if values == "classes":
        return float((found != wanted).mean())
    return float(np.abs(found - wanted).max())
