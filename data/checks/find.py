"""One function a check: the files that have it, and what is with each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from data.checks.exam import Exam
from data.checks.facts import Facts, MaskFacts, PictureFacts
from data.checks.files import WHOLE, fold
from data.checks.readings import STRAY
from data.dataset import SPLITS
from data.labels import VOID

DARK = 32  # of 255, the brightest value of a picture of 16 bits that is nearly black
MUCH_VOID = 0.5  # share of a mask
VOID_SHARE = 0.2  # share of a split
FEW_PICTURES = 5  # of train, below which a class hardly occurs
FEW_PIXELS = 1e-4  # share of train's scored pixels, likewise


class Named(NamedTuple):
    """A file (or "train", "class lip") and what is with it, a predicate; also: files beside it."""

    name: str
    note: str
    also: tuple[str, ...] = ()


def hw(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


# Files


def unnamed(exam: Exam) -> Iterable[Named]:
    if exam.unnamed:
        yield Named("dataset.toml", exam.unnamed)


def missing(exam: Exam) -> Iterable[Named]:
    for path, note in exam.listing.missing:
        yield Named(exam.name(path), note)


def shared(exam: Exam) -> Iterable[Named]:
    for first, *others in exam.listing.shared:
        names = [path.name for path in others]
        note = f"and {' and '.join(names)} share a stem"
        yield Named(exam.name(first), note, tuple(exam.name(path) for path in others))


def lone_pictures(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_pictures:
        yield Named(exam.name(path), "has no mask")


def lone_masks(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_masks:
        yield Named(exam.name(path), "has no picture")


def misnamed(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.misnamed:
        note = f"is the mask of {pair.picture.name} but is not called {pair.picture.stem}.png"
        yield Named(exam.name(pair.mask), note)


def ignored(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.ignored:
        yield Named(exam.name(path), "is of no kind that training reads")


def accents(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.pairs:
        if not pair.picture.name.isascii():
            yield Named(exam.name(pair.picture), "has letters beyond ASCII in its name")


def collisions(exam: Exam) -> Iterable[Named]:
    groups = defaultdict(list)
    for pair in exam.listing.pairs:
        groups[pair.split, fold(pair.picture.stem)].append(pair.picture)
    for first, *others in groups.values():
        for other in others:
            if other.stem != first.stem:
                note = f"and {first.name} differ in case or accents alone"
                yield Named(exam.name(other), note, (exam.name(first),))


# Pictures


def broken_pictures(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.picture.fault:
            yield Named(exam.name(pair.picture), facts.picture.fault)


def pictures_where(test: Callable, note: Callable) -> Callable:
    """The check that names the pictures whose facts pass a test."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.looked:
            if not facts.picture.fault and test(facts.picture):
                yield Named(exam.name(pair.picture), note(facts.picture))

    return find


def bits_words(picture: PictureFacts) -> str:
    if picture.brightest >= DARK:
        return "has 16 bits"
    return f"has 16 bits and is nearly black, at most {picture.brightest} of 255"


def unsure_turns(exam: Exam) -> Iterable[Named]:
    """Pictures that EXIF turns so that sizes cannot tell whether the mask is turned as well."""
    for pair, facts, _ in exam.looked:
        picture = facts.picture
        alike = facts.mask.size == picture.size == picture.raw_size
        if picture.orientation != 1 and not picture.fault and alike:
            yield Named(exam.name(pair.picture), f"has EXIF orientation {picture.orientation}")


# Masks


