"""Masks whose resolution differs from that of their image."""

from data.doctor.checks.check import ERROR, STOPS, Check
from data.doctor.misfit import misfits


def scale_note(mask: tuple[int, int], size: tuple[int, int]) -> str:
    for small, large, form in ((mask, size, "1/{} of"), (size, mask, "{} times")):
        times, rest = divmod(large[0], small[0])
        if not rest and times > 1 and small[1] * times == large[1]:
            return f", exactly {form.format(times)} the image's size"
    return f", about {mask[0] / size[0]:.3g} times the image's size"


CHECK = Check(
    name="scaled mask",
    rank=ERROR,
    what=__doc__,
    effect=STOPS,
    remedy="Resize the mask to the size of its image with nearest-neighbour interpolation.",
    fixable=True,
    find=misfits("scaled", scale_note),
    example=(
        "train/masks/a.png is 64x64 (HxW) but its image a.png is 128x128, exactly 1/2 of the "
        "image's size"
    ),
)
