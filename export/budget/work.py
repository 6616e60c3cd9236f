"""The work of each operator of a network, from its .tflite or from the rows of its preset.

For rows, `WorkOps` takes the place of the functions that make layers: it builds nothing and records
the operators of the deploy graph in its default lowering. A thousand networks take a second.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from export.tflite.inspect import Operator, operators, size
from segnet.build import build
from segnet.rows import Preset

IMAGE = 3  # channels
CONVOLUTIONS = ("CONV_2D", "TRANSPOSE_CONV")
INT8_BORDERS = ("QUANTIZE", "DEQUANTIZE")  # of the uint8 image, and to float logits


class Work(NamedTuple):
    """One operator. kind: "stem" (a convolution of three channels), "pointwise", "convolution",
    "depthwise", or the name in the schema, as CONCATENATION.

    reads, writes: number of input and output values, without weights. channels: of the output.
    taps: kernel weights that contribute to one output value, 0 without a kernel.
    """

    name: str
    kind: str
    reads: int
    writes: int
    channels: int
    taps: int = 0


def of_file(content: bytes) -> list[Work]:
    """In execution order, without operators that only unpack weights. Raises Refusal."""
    steps = operators(content)
    return [of_operator(steps[i]) for i in running(content)]


def running(content: bytes) -> list[int]:
    """Indices of the operators that run; the others unpack weights when the file is loaded."""
    steps = operators(content)
    return [i for i, step in enumerate(steps) if step.outputs[0].role != "constant"]


def of_operator(step: Operator) -> Work:
    given = [t for t in step.inputs if t is not None and t.role != "constant"]
    made = step.outputs[0]
    reads = sum(size(tensor) for tensor in given)
    kind, taps = step.name, 0
    if kind == "DEPTHWISE_CONV_2D":
        kind, taps = "depthwise", math.prod(step.inputs[1].shape[1:3])
    elif kind in CONVOLUTIONS:
        _, *area, cin = step.inputs[1].shape
        kind = convolution_kind(given[0].shape[-1], math.prod(area))
        taps = math.prod(area) * cin
    return Work(step.layer, kind, reads, size(made), made.shape[-1], taps)


def convolution_kind(cin: int, area: int) -> str:
    """cin: channels of the input, over all groups. area: of the kernel."""
    return "stem" if cin == IMAGE else "pointwise" if area == 1 else "convolution"


def of_rows(preset: Preset, size: tuple[int, int], classes: int, recipe: str) -> list[Work]:
    """The works of a preset's deploy graph in a recipe's types, each named after its layer.

    Raises Refusal for an invalid size or number of classes.
    """
    ops = WorkOps()
    build(ops, preset, size, classes, ops)
    if recipe == "int8":
        first, last = INT8_BORDERS
        image, logits = math.prod(size) * IMAGE, ops.works[-1].writes
        ops.works.insert(0, Work("input", first, image, image, IMAGE))
        ops.works.append(Work("output", last, logits, logits, classes))
    return ops.works


class Shape(NamedTuple):
    """Takes the place of a tensor. shape: (H, W, C)."""

    shape: tuple[int, int, int]


@dataclass
class WorkOps:
    """Takes the place of `segnet.blocks`, and of Keras' Input and Model; records the works."""

    works: list[Work] = field(default_factory=list)

    def Input(self, shape, batch_size, name):
        return Shape(shape)

    def Model(self, first, last, name):
        return None

    def note(self, name, kind, inputs, shape, taps=0):
        reads = sum(math.prod(x.shape) for x in inputs)
        self.works.append(Work(name, kind, reads, math.prod(shape), shape[-1], taps))
        return Shape(shape)

    def conv(self, k, x, name, out, kernel=1, stride=1, dilation=1, norm="bn", relu=True):
        height, width, cin = x.shape
        area = math.prod(kernel) if isinstance(kernel, tuple) else kernel**2
        shape = (-(-height // stride), -(-width // stride), out)
        return self.note(name, convolution_kind(cin, area), [x], shape, area * cin)

    def grouped(self, k, x, name, out, stride=1):
        height, width, cin = x.shape
        shape = (-(-height // stride), -(-width // stride), out)
        return self.note(name, convolution_kind(cin, 9), [x], shape, 9 * cin // out)

    def depthwise(self, k, x, name, stride=1, dilation=1, kernel=3, relu=True):
        height, width, channels = x.shape
        shape = (-(-height // stride), -(-width // stride), channels)
        return self.note(name, "depthwise", [x], shape, kernel**2)

    asymmetric = depthwise  # its three kernels are merged

    def crelu_conv(self, k, x, name, out, norm):
        if norm == "after":
            return self.conv(k, x, name, out)
        half = self.conv(k, x, name, out // 2)
        pair = self.note(f"{name}_crelu", "CONCATENATION", [half, half], (*half.shape[:2], out))
        return self.note(f"{name}_crelu_relu", "MUL", [pair], pair.shape)

    def deconv(self, k, x, name, out, kernel, norm="bn", relu=True):
        height, width, cin = x.shape
        side = kernel // 2
        border = side - 1
        if border:
            padded = (height + 2 * border, width + 2 * border, cin)
            x = self.note(f"{name}_pad", "PAD", [x], padded)
        shape = (height + border, width + border, 4 * out)
        x = self.note(name, convolution_kind(cin, side**2), [x], shape, side**2 * cin)
        large = (2 * shape[0], 2 * shape[1], out)
        x = self.note(f"{name}_space", "DEPTH_TO_SPACE", [x], large)
        if border:
            large = (2 * height, 2 * width, out)
            x = self.note(f"{name}_crop", "STRIDED_SLICE", [x], large)
        return x

    def concat(self, k, tensors, name):
        channels = sum(x.shape[-1] for x in tensors)
        return self.note(name, "CONCATENATION", tensors, (*tensors[0].shape[:2], channels))

    def add(self, k, tensors, name, relu=False):
        """Two tensors at a time, as the converter writes it."""
        first, *rest = tensors
        for other in rest:
            first = self.note(name, "ADD", [first, other], first.shape)
        return first

    def max_pool(self, k, x, name, kernel):
        return self.note(name, "MAX_POOL_2D", [x], x.shape)
