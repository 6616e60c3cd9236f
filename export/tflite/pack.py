"""Serialises the object tree of a .tflite and writes equal vectors only once."""

import flatbuffers
import numpy as np

ALIGNED = 16  # bytes: the schema's alignment of tensor data, which the generated code ignores


class Sharing(flatbuffers.Builder):
    """A builder whose equal vectors share one offset, which readers follow as any other.

    Most shared vectors are zero points: 8 bytes, all 0, for each channel of weights and biases,
    a tenth of a small int8 file.
    """

    def __init__(self, size: int):
        super().__init__(size)
        self.written = {}

    def CreateNumpyVector(self, x):
        key = x.dtype.str, x.tobytes()
        if key not in self.written:
            if x.dtype == np.uint8:
                self.Prep(ALIGNED, x.nbytes)
            self.written[key] = super().CreateNumpyVector(x)
        return self.written[key]


def pack(tree) -> bytes:
    """The bytes of `tree`, a `ModelT` of the .tflite schema."""
    builder = Sharing(1 << 20)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
