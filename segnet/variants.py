"""Variants of `base` with building blocks from the literature, and the functions that make them.

LOG.md has their cost and accuracy; `base` has what proved worth its cost. Every context
row is tried in two places: late, instead of the row of stride 32 (stride 16, 256 channels, 10 to 20
pixels a side for inputs of 160 to 320), and early, after conv3_1 (stride 4, a quarter of the
channels, so that the multiply-accumulates are the same). `base_short` has neither.
"""

from segnet.rows import BASE, Context, MaxPool, Preset, Sep, Step

SHORT = BASE.encoder[:-1]
DILATIONS = {"conv5_3": 2, "conv5_4": 4, "conv5_5": 8}


def refit(encoder: tuple, source: str, preset: Preset = BASE) -> Preset:
    """`preset` with another encoder and as many of its last decoder rows as that encoder needs."""
    fitted = preset._replace(encoder=encoder, source=source)
    stages = fitted.stride.bit_length() - 1  # each doubles the resolution
    return fitted._replace(decoder=preset.decoder[len(preset.decoder) - stages :])


def dilated(preset: Preset, stride: int, source: str) -> Preset:
    """Down-samples to `stride` only; the rows after it are dilated and keep their receptive fields.

    As in DeepLab (Chen et al. 2017). Only for rows that have a dilation.
    """
    rows, reached, dilation = [], 1, 1
    for row in preset.encoder:
        if reached * row.stride <= stride:
            reached *= row.stride
            rows.append(row._replace(dilation=dilation))
        else:
            rows.append(row._replace(dilation=dilation, stride=1))
            dilation *= row.stride
    return refit(tuple(rows), source, preset)


def insert_after(preset: Preset, name: str, row: Context, source: str) -> Preset:
    """`preset` with `row` after the encoder's row `name`; the skips stay where they were."""
    at = [other.name for other in preset.encoder].index(name) + 1
    encoder = (*preset.encoder[:at], row, *preset.encoder[at:])
    return preset._replace(encoder=encoder, source=source)


def asymmetric(preset: Preset, source: str) -> Preset:
    """`preset` with 1x3 and 3x1 added to the depthwise 3x3 of every row of stride 1.

    With stride 2, "same" padding would align them with the 3x3 kernel's border, not its centre.
    """
    encoder = tuple(
        row._replace(asymmetric=True) if isinstance(row, Sep) and row.stride == 1 else row
        for row in preset.encoder
    )
    return preset._replace(encoder=encoder, source=source)


def halved(preset: Preset, names: tuple, source: str) -> Preset:
    """`preset` with CReLU in the encoder rows `names` and in no other."""
    encoder = tuple(
        row._replace(crelu=row.name in names) if isinstance(row, Sep) else row
        for row in preset.encoder
    )
    return preset._replace(encoder=encoder, source=source)


