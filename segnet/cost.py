"""Parameters, multiply-accumulates and activation bytes of a preset, from its rows alone.

Multiply-accumulates are kernel area x Cin / groups x Cout per output pixel of a convolution and per
input pixel of a deconvolution; norms and activations count none. Activation bytes are the float32
bytes of the tensors that convolutions, deconvolutions, poolings and joins write. Parameters are the
trainable ones; the other two count an asymmetric block as the single kernel that it is merged into
for deployment.
"""

from typing import NamedTuple

from segnet.build import check
from segnet.rows import Context, Conv, Head, Inverted, MaxPool, Preset, Sep, Up, fitted

FLOAT_BYTES = 4


class Cost(NamedTuple):
    parameters: int
    macs: int
    activation_bytes: int

    def __add__(self, other):
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Cost(0, 0, 0)


def conv(pixels: int, cin: int, cout: int, kernel=1, groups: int = 1, extra: int = 0) -> Cost:
    """pixels: H x W of the output. kernel: side, or (h, w).

    extra: further trainable parameters per channel (batch norm 2, bias 1).
    """
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    weights = height * width * (cin // groups) * cout
    return Cost(weights + extra * cout, weights * pixels, pixels * cout * FLOAT_BYTES)


def deconv(pixels: int, cin: int, cout: int, kernel: int, extra: int = 0) -> Cost:
    """pixels: H x W of the input; stride 2."""
    weights = kernel * kernel * cin * cout
    return Cost(weights + extra * cout, weights * pixels, 4 * pixels * cout * FLOAT_BYTES)


def joined(pixels: int, channels: int) -> Cost:
    return Cost(0, 0, pixels * channels * FLOAT_BYTES)


def pointwise(pixels: int, cin: int, out: int, crelu: bool, norm: str = "before") -> Cost:
    if not crelu:
        return conv(pixels, cin, out, extra=2)
    doubled = Cost(0, 0, pixels * out * FLOAT_BYTES)
    if norm == "before":
        return conv(pixels, cin, out // 2, extra=2) + doubled
    return conv(pixels, cin, out // 2) + doubled + Cost(2 * out, 0, 0)


# The cost of an encoder row. pixels, cin: H x W and channels of its input.


def convolution(row, pixels: int, cin: int) -> Cost:
    return conv(pixels // row.stride**2, cin, row.out, row.kernel, extra=2)


def separable(row, pixels: int, cin: int) -> Cost:
    pixels, mid = pixels // row.stride**2, row.mid or cin
    depthwise = conv(pixels, cin, mid, 3, groups=mid, extra=2)
    if row.asymmetric:
        depthwise += Cost(2 * conv(pixels, cin, mid, (1, 3), groups=mid, extra=2).parameters, 0, 0)
    return depthwise + pointwise(pixels, mid, row.out, row.crelu, row.norm)


def inverted(row, pixels: int, cin: int) -> Cost:
    cost = NOTHING if row.mid == cin else conv(pixels, cin, row.mid, extra=2)
    pixels //= row.stride**2
    cost += conv(pixels, row.mid, row.mid, 3, groups=row.mid, extra=2)
    cost += conv(pixels, row.mid, row.out, extra=2)
    return cost + joined(pixels, row.out) if row.stride == 1 and row.out == cin else cost


def context(row, pixels: int, cin: int) -> Cost:
    return sum((branch(steps, pixels, cin) for steps in row.branches), joined(pixels, row.out))


def branch(steps: tuple, pixels: int, cin: int) -> Cost:
    cost = NOTHING
    for step in steps:
        if isinstance(step, MaxPool):
            cost += joined(pixels, cin)
        else:
            cost += conv(pixels, cin, step.out, step.kernel, extra=2)
            cin = step.out
    return cost


ENCODER_COSTS = {Conv: convolution, Sep: separable, Inverted: inverted, Context: context}


# The cost of a decoder row, with the pixels and channels of its output. channels: of each encoder
# row, by name.


def up(row, pixels: int, cin: int, channels: dict) -> tuple[Cost, int, int]:
    extra = {"bn": 2, "bias": 1, "linear": 0}[row.norm]
    cost = deconv(pixels, cin, row.out, row.kernel, extra)
    pixels, cin = pixels * 4, row.out
    if row.skip:
        skip = channels[row.skip]
        if row.project:
            cost += conv(pixels, skip, row.project, extra=2 if row.norm == "bn" else 0)
            skip = row.project
        cin = row.out + skip if row.join == "concat" else row.out
        cost += joined(pixels, cin)
    if row.refine:
        cost += conv(pixels, cin, cin, 3, groups=cin, extra=2)
        cost += pointwise(pixels, cin, row.refine, row.crelu)
        cin = row.refine
    return cost, pixels, cin


def head(row, pixels: int, cin: int, channels: dict) -> tuple[Cost, int, int]:
    return conv(pixels, cin, row.out, row.kernel, extra=1), pixels, row.out


DECODER_COSTS = {Up: up, Head: head}


def stages(preset: Preset, size: tuple[int, int], classes: int) -> dict[str, Cost]:
    """Cost by row name, in order. Raises Refusal for what `segnet.build.build` refuses."""
    check(preset, size, classes)
    costs, channels = {}, {}
    pixels, cin = size[0] * size[1], 3
    for row in preset.encoder:
        costs[row.name] = ENCODER_COSTS[type(row)](row, pixels, cin)
        if isinstance(row, Inverted):
            channels[f"{row.name}_expand"] = row.mid
        pixels //= row.stride**2
        channels[row.name] = cin = row.out
    for row in (fitted(row, classes) for row in preset.decoder):
        costs[row.name], pixels, cin = DECODER_COSTS[type(row)](row, pixels, cin, channels)
    return costs


def total(costs: dict[str, Cost]) -> Cost:
    return sum(costs.values(), NOTHING)
