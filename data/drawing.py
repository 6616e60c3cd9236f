"""Visualisation: masks overlaid on images, and sheets of them."""

import base64
from collections.abc import Callable

import cv2
import numpy as np

from data.batches import resize, to_input
from data.dataset import Dataset
from data.images import read_pair
from data.layout import VOID

SIDE = 200  # pixels, height of an image on a sheet
IMAGES = 4
QUALITY = 82  # JPEG quality of images on a page, 0 to 100
ROWS = ("image", "ground truth", "model")


def overlay(image: np.ndarray, mask: np.ndarray, colours: list) -> np.ndarray:
    """The image with every class but the first overlaid in its colour, half transparent."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours)] = colours
    mixed = (image // 2 + table[mask] // 2).astype(np.uint8)
    return np.where(((mask > 0) & (mask != VOID))[..., None], mixed, image)


def sheet(dataset: Dataset, size: tuple[int, int], predict: Callable) -> np.ndarray:
    """(H, W, 3) uint8 RGB: one column per validation image with image, ground truth and prediction.

    predict: from (1, *size, 3) float32 and the (H, W) of the image to class ids (H, W).
    """
    columns, pairs = [], dataset.pairs("val")
    for pair in pairs[:: max(1, len(pairs) // IMAGES)][:IMAGES]:  # neighbours look alike
        image, truth = read_pair(pair, dataset)
        predicted = predict(to_input(image, size)[None], truth.shape)
        columns.append(column(image, [truth, predicted], dataset.colours))
    drawn = np.hstack(columns)
    for row, name in enumerate(ROWS):
        cv2.rectangle(drawn, (0, row * SIDE), (9 + 8 * len(name), row * SIDE + 19), (0, 0, 0), -1)
        place = (5, row * SIDE + 14)
        cv2.putText(drawn, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1, cv2.LINE_AA)
    return drawn


def uri(image: np.ndarray, side: int) -> str:
    """An image (H, W, 3) uint8 RGB as a JPEG data URI, its longer side at most `side` pixels."""
    ratio = min(1.0, side / max(image.shape[:2]))
    small = resize(image, tuple(max(1, round(ratio * edge)) for edge in image.shape[:2]))
    pixels = np.ascontiguousarray(small[..., ::-1])
    done, raw = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(raw.tobytes()).decode()


def column(image, masks, colours) -> np.ndarray:
    to = (max(1, round(image.shape[1] * SIDE / image.shape[0])), SIDE)
    interpolation = cv2.INTER_AREA if image.shape[0] > SIDE else cv2.INTER_CUBIC
    image = cv2.resize(image, to, interpolation=interpolation)
    masks = [cv2.resize(mask, to, interpolation=cv2.INTER_NEAREST) for mask in masks]
    return np.vstack([image, *(overlay(image, mask, colours) for mask in masks)])
