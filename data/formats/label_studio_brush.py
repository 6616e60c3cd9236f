"""Label Studio's run-length encoding of brush strokes.

It is that of thi.ng/rle-pack over the bytes of an RGBA image: 32 bits with the number of bytes, 5
with their size less one, four times 4 with the sizes of run lengths less one. Then, for each run: a
bit that is 1 for a repeated byte, 2 with the index of the size, the length less one, and the byte
or the bytes. The mask is where the fourth channel, opacity, is not 0.
"""

import math
from pathlib import Path

import numpy as np

from cli import Refusal


def decode(packed, shape: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool from a list of bytes. Raises Refusal if it is damaged or of another size."""
    if not isinstance(packed, list) or not all(type(n) is int and 0 <= n < 256 for n in packed):
        raise Refusal(f"{path}: the rle of a brush stroke is not a list of bytes")
    bits = Bits(bytes(packed), path)
    count, size = bits.take(32), bits.take(5) + 1
    if count != 4 * math.prod(shape):
        raise Refusal(
            f"{path}: a brush stroke has {count // 4} pixels, its image {math.prod(shape)}"
        )
    if size != 8:
        raise Refusal(f"{path}: the rle of a brush stroke has words of {size} bits; needed: 8")
    sizes = [bits.take(4) + 1 for _ in range(4)]
    out, at = np.zeros(count, np.uint8), 0
    while at < count:
        repeated = bits.take(1)
        end = at + 1 + bits.take(sizes[bits.take(2)])
        if end > count:
            raise Refusal(f"{path}: the rle of a brush stroke has more bytes than its image")
        if repeated:
            out[at:end] = bits.take(8)
        else:
            out[at:end] = np.frombuffer(bits.take(8 * (end - at)).to_bytes(end - at), np.uint8)
        at = end
    return out.reshape(*shape, 4)[..., 3] != 0


class Bits:
    """Reads numbers of any width from bytes, the highest bit first."""

    def __init__(self, raw: bytes, path: Path):
        self.raw, self.path, self.at = raw, path, 0

    def take(self, width: int) -> int:
        end = self.at + width
        if end > 8 * len(self.raw):
            raise Refusal(f"{self.path}: the rle of a brush stroke is truncated")
        number = int.from_bytes(self.raw[self.at // 8 : -(-end // 8)])
        self.at = end
        return number >> (-end % 8) & ((1 << width) - 1)
