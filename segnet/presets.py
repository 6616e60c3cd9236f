"""The networks by name: presets, variants of `base`, and both with encoders of other widths."""

from cli import Refusal, one_of
from segnet.rows import (
    BASE,
    COURSE160,
    DENSE_DILATED,
    LARGE,
    MOBILESEG80_CONCAT,
    MOBILESEG80_CRELU,
    MOBILESEG80_SUM,
    MOBILESEG160,
    NANO,
    SMALL,
    TINY,
    Preset,
    mobilenet_v1,
    mobilenet_v2,
)
from segnet.variants import VARIANTS

FAMILY = {"nano": NANO, "small": SMALL, "base": BASE, "large": LARGE}
PRESETS = {
    **FAMILY,
    "tiny": TINY,
    "course160": COURSE160,
    "mobileseg160": MOBILESEG160,
    "mobileseg80_crelu": MOBILESEG80_CRELU,
    "mobileseg80_sum": MOBILESEG80_SUM,
    "mobileseg80_concat": MOBILESEG80_CONCAT,
    "dense_dilated": DENSE_DILATED,
}
WIDEST = 10.0  # width multiplier; published weights go to 1.4

# Encoder families by their names in keras.applications, and the widths it has weights for.
FAMILIES = {
    "MobileNet": (mobilenet_v1, (0.25, 0.5, 0.75, 1.0)),
    "MobileNetV2": (mobilenet_v2, (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
}


def preset(name: str, width: float = 0.0) -> Preset:
    """The preset or variant of `base` called `name`. width: of the encoder, 0 for the preset's own.

    Raises Refusal for an unknown name or a width that cannot be built.
    """
    check_width(width)
    known = VARIANTS if name.startswith("base_") else PRESETS
    found = known[one_of(name, known, "preset")]
    return at_width(found, width, name) if width else found


def check_width(width: float) -> None:
    if not 0 <= width <= WIDEST:
        raise Refusal(
            f"--width is {width:g}; needed: above 0 and at most {WIDEST:g}, "
            "or 0 for the preset's own"
        )


def at_width(preset: Preset, width: float, name: str) -> Preset:
    """`preset` with its encoder at another width of its family.

    CReLU, strides and the decoder stay. Raises Refusal if a row of the encoder is not the family's.
    """
    family, own = preset.pretrained or ("", 0.0)
    make, published = FAMILIES.get(family, (lambda width: (), ()))
    own_rows, new_rows = ({row.name: row for row in make(w)} for w in (own, width))
    encoder = []
    for row in preset.encoder:
        theirs, sizes = own_rows.get(row.name), ("mid", "out")
        if not theirs or any(getattr(row, s, None) != getattr(theirs, s, None) for s in sizes):
            raise Refusal(
                f"{name} has no other widths: its row {row.name} is not one of MobileNet v1 or v2. "
                "Leave out --width, or choose another preset"
            )
        changed = {size: getattr(new_rows[row.name], size, None) for size in sizes}
        encoder.append(row._replace(**{s: c for s, c in changed.items() if hasattr(row, s)}))
    pretrained = (family, width) if width in published else None
    return preset._replace(encoder=tuple(encoder), pretrained=pretrained)
