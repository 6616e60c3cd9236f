"""Builds a Keras model from the rows of a preset; every layer has a name."""

from cli import Refusal
from segnet import blocks
from segnet.rows import Context, Conv, Head, Inverted, MaxPool, Preset, Sep, Up, fitted


def build(k, preset: Preset, size: tuple[int, int], classes: int, ops=blocks, batch=None):
    """A model from images (N, H, W, 3), RGB in [-1, 1], to logits (N, H, W, classes).

    k: keras or tf_keras. size: (H, W) in pixels. ops: the operations that rows are built with,
    `segnet.blocks` for training. Raises Refusal for an invalid size or number of classes.
    """
    check(preset, size, classes)
    x = image = k.Input((*size, 3), batch_size=batch, name="image")
    outputs = {}
    for row in preset.encoder:
        x = outputs[row.name] = ENCODER_BUILDERS[type(row)](k, x, row, ops, outputs)
    for row in (fitted(row, classes) for row in preset.decoder):
        x = DECODER_BUILDERS[type(row)](k, x, row, outputs, ops)
    return k.Model(image, x, name="segnet")


def convolution(k, x, row, ops, outputs):
    return ops.conv(k, x, row.name, row.out, row.kernel, row.stride, dilation=row.dilation)


def separable(k, x, row, ops, outputs):
    if row.mid and row.mid != x.shape[-1]:
        x = ops.grouped(k, x, f"{row.name}_dw", row.mid, row.stride)
    else:
        depthwise = ops.asymmetric if row.asymmetric else ops.depthwise
        x = depthwise(k, x, f"{row.name}_dw", row.stride, row.dilation)
    if row.crelu:
        return ops.crelu_conv(k, x, f"{row.name}_pw", row.out, row.norm)
    return ops.conv(k, x, f"{row.name}_pw", row.out)


def inverted(k, x, row, ops, outputs):
    first = x
    if row.mid != x.shape[-1]:
        name = f"{row.name}_expand"
        x = outputs[name] = ops.conv(k, x, name, row.mid)
    x = ops.depthwise(k, x, f"{row.name}_depthwise", row.stride)
    x = ops.conv(k, x, f"{row.name}_project", row.out, relu=False)
    if row.stride == 1 and row.out == first.shape[-1]:
        x = ops.add(k, [first, x], f"{row.name}_add")
    return x


def context(k, x, row, ops, outputs):
    linear = row.join == "sum"
    ends = [
        branch(k, x, f"{row.name}_{number}", steps, linear, ops)
        for number, steps in enumerate(row.branches, 1)
    ]
    if linear:
        return ops.add(k, ends, f"{row.name}_sum", relu=True)
    return ops.concat(k, ends, f"{row.name}_concat")


def branch(k, x, name, steps, linear, ops):
    """One branch of a context. linear: whether its last convolution has no ReLU."""
    for number, step in enumerate(steps, 1):
        here = f"{name}_{number}"
        if isinstance(step, MaxPool):
            x = ops.max_pool(k, x, here, step.kernel)
        else:
            relu = number < len(steps) or not linear
            x = ops.conv(k, x, here, step.out, step.kernel, relu=relu, dilation=step.dilation)
    return x


# outputs: tensor by name of each row so far; a builder may add tensors from inside its row.
ENCODER_BUILDERS = {Conv: convolution, Sep: separable, Inverted: inverted, Context: context}


def up(k, x, row, outputs, ops):
    normed = row.norm == "bn"
    x = ops.deconv(k, x, row.name, row.out, row.kernel, row.norm, normed)
    if row.skip:
        skip = outputs[row.skip]
        if row.project:
            name = f"{row.name}_skip"
            norm = "bn" if normed else "linear"
            skip = ops.conv(k, skip, name, row.project, norm=norm, relu=normed)
        join = ops.concat if row.join == "concat" else ops.add
        x = join(k, [x, skip], f"{row.name}_join")
    if row.refine:
        x = ops.depthwise(k, x, f"{row.name}_refine_dw")
        name = f"{row.name}_refine_pw"
        x = (
            ops.crelu_conv(k, x, name, row.refine, "before")
            if row.crelu
            else ops.conv(k, x, name, row.refine)
        )
    return x


def head(k, x, row, outputs, ops):
    return ops.conv(k, x, row.name, row.out, row.kernel, norm="bias", relu=False)


DECODER_BUILDERS = {Up: up, Head: head}


def check(preset: Preset, size: tuple[int, int], classes: int) -> None:
    if classes < 2:
        raise Refusal(
            f"the number of classes is {classes}; needed: at least 2. Name the background as a "
            "class of its own in dataset.toml: classes = ['background', ...]"
        )
    stride = preset.stride
    if any(side < stride or side % stride for side in size):
        near = [max(stride, round(side / stride) * stride) for side in size]
        raise Refusal(
            f"size {size[0]} {size[1]} is not a multiple of the preset's stride {stride}: "
            f"type --size {near[0]} {near[1]}"
        )
