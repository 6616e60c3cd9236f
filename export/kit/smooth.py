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
        self.before = None  # the green channel of the frame before, with a border

    def add(self, logits, tensor, ids):
        """Adds to the logits (H, W, C), float32, in place, to whole blocks.

        tensor: the input (1, H, W, 3) that they are of. ids: the classes (H, W), uint8, of the
        frame before, as they came of its logits after this; of the first frame they do not count.
        """
        if first := self.before is None:
            self.allocate(*logits.shape)
        self.green = cv2.extractChannel(tensor[0], 1, dst=self.green)
        zero = 0 if tensor.dtype == np.uint8 else 127.5
        cv2.convertScaleAbs(self.green, dst=self.bytes, alpha=self.scale, beta=zero)
        self.now[...] = self.bytes
        slopes, self.slopes = self.slopes, self.sloping()
        if not first:
            self.follow(ids, self.shifts(slopes))
            self.favour(logits)
        self.before = self.bordered(self.now, self.before)

    def allocate(self, height, width, classes):
        whole = [side - side % self.BLOCK for side in (height, width)]
        self.now, self.still = np.empty((height, width), np.float32), np.empty(whole, np.float32)
        self.change = np.empty((-(-height // self.SKIP), width), np.float32)
        self.bytes, self.ids = np.empty((2, height, width), np.uint8)
        self.green = self.bordered_ids = None
        self.first = np.arange(0, height * width * classes, classes).reshape(height, width)
        self.index = self.first.copy()
        self.reach, self.parts, self.belongs, self.around = [], [], [], []
        for side in (height, width):
            tile = -(-side // (self.TILES * self.BLOCK)) * self.BLOCK
            steps = np.arange(-(side // 32), side // 32 + 1)[:, None]
            self.reach.append(side // 32)
            self.parts.append([slice(at, min(at + tile, side)) for at in range(0, side, tile)])
            self.around.append(np.clip(np.arange(side) + steps, 0, side - 1))
            which = np.arange(side) // tile
            self.belongs.append(np.float32(which[:, None] == np.arange(which[-1] + 1)))
        self.slopes = None

    def bordered(self, image, out):
        """The image with its edges repeated as far as a tile may move."""
        top, left = self.reach
        return cv2.copyMakeBorder(image, top, top, left, left, cv2.BORDER_REPLICATE, dst=out)

    def sloping(self):
        """The sums of green across each strip of tiles, less those two pixels before: along
        columns (strips, H), along rows (strips, W)."""
        found = []
        for sums in ((self.now @ self.belongs[1]).T, self.belongs[0].T @ self.now):
            slopes = sums - sums[:, :1]
            slopes[:, 2:] -= sums[:, :-2] - sums[:, :1]
            found.append(slopes)
        return found

    def shifts(self, before):
        """[y, x]: where each tile was in the frame before, in lists (strips, tiles) of pixels."""
        found = []
        for now, then, around, belongs in zip(
            self.slopes, before, self.around, self.belongs, strict=True
        ):
            off = then.take(around, axis=1, mode="clip")
            off -= now[:, None]
            sums = np.abs(off, out=off) @ belongs
            reach = len(around) // 2
            sums[:, reach] -= 0.5  # they are whole: of equal ones that of no movement
            found.append((sums.argmin(1) - reach).tolist())
        return found

    def follow(self, ids, shifts):
        """Writes what every pixel was in the frame before: `ids`, and `change` of its green."""
        self.bordered_ids = self.bordered(ids, self.bordered_ids)
        for y, rows in enumerate(self.parts[0]):
            for x, columns in enumerate(self.parts[1]):
                down, right = self.reach[0] + shifts[0][x][y], self.reach[1] + shifts[1][y][x]
                there = slice(columns.start + right, columns.stop + right)
                top, end, skip = rows.start, rows.stop, self.SKIP
                np.subtract(
                    self.now[top:end:skip, columns],
                    self.before[top + down : end + down : skip, there],
                    out=self.change[top // skip : -(-end // skip), columns],
                )
                self.ids[rows, columns] = self.bordered_ids[top + down : end + down, there]

    def favour(self, logits):
        height, width = self.still.shape
        size = width // self.BLOCK, height // self.BLOCK
        change = self.change[: height // self.SKIP, :width]
        still = cv2.resize(change, size, interpolation=cv2.INTER_AREA)
        if cv2.norm(still, cv2.NORM_L1) > self.CUT * still.size:
            return
        still *= still
        still *= -self.hold / self.MOVED**2
        still += self.hold
        np.maximum(still, 0, out=still)
        cv2.resize(still, (width, height), dst=self.still, interpolation=cv2.INTER_NEAREST)
        np.add(self.first, self.ids, out=self.index)
        np.add.at(logits.reshape(-1), self.index[:height, :width].ravel(), self.still.ravel())
