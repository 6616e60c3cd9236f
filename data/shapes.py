"""The built-in synthetic dataset: overlapping, rotated shapes of three classes on textures.

The colours of all classes follow one distribution, so that colour carries no information: outline
and pattern distinguish background, disc, box and star.
"""

from pathlib import Path

import cv2
import numpy as np

from data.dataset import write_names
from data.images import encoded
from files import new_folder, write_json

CLASSES = ["background", "disc", "box", "star"]
COLOURS = [[0, 0, 0], [230, 80, 60], [60, 160, 230], [245, 190, 40]]
SIDE = 128  # pixels
TRAIN, VAL = 400, 60


def texture(rng: np.random.Generator, kind: int) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: a random colour with noise and the pattern of the class.

    Discs are striped, boxes chequered, stars plain and the background blotched.
    """
    base = rng.uniform(50, 205, 3)
    cells = int(rng.integers(8, 16))
    blotches = cv2.resize(rng.normal(0, 30 if kind == 0 else 6, (cells, cells, 3)), (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(9, 14)
    along = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / pitch)
    across = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / pitch)
    pattern = {1: along, 2: np.sign(along * across)}.get(kind, np.zeros_like(along))
    pixels = base + blotches + pattern[..., None] * rng.uniform(25, 45)
    return np.clip(pixels + rng.normal(0, 6, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def outline(kind: int, rng: np.random.Generator) -> np.ndarray:
    """A polygon (N, 2) in pixels: disc, box or star, rotated and placed at random."""
    corners = {1: 48, 2: 4, 3: 10}[kind]
    angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    radii = np.full(corners, rng.uniform(22, 38))
    if kind == 3:
        radii[1::2] *= 0.5
    points = np.stack([np.cos(angles), np.sin(angles)], -1) * radii[:, None]
    return np.round(points + rng.uniform(16, SIDE - 16, 2)).astype(np.int32)


def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image (SIDE, SIDE, 3) uint8 RGB and its mask (SIDE, SIDE) uint8."""
    image, mask = texture(rng, 0), np.zeros((SIDE, SIDE), np.uint8)
    for kind in rng.permutation([1, 2, 3, int(rng.integers(1, 4))])[: int(rng.integers(2, 4))]:
        shape = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(shape, [outline(int(kind), rng)], 1)
        image = np.where(shape[..., None] == 1, texture(rng, int(kind)), image)
        mask[shape == 1] = kind
    return image, mask


def write_shapes(folder: Path, seed: int = 0, train: int = TRAIN, val: int = VAL) -> None:
    """Writes the dataset, whole or not at all. Raises Refusal if the folder is not empty."""
    with new_folder(folder) as part:
        for split, count in (("train", train), ("val", val)):
            images, masks = part / split / "images", part / split / "masks"
            for each in (images, masks):
                each.mkdir(parents=True)
            for number in range(count):
                rng = np.random.default_rng([seed, split == "val", number])
                image, mask = pair(rng)
                (images / f"{number:04}.png").write_bytes(encoded(image, ".png"))
                (masks / f"{number:04}.png").write_bytes(encoded(mask, ".png"))
        write_json(part / "origin.json", {"made_by": "python -m data shapes", "seed": seed})
        write_names(part, CLASSES, COLOURS)
