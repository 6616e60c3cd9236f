"""Augmentation: pure seeded functions (picture, mask, rng) -> (picture, mask).

Pictures are (H, W, 3) uint8 RGB, masks (H, W) uint8 with 255 for void. All geometry is one affine
transform, so that picture and mask move alike and are sampled once.
"""

import cv2
import numpy as np

from data.labels import VOID

SCALE = (0.7, 1.6)  # of the picture's own size after it fits the model's
ROTATION = 12.0  # degrees, either way
BRIGHTNESS = 0.25  # share of the full range, either way
CONTRAST = (0.75, 1.3)
SATURATION = (0.6, 1.5)


def geometry(picture, mask, rng, size):
    """Flip, scale, rotation and crop in one transform to `size` (H, W); outside is void."""
    height, width = picture.shape[:2]
    fit = np.array([size[1] / width, size[0] / height])
    zoom = np.exp(rng.uniform(*np.log(SCALE)))
    angle = np.deg2rad(rng.uniform(-ROTATION, ROTATION))
    mirror = rng.choice([-1.0, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(fit * zoom * [mirror, 1.0])
    # The centre of the crop wanders as far as the zoomed picture exceeds the crop (or falls short).
    slack = np.abs(zoom - 1) / 2 * np.array([size[1], size[0]])
    target = (np.array([size[1], size[0]]) - 1) / 2 + rng.uniform(-slack, slack)
    offset = target - linear @ ((np.array([width, height]) - 1) / 2)
    return warp(picture, mask, np.column_stack([linear, offset]), size)


def warp(picture, mask, matrix, size):
    to = (size[1], size[0])
    shrink = abs(np.linalg.det(matrix[:, :2])) < 0.25
    if shrink:  # a bilinear sample would skip pixels: halve first
        half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        ratio = np.array([picture.shape[1] / half.shape[1], picture.shape[0] / half.shape[0]])
        finer = np.column_stack([matrix[:, :2] * ratio, matrix[:, 2]])
        finer[:, 2] += matrix[:, :2] @ ((ratio - 1) / 2)
        moved, _ = warp(half, mask, finer, size)
    else:
        moved = cv2.warpAffine(picture, matrix, to, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(mask, matrix, to, flags=cv2.INTER_NEAREST, borderValue=VOID)
    return moved, mask


def colour(picture, mask, rng):
    """Brightness, contrast and saturation; the mask stays."""
    pixels = picture.astype(np.float32)
    grey = pixels @ np.float32([0.299, 0.587, 0.114])
    pixels = grey[..., None] + (pixels - grey[..., None]) * np.float32(rng.uniform(*SATURATION))
    pixels = (pixels - 128) * np.float32(rng.uniform(*CONTRAST)) + 128
    pixels += np.float32(rng.uniform(-BRIGHTNESS, BRIGHTNESS) * 255)
    return np.clip(pixels, 0, 255).astype(np.uint8), mask


def augment(picture, mask, rng, size):
    picture, mask = geometry(picture, mask, rng, size)
    return colour(picture, mask, rng)
