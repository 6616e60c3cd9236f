"""The tree of a flatbuffer back to bytes, with equal vectors written once."""

import flatbuffers
import numpy as np

ALIGNED = 16  # bytes, of a tensor's data, as the schema demands; the generated code does not


class Sharing(flatbuffers.Builder):
    """Readers follow offsets and do not mind that two of them meet.

    Most of what is shared are zero points: 8 bytes for each channel of weights and of biases, all
    of them 0, which are a tenth of a small int8 file.
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
    """tree: a `ModelT` of the .tflite schema."""
    builder = Sharing(1 << 20)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
