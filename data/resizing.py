"""The rules by which platforms resize an image to a network's input: pure functions."""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from data.images import resize


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
