"""python -m benchmarks.flicker MODEL --data DIR: how much masks of a video flicker, with Smooth.

Flicker is the share of pixels that change class although the image, followed as it moves, did not.
A split is read as one film in the order of the names, in which the movement is estimated. With
--shake N single images are moved instead as in a trembling hand, which is known exactly, and with
--drive N as from a car, as if they showed a corridor.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import cycle
from typing import NamedTuple

import cv2
import numpy as np

import cli
from segnet.metrics import confusion, scores

FRAMES = 60  # of a shaken image
PHOTOMETRIC = 8  # of 255, the largest difference of a pixel that counts as the same
CONSISTENT = 1.0  # pixels, the largest distance from where the flow there and back leads
MARGIN = 24  # pixels of a still image on every side, into which the frame may move
NOISE = 2.5  # standard deviation of a camera's noise, of 255
SHAKE = ((2.5, 1.7), (0.9, 5.3), (0.25, 11.0))  # amplitude in pixels, frequency in Hz
ROLL = 0.4  # degrees for an amplitude of one pixel
DRIFT = 0.06, 0.7  # of the exposure: amplitude as a fraction, frequency in Hz
RATE = 30  # frames a second
DRIVEN_FRAMES = 30
DRIVEN_RATE = 15  # frames a second
DRIVES = (
    (0.15, 0),
    (0.3, 0),
    (0.5, 0),
    (0.15, 3),
    (0.3, 0),
    (0.5, 0),
    (0.15, 0),
    (0.3, 3),
    (0.5, 0),
    (0.15, 0),
    (0.3, 0),
    (0.5, 3),
)  # by turns: metres, pixels to the side a frame
CORRIDOR = 8.0, 1.6, 7.0  # metres from the camera to either wall, the ground and the ceiling
HORIZON = 0.45  # of the height
JOLT = 0.4  # of the hand's amplitudes


class Step(NamedTuple):
    """image: (H, W, 3) uint8 RGB. truth: class ids (H, W). field: (H, W, 2) float32, the x and y in
    the former frame of every pixel; usable: (H, W) bool, where the field is right. Both are None
    for a first frame."""

    image: np.ndarray
    truth: np.ndarray
    field: np.ndarray | None
    usable: np.ndarray | None


def changed(former: np.ndarray, mask: np.ndarray, field: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels whose class none of the former pixels has that they come from.

    A position between pixels comes from up to four, so that a mask which moves exactly with the
    image does not change.
    """
    found = np.zeros(mask.shape, bool)
    low = np.floor(field + 1e-4)  # a position within a thousandth of a pixel is that pixel's
    high = np.ceil(field - 1e-4)
    for x in (low[..., 0], high[..., 0]):
        for y in (low[..., 1], high[..., 1]):
            found |= cv2.remap(former, x, y, cv2.INTER_NEAREST) == mask
    return ~found


def inside(field: np.ndarray) -> np.ndarray:
    """(H, W) bool: the position is within the former frame."""
    height, width = field.shape[:2]
    x, y = field[..., 0], field[..., 1]
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def grid(shape: tuple[int, int]) -> np.ndarray:
    """(H, W, 2) float32: the x and y of every pixel."""
    return np.dstack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in shape[::-1])))


def followed(former: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(field, usable) between two frames by optical flow (DIS), there and back."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (former, image)]
    there, back = flow.calc(*greys, None), flow.calc(*greys[::-1], None)
    at = grid(former.shape[:2])
    field = at + back
    again = field + cv2.remap(there, field, None, cv2.INTER_LINEAR)
    warped = cv2.remap(former, field, None, cv2.INTER_LINEAR)
    error = cv2.blur(np.abs(warped.astype(np.float32) - image).max(-1), (3, 3))
    near = np.linalg.norm(again - at, axis=-1) <= CONSISTENT
    return field, inside(field) & near & (error <= PHOTOMETRIC)


def film(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[Step]:
    """The frames of a film with their ground truth, in order."""
    former = None
    for image, truth in pairs:
        field, usable = (None, None) if former is None else followed(former, image)
        yield Step(image, truth, field, usable)
        former = image


def shaken(image: np.ndarray, truth: np.ndarray, frames: int, rng, speed=(0.0, 0.0)):
    """Steps of a still image as a trembling hand films it, MARGIN pixels smaller on every side.

    speed: pixels a frame that the camera pans besides, (x, y).
    """
    height, width = (side - 2 * MARGIN for side in image.shape[:2])
    phases, former = rng.uniform(0, 2 * np.pi, (3, len(SHAKE))), None
    for number in range(frames):
        matrix = camera(number, phases, (width, height), speed)
        moved = cv2.warpAffine(image, matrix[:2], (width, height),
                               flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)  # fmt: skip
        picture = exposed(moved, number / RATE, phases[0, 0], rng)
        seen = cv2.warpAffine(truth, matrix[:2], (width, height),
                              flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)  # fmt: skip
        field = usable = None
        if former is not None:
            field = cv2.transform(grid((height, width)), (np.linalg.inv(former) @ matrix)[:2])
            usable = inside(field)
        yield Step(picture, seen, field, usable)
        former = matrix


def camera(number: int, phases: np.ndarray, size: tuple[int, int], speed) -> np.ndarray:
    """(3, 3): from a pixel of the frame to the place in the still image. size: (W, H)."""
    sizes, rates = np.transpose(SHAKE)
    x, y, roll = (sizes * np.sin(2 * np.pi * rates * number / RATE + phases)).sum(1)
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), ROLL * roll, 1)
    turn[:, 2] += MARGIN + np.array([x, y]) + number * np.asarray(speed)
    return np.vstack([turn, [0, 0, 1]])