def broken_masks(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


def modes(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        mask = facts.mask
        if not mask.fault and not mask.coloured and mask.mode not in ("L", "P", "1"):
            yield Named(exam.name(pair.mask), f"is a mask of mode {mask.mode}, all of it grey")


def misfit(facts: Facts) -> str:
    """How the mask's size differs from its picture's: "", "turned", "scaled", "transposed",
    "other"."""
    mask, size, raw = facts.mask.size, facts.picture.size, facts.picture.raw_size
    if facts.mask.fault or facts.picture.fault or mask == size:
        return ""
    if facts.picture.orientation != 1 and mask == raw:
        return "turned"
    if mask == size[::-1]:
        return "transposed"
    if min(mask) < 1:
        return "other"
    # Of a scaled mask each side may be rounded by a pixel.
    low = max((side - 1) / (m + 1) for side, m in zip(size, mask, strict=True))
    high = min((side + 1) / max(m - 1, 0.5) for side, m in zip(size, mask, strict=True))
    return "scaled" if low <= high else "other"


def scale_words(mask: tuple[int, int], size: tuple[int, int]) -> str:
    for small, large, words in ((mask, size, "1/{}"), (size, mask, "{} times")):
        times, rest = divmod(large[0], small[0])
        if not rest and times > 1 and small[1] * times == large[1]:
            return f"exactly {words.format(times)} of it"
    return f"about {mask[0] / size[0]:.3g} times its size"


def misfits(kind: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, _ in exam.looked:
            if misfit(facts) == kind:
                mask, size = facts.mask.size, facts.picture.size
                note = f"is {hw(mask)} (HxW) but its picture {pair.picture.name} is {hw(size)}"
                more = f", {scale_words(mask, size)}" if kind == "scaled" else ""
                yield Named(exam.name(pair.mask), note + more, (exam.name(pair.picture),))

    return find


def masks_read_as(kind: str, note: Callable) -> Callable:
    """The check that names the masks with a reading of this kind."""

    def find(exam: Exam) -> Iterable[Named]:
        for pair, facts, reading in exam.looked:
            if reading.kind == kind and not facts.mask.fault:
                yield Named(exam.name(pair.mask), note(facts.mask))

    return find


def some_values(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:6])
    return f"{shown}, ... ({len(values)} values)" if len(values) > 6 else shown


def some_colours(mask: MaskFacts) -> str:
    return f"{len(mask.values)} {'colours' if mask.coloured else 'grey levels'}"


def smoothed(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.looked:
        if reading.smoothed and not facts.mask.fault:
            how = "is JPEG" if facts.mask.format == "JPEG" else "was smoothed"
            n = len(facts.mask.values)
            yield Named(exam.name(pair.mask), f"{how}: {n} values, the stray ones along edges")


def outside(exam: Exam) -> Iterable[Named]:
    classes = len(exam.dataset.classes)
    for pair, facts, reading in exam.looked:
        if reading.kind != "ids" or reading.smoothed or facts.mask.fault:
            continue
        odd = facts.mask.values[reading.ids == STRAY]
        if len(odd):
            pixels = facts.mask.counts[reading.ids == STRAY].sum() / facts.mask.counts.sum()
            note = f"holds id {odd[0]} but there are {classes} classes (ids 0 to {classes - 1})"
            more = f", {len(odd)} such ids" if len(odd) > 1 else ""
            yield Named(exam.name(pair.mask), f"{note}{more}: {pixels:.2%} of its pixels")


def void(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.looked):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split, f"is {counts[-1] / counts.sum():.0%} void")


def empty(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, reading) in enumerate(exam.looked):
        counts = exam.pixels[index]
        unclear = facts.mask.fault or ((reading.ids == STRAY).any() and not reading.smoothed)
        if not unclear and not counts[1:-1].any():
            first = exam.dataset.classes[0] if exam.dataset.classes else "void"
            note = f"holds nothing but {first}" + (" and void" if counts[-1] and counts[0] else "")
            note = note if counts[0] else "holds nothing but void"
            if len(exam.dataset.classes) == 2 and VOID in facts.mask.values:
                note += f"; if 255 means {exam.dataset.classes[1]} there, write 1"
            yield Named(exam.name(pair.mask), note)


# Classes


def nothing(exam: Exam) -> Iterable[Named]:
    split = "train" if "train" in exam.splits else WHOLE
    rows = exam.pixels[exam.of(split)]
    if len(rows) and len(exam.dataset.classes) > 1 and not rows[:, 1:-1].any():
        yield Named(split, "has no pixel of any class but the first")


def absent(exam: Exam) -> Iterable[Named]:
    counts = exam.pixels.sum(0)
    for index, name in enumerate(exam.dataset.classes if counts.any() else []):
        if not counts[index]:
            yield Named(f"class {name}", f"(id {index}) is in no mask")


def unsplit(exam: Exam) -> Iterable[Named]:
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    for index, name in enumerate(exam.dataset.classes):
        without = [split for split, counts in rows.items() if not counts[:, index].any()]
        if without and len(without) < len(rows):
            yield Named(f"class {name}", f"(id {index}) is missing from {' and '.join(without)}")


def rare(exam: Exam) -> Iterable[Named]:
    """The rarest first."""
    rows = exam.pixels[exam.of("train")]
    pictures, shares = (rows > 0).sum(0), rows.sum(0) / max(1, rows[:, :-1].sum())
    few = min(FEW_PICTURES, len(rows) / 4)
    for index in np.argsort(shares[:-1], kind="stable"):
        count, share = pictures[index], shares[index]
        if count and (count < few or share < FEW_PIXELS):
            name, times = exam.dataset.classes[index], "picture" if count == 1 else "pictures"
            note = f"(id {index}) is in {count} {times} of train, {100 * share:.2g}% of its pixels"
            yield Named(f"class {name}", note)


# The same picture twice


def across(exam: Exam, group: list[int]) -> bool:
    return len({exam.listing.pairs[index].split for index in group}) > 1


def group_named(exam: Exam, group: list[int], verb: str) -> Named:
    """The group under its first training picture's name."""
    order = sorted(group, key=lambda index: SPLITS.index(exam.listing.pairs[index].split)
                   if exam.listing.pairs[index].split in SPLITS else 0)  # fmt: skip
    first, *others = (exam.name(exam.listing.pairs[index].picture) for index in order)
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return Named(first, f"{verb} {others[0]}{more}", tuple(others))


def alike_groups(kind: str, crossing: bool, verb: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for group in getattr(exam.alike, kind):
            if across(exam, group) == crossing:
                yield group_named(exam, group, verb)

    return find


def contradictions(exam: Exam) -> Iterable[Named]:
    for group in exam.alike.same:
        masks = Counter(exam.facts[index].mask.digest for index in group)
        if len(masks) > 1 and not any(exam.facts[index].mask.fault for index in group):
            yield group_named(exam, group, "has another mask than the same picture")
