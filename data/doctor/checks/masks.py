"""Checks of masks."""

from collections.abc import Callable, Iterable

import numpy as np

from data.doctor.checks.check import ERROR, REPLACE, STOPS, WARNING, Check, Named, hw
from data.doctor.exam import Exam, split_name
from data.doctor.facts import Facts, MaskFacts
from data.doctor.readings import STRAY
from data.layout import VOID

MUCH_VOID = 0.5  # a mask with a larger share of void pixels is reported
VOID_SHARE = 0.2  # the same for a split


def broken_masks(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


def modes(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.entries:
        mask = facts.mask
        if not mask.fault and not mask.coloured and mask.mode not in ("L", "P", "1"):
            alpha = ", its shape in the alpha channel alone" if mask.in_alpha else ""
            yield Named(exam.name(pair.mask), f"is stored with image mode {mask.mode}{alpha}")


def misfit(facts: Facts) -> str:
    """How the mask's size differs from its image's: "" (it does not), "turned" (the size before
    EXIF orientation), "scaled" (the same aspect ratio), "transposed" or "other"."""
    mask, size, raw = facts.mask.size, facts.image.size, facts.image.raw_size
    if facts.mask.fault or facts.image.fault or mask == size:
        return ""
    if facts.image.orientation != 1 and mask == raw:
        return "turned"
    if mask == size[::-1]:
        return "transposed"
    if min(mask) < 1:
        return "other"
    # Each side of a scaled mask may be off by one pixel of rounding.
    low = max((side - 1) / (m + 1) for side, m in zip(size, mask, strict=True))
    high = min((side + 1) / max(m - 1, 0.5) for side, m in zip(size, mask, strict=True))
    return "scaled" if low <= high else "other"


def scale_note(mask: tuple[int, int], size: tuple[int, int]) -> str:
    for small, large, form in ((mask, size, "1/{} of"), (size, mask, "{} times")):
        times, rest = divmod(large[0], small[0])
        if not rest and times > 1 and small[1] * times == large[1]:
            return f"exactly {form.format(times)} the image's size"
    return f"about {mask[0] / size[0]:.3g} times the image's size"


def misfits(kind: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.entries:
            if misfit(facts) == kind:
                mask, size = facts.mask.size, facts.image.size
                note = f"is {hw(mask)} (HxW) but its image {pair.image.name} is {hw(size)}"
                more = f", {scale_note(mask, size)}" if kind == "scaled" else ""
                yield Named(exam.name(pair.mask), note + more, (exam.name(pair.image),))

    return find


def masks_read_as(kind: str, note: Callable) -> Callable:
    """The check that names the masks whose values are interpreted in this way (`Reading.kind`)."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, reading in exam.entries:
            if reading.kind == kind and not facts.mask.fault:
                yield Named(exam.name(pair.mask), note(facts.mask))

    return find


def some_values(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:6])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 6 else shown


def ids_note(mask: MaskFacts) -> str:
    return f"contains the values {some_values(mask.values)}"


def some_colours(mask: MaskFacts) -> str:
    return f"{len(mask.values)} {'colours' if mask.coloured else 'grey levels'}"


def smoothed(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.entries:
        if reading.smoothed and not facts.mask.fault:
            how = "is a JPEG file" if facts.mask.format == "JPEG" else "was smoothed"
            note = f"{how}: it has {len(facts.mask.values)} values, with stray ones along edges"
            yield Named(exam.name(pair.mask), note)


def outside(exam: Exam) -> Iterable[Named]:
    classes = len(exam.dataset.classes)
    for pair, facts, reading in exam.entries:
        if reading.kind != "ids" or reading.smoothed or facts.mask.fault:
            continue
        odd = facts.mask.values[reading.ids == STRAY]
        if len(odd):
            pixels = facts.mask.counts[reading.ids == STRAY].sum() / facts.mask.counts.sum()
            note = f"contains {'ids' if len(odd) > 1 else 'id'} {some_values(odd)}"
            known = f"there are {classes} classes (ids 0 to {classes - 1})"
            share = f"{pixels:.2%} of its pixels are affected"
            yield Named(exam.name(pair.mask), f"{note}, but {known}: {share}")


def void(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.entries):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split_name(split), f"is {counts[-1] / counts.sum():.0%} void")


def empty(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, reading) in enumerate(exam.entries):
        counts = exam.pixels[index]
        unclear = facts.mask.fault or ((reading.ids == STRAY).any() and not reading.smoothed)
        if not unclear and not counts[1:-1].any():
            first = exam.dataset.classes[0] if exam.dataset.classes else "void"
            both = " and void" if counts[-1] and counts[0] else ""
            note = f"contains nothing but {first}{both}"
            note = note if counts[0] else "contains nothing but void"
            if len(exam.dataset.classes) == 2 and VOID in facts.mask.values:
                note += f"; if 255 means {exam.dataset.classes[1]} here, replace it with 1"
            yield Named(exam.name(pair.mask), note)


# fmt: off
CHECKS = (
    Check("broken mask", ERROR, "Masks that cannot be read", STOPS, REPLACE, False,
          broken_masks,
          "train/masks/0004.png is damaged"),
    Check("rotated mask", ERROR, "Masks without the EXIF rotation of their image", STOPS,
          "Apply the image's EXIF rotation or mirroring to the mask too.", True,
          misfits("turned"),
          "train/masks/a.png is 96x128 (HxW) but its image a.jpg is 128x96"),
    Check("scaled mask", ERROR, "Masks whose resolution differs from that of their image", STOPS,
          "Resize the mask to the size of its image with nearest-neighbour interpolation.", True,
          misfits("scaled"),
          "train/masks/a.png is 64x64 (HxW) but its image a.png is 128x128, exactly 1/2 of the "
          "image's size"),
    Check("transposed mask", ERROR, "Masks whose height and width are swapped", STOPS,
          "Transpose or rotate the mask, whichever matches the image. --fix leaves the pair out.",
          False, misfits("transposed"),
          "train/masks/a.png is 128x96 (HxW) but its image a.png is 96x128"),
    Check("mask size", ERROR, "Masks whose size and aspect ratio differ from those of their image",
          STOPS,
          "Find the mask that belongs to the image. --fix leaves the pair out.", False,
          misfits("other"),
          "train/masks/a.png is 60x90 (HxW) but its image a.png is 128x128"),
    Check("mask format", ERROR, "Masks that are not 8-bit greyscale or palette images", STOPS,
          "Save the mask with a single 8-bit channel that contains the class ids 0, 1, 2, ...",
          True, modes,
          "train/masks/a.png is stored with image mode RGB"),
    Check("colour mask", ERROR, "Masks that show the classes as colours", STOPS,
          "Replace the colours with class ids. --fix uses the colours in dataset.toml or those of "
          "PASCAL VOC, whichever match.", True,
          masks_read_as("colours", lambda m: f"has {some_colours(m)}"),
          "train/masks/a.png has 4 colours"),
    Check("unknown values", ERROR, "Masks whose colours or grey levels match no class", STOPS,
          "Save the masks with class ids, or list the colour of each class in dataset.toml as "
          "colours = [[r, g, b], ...] and let --fix convert them. Without such a list --fix leaves "
          "the pair out.", False,
          masks_read_as("unknown", lambda m: f"has {some_colours(m)}"),
          "train/masks/a.png has 1024 colours"),
    Check("palette indices", ERROR, "Palette masks whose indices are not the ids of the classes "
          "that their colours show",
          "Training takes the indices for class ids: it learns the wrong classes, or stops.",
          "Replace the indices with class ids. --fix derives them from the colours.", True,
          masks_read_as(
              "palette", lambda m: f"contains the palette indices {some_values(m.values)}"),
          "train/masks/a.png contains the palette indices 2, 3"),
    Check("grey levels", ERROR, "Masks that show the classes as grey levels from 0 to 255",
          "Training treats 255 as void (the ignore index), so it never learns the class shown in "
          "white, and it stops at the grey levels in between.",
          "Replace the grey levels with the class ids 0, 1, 2, ... --fix does this, from black to "
          "white. If the masks contain only 0 and 255, and 255 does mean void, confirm it with "
          "void = 255 in dataset.toml instead.", True,
          masks_read_as("levels", ids_note),
          "train/masks/a.png contains the values 0, 255"),
    Check("off by one", ERROR, "Masks with ids that start at 1 instead of 0",
          "Training learns each class under the name of the next one and stops at the highest id.",
          "Subtract 1 from all ids, as --fix does. If 0 means unlabelled in your masks, replace it "
          "with 255 (void).", True,
          masks_read_as("shifted", ids_note),
          "train/masks/a.png contains the values 1, 2"),
    Check("smoothed mask", ERROR, "Masks with stray values along edges, left by JPEG compression "
          "or smooth resizing",
          "Training learns wrong classes along the edges, or stops at ids that no class has.",
          "Save masks as PNG, and resize them only with nearest-neighbour interpolation. --fix "
          "gives each stray pixel the class of the nearest reliable pixel.", True, smoothed,
          "train/masks/a.png is a JPEG file: it has 31 values, with stray ones along edges"),
    Check("unknown ids", ERROR, "Masks with ids that no class has", STOPS,
          "Add the name of the class to dataset.toml, or declare the id as void (the ignore index) "
          "there, with void = ID. --fix sets these pixels to void.", True, outside,
          "train/masks/a.png contains id 9, but there are 4 classes (ids 0 to 3): 2.10% of its "
          "pixels are affected"),
    Check("empty mask", WARNING, "Masks that contain only the first class or void",
          "The network learns that these images show no other class; from a mask of void alone it "
          "learns nothing.",
          "Annotate the image, or keep the mask if it is correct.", False, empty,
          "train/masks/a.png contains nothing but background"),
    Check("much void", WARNING, "Much that is not scored: masks or splits with large void areas",
          "Void pixels (the ignore index) are neither trained on nor scored.",
          "Annotate more pixels if these areas matter.", False, void,
          "train/masks/a.png is 94% void"),
)
# fmt: on
