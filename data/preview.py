"""One image of what training sees: every augmentation alone, then all of them together."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data.augment import AUGMENTATIONS, augment, probability
from data.dataset import Dataset
from data.drawing import overlay
from data.images import read_pair
from data.layout import VOID
from data.mirror import ids_when_flipped

IMAGES = 4
TOGETHER = 4  # rows
SIDE = 160  # pixels, the default input size of training
GAP = 4
CAPTION = 132  # pixels, width of the captions
LINE = 20  # pixels, height of a line of text
HATCHING = (128, 128, 128)  # RGB, of every second diagonal stripe in void


def preview(dataset: Dataset, strength: float, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: rows for the resized images, each augmentation and all of them together.

    A row of one augmentation always applies it; the caption gives its probability in training.
    """
    pairs = dataset.pairs("train")
    places = np.linspace(0, len(pairs) - 1, min(IMAGES, len(pairs))).round().astype(int)
    chosen = [read_pair(pairs[place], dataset) for place in places]
    flipped = ids_when_flipped(dataset)

    def another(rng):
        return chosen[rng.integers(len(chosen))]

    def row(number: int, strength: float, only: str | None = None) -> list[np.ndarray]:
        seeds = ([seed, number, column] for column in range(len(chosen)))
        size = (SIDE, SIDE)
        return [
            draw(*augment(*pair, np.random.default_rng(own), size, strength, another, only,
                          flipped), dataset.colours)
            for pair, own in zip(chosen, seeds, strict=True)
        ]  # fmt: skip

    rows = [("resized only", row(0, 0.0))]
    for number, entry in enumerate(AUGMENTATIONS, 1):
        chance = probability(entry, strength)
        note = f"{chance:.0%} of images" if chance else f"not at strength {strength:g}"
        rows.append((f"{entry.name}\n{note}", row(number, strength, entry.name)))
    for number in range(len(rows), len(rows) + TOGETHER):
        rows.append((f"all together\nstrength {strength:g}", row(number, strength)))
    return sheet(rows, dataset)


def draw(image: np.ndarray, mask: np.ndarray, colours: list) -> np.ndarray:
    """The mask overlaid on its image, void hatched."""
    drawn = overlay(image, mask, colours)
    hatched = np.add.outer(*map(np.arange, mask.shape)) // 4 % 2 == 0
    drawn[(mask == VOID) & hatched] = HATCHING
    return drawn


def sheet(rows: list, dataset: Dataset) -> np.ndarray:
    """Draws rows of (caption, images) in two halves side by side, with the legend below."""
    half = -(-len(rows) // 2)
    width = CAPTION + (SIDE + GAP) * len(rows[0][1])
    canvas = Image.new("RGB", (2 * width, half * (SIDE + GAP)), "white")
    font, draw = ImageFont.load_default(14), ImageDraw.Draw(canvas)
    for number, (caption, images) in enumerate(rows):
        left, top = number // half * width, number % half * (SIDE + GAP)
        draw.text((left + GAP, top + GAP), caption, "black", font)
        for column, image in enumerate(images):
            place = (left + CAPTION + column * (SIDE + GAP), top)
            canvas.paste(Image.fromarray(image), place)
    return np.vstack([np.array(canvas), legend(dataset, 2 * width, font)])


def legend(dataset: Dataset, width: int, font) -> np.ndarray:
    """(H, width, 3) uint8 RGB: the name and colour of every class, on as many lines as needed."""
    names = ["void", f"{dataset.classes[0]}, left as it is", *dataset.classes[1:]]
    step = max(round(font.getlength(name)) for name in names) + 3 * LINE
    columns = max(1, width // step)
    image = Image.new("RGB", (width, (-(-len(names) // columns)) * LINE + GAP), "white")
    draw = ImageDraw.Draw(image)
    for number, (name, colour) in enumerate(zip(names, [HATCHING, *dataset.colours], strict=True)):
        left, top = number % columns * step + GAP, number // columns * LINE + GAP
        draw.rectangle((left, top, left + LINE - 6, top + LINE - 6), tuple(colour), "black")
        draw.text((left + LINE, top - 1), name, "black", font)
    return np.array(image)
