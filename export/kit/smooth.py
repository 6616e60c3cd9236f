"""Steadier masks of videos; the kit's segment.py has these lines too, see export.kit.render."""

import cv2
import numpy as np


class Smooth:
    """Favours the class that a pixel had in the frame before, followed as the image moves.

    hold: by how much another class's logit must be larger to replace it; 1.25 is odds of 3.5 to 1.
    byte_step: the step in the input tensor that corresponds to 1 in a byte of the image.
    logit_step: the difference of logits that corresponds to 1 in the output tensor.
    """

    TILES = 4  # in each direction; each moves by whole pixels, by up to 1/32 of the image
    BLOCK = 4  # pixels a side, of which the mean change of green is judged
    SKIP = 2  # only every second row of a block is compared
    MOVED = 20  # of 255: the change from which on a block is not that of the frame before
    CUT = 40  # of 255: the mean change from which on nothing is favoured

    def __init__(self, hold=1.25, byte_step=1 / 127.5, logit_step=1.0):
        self.hold = hold / logit_step
        self.scale = 1 / byte_step
        self.green = None  # of the frame before, bytes

    def add(self, logits, tensor, ids):
        """Adds to the logits (H, W, C), float32, in place, to whole blocks.

        tensor: the input (1, H, W, 3) that they are of. ids: the classes (H, W), uint8, of the
        frame before, as they came of its logits after this; of the first frame they do not count.
        """
        if first := self.green is None:
            self.allocate(*logits.shape)
        zero = 0 if tensor.dtype == np.uint8 else 127.5
        self.channel = cv2.extractChannel(tensor[0], 1, dst=self.channel)
        now = cv2.convertScaleAbs(self.channel, dst=self.spare, alpha=self.scale, beta=zero)
        slopes, self.slopes = self.slopes, self.sloping(now)
        if not first:
            self.follow(slopes)
            self.favour(logits, ids, self.compare(now))
        self.green, self.spare = now, self.green

    def allocate(self, height, width, classes):
        self.channel = self.spare = self.old = self.change = self.ids = self.slopes = None
        self.whole = [side - side % self.BLOCK for side in (height, width)]
        self.still = np.empty(self.whole, np.float32)
        self.first = np.arange(0, height * width * classes, classes).reshape(height, width)
        self.index = self.first.copy()
        self.tile, self.edges, self.steps, self.around = [], [], [], []
        for side in (height, width):
            tile = -(-side // (self.TILES * self.BLOCK)) * self.BLOCK
            reach = side // 32
            steps = np.int16([0, *range(-reach, reach + 1)])  # of equally good ones the first
            self.tile.append(tile)
            self.edges.append([*range(0, side, tile), side])
            self.steps.append(steps)
            self.around.append(np.clip(np.arange(side) + steps[:, None], 0, side - 1))
        self.places = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.int16)
        self.origins = np.empty_like(self.places)

    def sloping(self, green):
        """The sums of green across each strip of tiles, less those two pixels before: from top to
        bottom (strips, H) and from left to right (strips, W)."""
        sums, found = cv2.integral(green), []
        for corners in (sums.take(self.edges[1], axis=1).T, sums.take(self.edges[0], axis=0)):
            strips = corners[1:] - corners[:-1]
            strips = strips[:, 1:] - strips[:, :-1]
            slopes = strips - strips[:, :1]
            slopes[:, 2:] = strips[:, 2:] - strips[:, :-2]
            found.append(slopes)
        return found

    def follow(self, before):
        """Writes `origins`, the x and y that every pixel had in the frame before."""
        moved = []
        for axis in (0, 1):
            off = before[axis].take(self.around[axis], axis=1)  # (strips, steps, side)
            off -= self.slopes[axis][:, None]
            off = np.add.reduceat(np.abs(off, out=off), self.edges[axis][:-1], axis=2)
            moved.append(self.steps[axis][off.argmin(1)])  # (strips, tiles)
        tiles = cv2.merge([moved[1], moved[0].T]).repeat(self.tile[1], axis=1)
        for start, line in zip(self.edges[0][:-1], tiles, strict=True):
            rows = slice(start, start + self.tile[0])
            np.add(self.places[rows], line[: self.places.shape[1]], out=self.origins[rows])

    def origin(self, image, places, out):
        """What was at these of the `origins`; outside of the image the nearest."""
        nearest = {"interpolation": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_REPLICATE}
        return cv2.remap(image, places, None, dst=out, **nearest)

    def compare(self, now):
        """The mean change of each whole block (H / BLOCK, W / BLOCK)."""
        height, width = self.whole
        rows = slice(0, height, self.SKIP), slice(width)
        self.old = self.origin(self.green, self.origins[rows], self.old)
        self.change = cv2.subtract(now[rows], self.old, dst=self.change, dtype=cv2.CV_32F)
        size = width // self.BLOCK, height // self.BLOCK
        return cv2.resize(self.change, size, interpolation=cv2.INTER_AREA)

    def favour(self, logits, ids, change):
        if cv2.norm(change, cv2.NORM_L1) > self.CUT * change.size:
            return
        height, width = self.whole
        still = np.maximum(self.hold - self.hold / self.MOVED**2 * change**2, 0)
        cv2.resize(still, (width, height), dst=self.still, interpolation=cv2.INTER_NEAREST)
        self.ids = self.origin(ids, self.origins, self.ids)
        np.add(self.first, self.ids, out=self.index)
        np.add.at(logits.reshape(-1), self.index[:height, :width].ravel(), self.still.ravel())


class SmoothProbabilities(Smooth):
    """The same for probabilities, by their logarithms, which are logits."""

    def add(self, probabilities, tensor, ids):
        np.maximum(probabilities, 1e-6, out=probabilities)
        super().add(np.log(probabilities, out=probabilities), tensor, ids)
        np.exp(probabilities, out=probabilities)
