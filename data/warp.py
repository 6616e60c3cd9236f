"""Sampling image and mask under one transform, without aliasing."""

import cv2
import numpy as np

from data.layout import VOID


def affine(linear, shift=(0.0, 0.0)):
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return matrix


def warp(image, mask, matrix, size):
    """Warps both by `matrix` (3, 3), from input pixels to output pixels of `size` (H, W)."""
    mask = sampled(mask, matrix, size, cv2.INTER_NEAREST, VOID)
    while shrinks(matrix, image.shape):
        image, matrix = halved(image, matrix)
    return sampled(image, matrix, size, cv2.INTER_LINEAR, 0), mask


def shrinks(matrix, shape) -> bool:
    """Whether the area at the centre shrinks over 4 times: bilinear sampling would then alias."""
    depth = matrix[2] @ [(shape[1] - 1) / 2, (shape[0] - 1) / 2, 1]
    return abs(np.linalg.det(matrix) / depth**3) < 0.25 and min(shape[:2]) > 1


def halved(image, matrix):
    """Halves both sides; for an odd side OpenCV leaves out half of the last pixel."""
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return half, matrix @ affine(2 * np.eye(2), [0.5, 0.5])


def sampled(pixels, matrix, size, interpolation, border):
    to = (size[1], size[0])
    if np.array_equal(matrix[2], [0, 0, 1]):
        return cv2.warpAffine(pixels, matrix[:2], to, flags=interpolation, borderValue=border)
    return cv2.warpPerspective(pixels, matrix, to, flags=interpolation, borderValue=border)
