"""Steadier masks of videos; the kit's segment.py has these lines too, see export.kit.render."""

import cv2
import numpy as np


class Smooth:
    """Favours the class of the frame before where the image stands still, against flicker.

    hold: by how much another class's logit must be larger to replace it; 1 is odds of 2.7 to 1.
    byte_step: the step in the input tensor that corresponds to 1 in a byte of the image.
    logit_step: the difference of logits that corresponds to 1 in the output tensor.
    """

    MOVED = 20  # of 255: the change of green from which on a pixel does not stand still
    CUT = 40  # of 255: the mean change of green from which on nothing is favoured

    def __init__(self, hold=1.0, byte_step=1 / 127.5, logit_step=1.0):
        self.hold = hold / logit_step
        self.scale = np.float32(1 / byte_step)
        self.before = None  # the green channel of the frame before

    def add(self, logits, tensor, ids):
        """Adds to the logits (H, W, C), float32, in place.

        tensor: the input (1, H, W, 3) that they are of. ids: the classes (H, W) of the frame
        before, as they came of its logits after this; of the first frame they do not count.
        """
        if self.before is None:
            self.before, self.now = np.full((2, *logits.shape[:2]), np.inf, np.float32)
            self.change = np.empty_like(self.now)
            self.first = np.arange(0, logits.size, logits.shape[-1])
        self.before, self.now = self.now, self.before
        np.multiply(tensor[0, ..., 1], self.scale, out=self.now)
        change = np.subtract(self.now, self.before, out=self.change)  # infinite at first
        if cv2.norm(change, cv2.NORM_L1) > self.CUT * change.size:
            return
        still = cv2.blur(change, (3, 3), dst=change, borderType=cv2.BORDER_REPLICATE)
        still *= still
        still *= -self.hold / self.MOVED**2
        still += self.hold
        np.maximum(still, 0, out=still)
        logits.reshape(-1)[self.first + ids.ravel()] += still.ravel()
