"""From rows to a model: one loop, every layer named."""

from cli import Refusal
from segnet import blocks
from segnet.rows import Context, Conv, Head, Inverted, MaxPool, Preset, Sep, Up, fitted


def build(k, preset: Preset, size: tuple[int, int], classes: int, words=blocks, batch=None):
    """A model from (N, H, W, 3), RGB in [-1, 1], to logits (N, H, W, classes).

    k: keras or tf_keras. size: (H, W) in pixels. words: the vocabulary that rows are spelt in,
    `segnet.blocks` for training. Raises Refusal for a size or a number of classes that cannot be.
    """
    check(preset, size, classes)
    x = picture = k.Input((*size, 3), batch_size=batch, name="image")
    outputs = {}
    for row in preset.encoder:
        x = outputs[row.name] = SPELT[type(row)](k, x, row, words, outputs)
    for row in (fitted(row, classes) for row in preset.decoder):
        x = DECODED[type(row)](k, x, row, outputs, words)
    return k.Model(picture, x, name="segnet")


def convolution(k, x, row, words, outputs):
    relu = row.act == "relu"
    x = words.conv(
        k, x, row.name, row.out, row.kernel, row.stride, relu=relu, dilation=row.dilation
    )
    return x if relu else words.hard_swish(k, x, f"{row.name}_swish")


def separable(k, x, row, words, outputs):
    if row.mid and row.mid != x.shape[-1]:
        x = words.conv(k, x, f"{row.name}_dw", row.mid, 3, row.stride, groups=row.mid)
    else:
        depthwise = words.asymmetric if row.asymmetric else words.depthwise
        x = depthwise(k, x, f"{row.name}_dw", row.stride, row.dilation)
    if row.crelu:
        return words.crelu_conv(k, x, f"{row.name}_pw", row.out, row.norm)
    return words.conv(k, x, f"{row.name}_pw", row.out)


def inverted(k, x, row, words, outputs):
    first, relu = x, row.act == "relu"

    def active(x, name):
        return x if relu else words.hard_swish(k, x, f"{name}_swish")

    if row.mid != x.shape[-1]:
        name = f"{row.name}_expand"
        x = outputs[name] = active(words.conv(k, x, name, row.mid, relu=relu), name)
    name = f"{row.name}_depthwise"
    x = words.depthwise(k, x, name, row.stride, kernel=row.kernel, relu=relu)
    x = active(x, name)
    if row.squeeze:
        x = squeeze_excite(k, x, f"{row.name}_squeeze_excite", row.squeeze, words)
    x = words.conv(k, x, f"{row.name}_project", row.out, relu=False)
    if row.stride == 1 and row.out == first.shape[-1]:
        x = words.add(k, [first, x], f"{row.name}_add")
    return x


def squeeze_excite(k, x, name, squeeze, words):
    y = words.pool(k, x, f"{name}_pool")
    y = words.conv(k, y, f"{name}_conv", squeeze, bias=True, norm=False)
    y = words.conv(k, y, f"{name}_conv_1", x.shape[-1], bias=True, norm=False, relu=False)
    return words.multiply(k, [x, words.hard_sigmoid(k, y, f"{name}_gate")], f"{name}_scale")


def context(k, x, row, words, outputs):
    linear = row.join == "sum"
    ends = [
        branch(k, x, f"{row.name}_{number}", steps, linear, words)
        for number, steps in enumerate(row.branches, 1)
    ]
    if linear:
        return words.add(k, ends, f"{row.name}_sum", relu=True)
    return words.concat(k, ends, f"{row.name}_concat")


def branch(k, x, name, steps, linear, words):
    """One branch of a context; `linear`: without a ReLU at its end."""
    for number, step in enumerate(steps, 1):
        here = f"{name}_{number}"
        if isinstance(step, MaxPool):
            x = words.max_pool(k, x, here, step.kernel)
        else:
            relu = number < len(steps) or not linear
            x = words.conv(k, x, here, step.out, step.kernel, relu=relu, dilation=step.dilation)
    return x


# outputs: of the rows so far by name; a row may add what is inside it.
SPELT = {Conv: convolution, Sep: separable, Inverted: inverted, Context: context}


def up(k, x, row, outputs, words):
    normed = row.norm == "bn"
    x = words.deconv(k, x, row.name, row.out, row.kernel, row.norm == "bias", normed, normed)
    if row.skip:
        skip = outputs[row.skip]
        if row.project:
            name = f"{row.name}_skip"
            skip = words.conv(k, skip, name, row.project, norm=normed, relu=normed)
        join = words.concat if row.join == "concat" else words.add
        x = join(k, [x, skip], f"{row.name}_join")
    if row.refine:
        x = words.depthwise(k, x, f"{row.name}_refine_dw")
        name = f"{row.name}_refine_pw"
        x = (
            words.crelu_conv(k, x, name, row.refine, "before")
            if row.crelu
            else words.conv(k, x, name, row.refine)
        )
    return x


def head(k, x, row, outputs, words):
    return words.conv(k, x, row.name, row.out, row.kernel, bias=True, norm=False, relu=False)


DECODED = {Up: up, Head: head}


def check(preset: Preset, size: tuple[int, int], classes: int) -> None:
    if classes < 2:
        raise Refusal(
            f"{classes} class given, at least 2 are needed: name the background as a class of "
            "its own in dataset.toml, classes = ['background', ...]"
        )
    stride = preset.stride
    if any(side < stride or side % stride for side in size):
        near = [max(stride, round(side / stride) * stride) for side in size]
        raise Refusal(
            f"size {size[0]} {size[1]} is not a multiple of the preset's stride {stride}: "
            f"type --size {near[0]} {near[1]}"
        )
