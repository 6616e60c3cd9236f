"""The built-in synthetic dataset: overlapping, turned shapes of three classes on textures.

Shapes and background draw their colours and textures from the same source, so that colour alone
tells nothing: only the outline tells disc, box and star apart.
"""

from pathlib import Path

import cv2
import numpy as np

from cli import Refusal, write_json
from data.pictures import write_picture

CLASSES = ["background", "disc", "box", "star"]
COLOURS = [[0, 0, 0], [230, 80, 60], [60, 160, 230], [245, 190, 40]]
SIDE = 128  # pixels
TRAIN, VAL = 400, 60


def texture(rng: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: a random colour with smooth and fine noise and stripes."""
    base = rng.uniform(30, 225, 3)
    cells = int(rng.integers(3, 10))
    smooth = cv2.resize(rng.normal(0, 12, (cells, cells, 3)), (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(6, 24)
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / pitch)
    pixels = base + smooth + stripes[..., None] * rng.uniform(0, 14)
    return np.clip(pixels + rng.normal(0, 6, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def outline(kind: int, rng: np.random.Generator) -> np.ndarray:
    """A polygon in pixels: disc, box or star, turned and placed at random."""
    corners = {1: 48, 2: 4, 3: 10}[kind]
    angles = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    radii = np.full(corners, rng.uniform(20, 36))
    if kind == 3:
        radii[1::2] *= 0.42
    points = np.stack([np.cos(angles), np.sin(angles)], -1) * radii[:, None]
    return np.round(points + rng.uniform(16, SIDE - 16, 2)).astype(np.int32)


def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture (SIDE, SIDE, 3) uint8 RGB and its mask (SIDE, SIDE) uint8."""
    picture, mask = texture(rng), np.zeros((SIDE, SIDE), np.uint8)
    for kind in rng.permutation([1, 2, 3, int(rng.integers(1, 4))])[: int(rng.integers(2, 4))]:
        shape = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(shape, [outline(int(kind), rng)], 1)
        picture = np.where(shape[..., None] == 1, texture(rng), picture)
        mask[shape == 1] = kind
    return picture, mask


def write_shapes(folder: Path, seed: int = 0, train: int = TRAIN, val: int = VAL) -> None:
    """Writes the dataset. Raises Refusal when the folder holds something else already."""
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise Refusal(f"{folder} is not empty: name a new folder or delete it")
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            rng = np.random.default_rng([seed, split == "val", number])
            picture, mask = pair(rng)
            write_picture(folder / split / "images" / f"{number:04}.png", picture)
            write_picture(folder / split / "masks" / f"{number:04}.png", mask)
    toml = f"classes = {CLASSES}\ncolours = {COLOURS}\n"
    write_json(folder / "origin.json", {"made_by": "python -m data shapes", "seed": seed})
    (folder / "dataset.toml").write_text(toml)