def exposed(image: np.ndarray, seconds: float, phase: float, rng) -> np.ndarray:
    """The image with the exposure at a time and with noise."""
    gain = 1 + DRIFT[0] * np.sin(2 * np.pi * DRIFT[1] * seconds + phase)
    return (
        np.clip(gain * image + rng.normal(0, NOISE, image.shape), 0, 255).round().astype(np.uint8)
    )


def driven(image: np.ndarray, truth: np.ndarray, frames: int, rng, speed: float, turn: float):
    """Steps of a still image as seen from a car, as if it showed a corridor. speed: metres a frame.
    turn: pixels to the side a frame."""
    height, width = image.shape[:2]
    centre, at = np.float32([width / 2, HORIZON * height]), grid((height, width))
    sizes, rates = np.transpose(SHAKE)
    phases, edge = rng.uniform(0, 2 * np.pi, (3, len(SHAKE))), cv2.BORDER_REFLECT
    former = None
    for number in range(frames):
        jolts = np.sin(2 * np.pi * rates * number / DRIVEN_RATE + phases[:2])
        eye = centre + JOLT * jolts @ sizes + [turn * (number - frames / 2), 0]
        from_eye = at - eye
        still = from_eye / (1 + speed * number * nearness(from_eye, width))[..., None]
        places = (centre + still).astype(np.float32)
        moved = cv2.remap(image, places, None, cv2.INTER_CUBIC, borderMode=edge)
        seen = cv2.remap(truth, places, None, cv2.INTER_NEAREST, borderMode=edge)
        field = usable = None
        if former is not None:
            grown = 1 - speed * (number - 1) * nearness(still, width)
            field = (former + still / grown[..., None]).astype(np.float32)
            usable = inside(field) & inside(places)
        picture = exposed(moved, number / DRIVEN_RATE, phases[0, 0], rng)
        yield Step(picture, seen, field, usable)
        former = eye


def nearness(offsets: np.ndarray, focal: float) -> np.ndarray:
    """1 / metres along the corridor to what is seen at offsets (H, W, 2) from its end."""
    x, y = offsets[..., 0], offsets[..., 1]
    wall, ground, ceiling = CORRIDOR
    return np.maximum(np.abs(x) / wall, np.maximum(y / ground, -y / ceiling)) / focal


class Count:
    """Sums over the steps of one way to make masks."""

    def __init__(self, classes: int):
        self.classes, self.former, self.matrix = classes, None, 0
        self.pixels = self.usable = self.changed = 0

    def add(self, step: Step, mask: np.ndarray) -> None:
        self.matrix = self.matrix + confusion(step.truth, mask, self.classes)
        if step.field is not None:
            found = changed(self.former, mask, step.field) & step.usable
            self.pixels += mask.size
            self.usable += int(step.usable.sum())
            self.changed += int(found.sum())
        self.former = mask

    def line(self, name: str, first: "Count", classes: list[str]) -> str:
        flicker, ratio = self.changed / self.usable, self.changed / first.changed
        miou = scores(self.matrix, classes)["miou"]
        return f"{name:8} flicker {flicker:.3%} ({ratio:.2f})  mIoU {miou:.4f}"


def measure(ways: dict, films: Iterable[Iterable[Step]], classes: list[str]) -> dict[str, Count]:
    """The counts of each way: a name and a function that makes, for each film, a function from
    images to masks."""
    counts = {name: Count(len(classes)) for name in ways}
    for film in films:
        masks = {name: make() for name, make in ways.items()}
        for step in film:
            for name, count in counts.items():
                count.add(step, masks[name](step.image))
    return counts


def main() -> None:
    parser = cli.parser("python -m benchmarks.flicker", "How much masks of a video flicker.")
    parser.add_argument("model", metavar="MODEL", help="a run, a kit or a .tflite")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--split", default="val", metavar="NAME", help="(default val)")
    moved = parser.add_mutually_exclusive_group()
    moved.add_argument(
        "--shake", type=int, metavar="N", help="N images of the split, each moved, not a film"
    )
    moved.add_argument("--drive", type=int, metavar="N", help="the same, each driven into")
    parser.add_argument(
        "--hold", nargs="+", type=float, default=[1.25], metavar="X", help="(default 1.25)"
    )
    args = parser.parse_args()
    from data.dataset import read_dataset
    from data.images import read_pair
    from export.trial.model import open_tried

    dataset, model = read_dataset(args.data), open_tried(args.model, None, None)
    pairs = dataset.pairs(args.split)
    count = args.shake or args.drive
    rng, chosen = np.random.default_rng(0), pairs[:: -(-len(pairs) // (count or len(pairs)))]
    if args.shake:
        films = (shaken(*read_pair(pair, dataset), FRAMES, rng) for pair in chosen)
    elif args.drive:
        films = (driven(*read_pair(pair, dataset), DRIVEN_FRAMES, rng, *drive)
                 for pair, drive in zip(chosen, cycle(DRIVES)))  # fmt: skip
    else:
        films = [film(read_pair(pair, dataset) for pair in pairs)]
    ways = {"alone": lambda: model.mask}
    ways |= {f"hold {hold:g}": partial(model.steady, hold) for hold in args.hold}
    counts = measure(ways, films, dataset.classes)
    alone = counts["alone"]
    print(f"usable: {alone.usable / alone.pixels:.1%} of {alone.pixels} pixels")
    for name, count in counts.items():
        print(count.line(name, alone, dataset.classes))


if __name__ == "__main__":
    cli.run(main)