def narrowed(row: Context, times: int) -> Context:
    """`row` with its channels divided by `times`."""
    branches = tuple(
        tuple(s._replace(out=s.out // times) if isinstance(s, Step) else s for s in steps)
        for steps in row.branches
    )
    return row._replace(out=row.out // times, branches=branches)


# For an input of 512 channels; `base` has 256 and takes half of each width. The Inceptions have the
# widths of GoogLeNet's 4c (Szegedy et al. 2015, table 1: 512 channels on 14x14 pixels) and are
# factorised as in Szegedy et al. 2016, figures 5 to 7 (figure 7 in part: only one 3x3 is split, and
# its 1x3 and 3x1 each have a 1x1 reduction of their own).
# fmt: off
CONTEXTS = {
    "inception_naive": (Context("context", 960, (
        (Step(128, 1),),
        (Step(256, 3),),
        (Step(64, 5),),
        (MaxPool(3),),
    )), "parallel 1x1, 3x3, 5x5 and pooling (Szegedy et al. 2015, figure 2a)"),
    "inception_v1": (Context("context", 512, (
        (Step(128, 1),),
        (Step(128, 1), Step(256, 3)),
        (Step(24, 1), Step(64, 5)),
        (MaxPool(3), Step(64, 1)),
    )), "1x1, 3x3, 5x5 and pooling with 1x1 reductions (Szegedy et al. 2015, figure 2b)"),
    "inception_v2": (Context("context", 512, (
        (Step(128, 1),),
        (Step(128, 1), Step(256, 3)),
        (Step(24, 1), Step(64, 3), Step(64, 3)),
        (MaxPool(3), Step(64, 1)),
    )), "5x5 as two 3x3 (Szegedy et al. 2016, figure 5)"),
    "inception_v3_series": (Context("context", 512, (
        (Step(128, 1),),
        (Step(128, 1), Step(256, (1, 3)), Step(256, (3, 1))),
        (Step(24, 1), Step(64, (1, 3)), Step(64, (3, 1)), Step(64, (1, 3)), Step(64, (3, 1))),
        (MaxPool(3), Step(64, 1)),
    )), "3x3 as 1x3 and 3x1 in series (Szegedy et al. 2016, figure 6)"),
    "inception_v3_parallel": (Context("context", 512, (
        (Step(128, 1),),
        (Step(128, 1), Step(128, (1, 3))),
        (Step(128, 1), Step(128, (3, 1))),
        (Step(24, 1), Step(64, 3), Step(64, 3)),
        (MaxPool(3), Step(64, 1)),
    )), "3x3 as 1x3 and 3x1 in parallel (after Szegedy et al. 2016, figure 7)"),
    "seven_series": (Context("context", 512, (
        (),
        (Step(128, 1), Step(128, (1, 7)), Step(128, (7, 1)), Step(512, 1)),
    ), "sum"), "7x7 as 1x7 and 7x1, in a bottleneck"),
    "seven_threes": (Context("context", 512, (
        (),
        (Step(128, 1), Step(128, 3), Step(128, 3), Step(128, 3), Step(512, 1)),
    ), "sum"), "7x7 as three 3x3, in a bottleneck"),
    "bottleneck": (Context("context", 512, (
        (),
        (Step(128, 1), Step(128, 3), Step(512, 1)),
    ), "sum"), "512-128-128-512 added to the input (He et al. 2016, table 1, conv3_x)"),
    "pyramid": (Context("context", 512, (
        (Step(128, 1), Step(128, 3, 1)),
        (Step(128, 1), Step(128, 3, 2)),
        (Step(128, 1), Step(128, 3, 4)),
        (Step(128, 1), Step(128, 3, 8)),
    )), "dilations 1, 2, 4, 8 in parallel (after Chen et al. 2017)"),
}
# fmt: on

LATE = {
    f"base_{name}": refit((*SHORT, narrowed(row, 2)), source)
    for name, (row, source) in CONTEXTS.items()
}
EARLY = {
    f"base_early_{name}": insert_after(BASE, "conv3_1", narrowed(row, 8), source)
    for name, (row, source) in CONTEXTS.items()
}
LINEAR = tuple(row._replace(norm="bias") for row in BASE.decoder)
ALONE = tuple(row._replace(skip=None, project=0) for row in BASE.decoder)
MIDDLE = tuple(f"conv5_{i}" for i in range(1, 7))
VARIANTS = {
    "base_crelu_none": halved(BASE, (), "without CReLU"),
    "base_crelu_all": halved(BASE, MIDDLE, "CReLU in all blocks of stride 16 and 32"),
    "base_linear": BASE._replace(decoder=LINEAR, source="no norm and no ReLU in the decoder"),
    "base_alone": BASE._replace(decoder=ALONE, source="five deconvolutions without skips"),
    "base_short": refit(SHORT, "base without its block of stride 32"),
    "base_dilated1248": refit(
        tuple(
            row._replace(dilation=DILATIONS[row.name]) if row.name in DILATIONS else row
            for row in SHORT
        ),
        "dilations 1, 2, 4, 8 instead of the block of stride 32",
    ),
    "base_dilated16": dilated(BASE, 16, "dilation 2 instead of the last down-sampling"),
    "base_dilated8": dilated(BASE, 8, "dilations 2 and 4 instead of the last two down-samplings"),
    "base_asymmetric": asymmetric(BASE, "1x3 and 3x1 added to the 3x3 (Ding et al. 2019)"),
    **LATE,
    **EARLY,
}
