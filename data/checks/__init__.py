"""What can be wrong with a dataset: a table of checks over what one look at every file told."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.checks.alike import Alike, find_alike
from data.checks.facts import Facts, MaskFacts, PictureFacts
from data.checks.files import WHOLE, Listing, Pair, fold
from data.checks.readings import STRAY, Reading
from data.dataset import SPLITS, Dataset
from data.labels import VOID

ERROR, REMARK = "error", "remark"
TINY = 16  # pixels, a side below which a picture is too small to show anything
DARK = 32  # of 255, the brightest value of a picture of 16 bits that is nearly black
MUCH_VOID = 0.5  # share of a mask
VOID_SHARE = 0.2  # share of a split
FEW_PICTURES = 5  # of train, below which a class hardly occurs
FEW_PIXELS = 1e-4  # share of train's scored pixels, likewise
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Named(NamedTuple):
    """A file (or "train", "class lip") and what is with it, a predicate; also: files beside it."""

    name: str
    note: str
    also: tuple[str, ...] = ()


class Finding(NamedTuple):
    """effect: what training would do with it. fixable: whether --fix repairs it; errors that it
    cannot repair it leaves out."""

    check: str
    rank: str
    files: list[Named]
    what: str
    effect: str
    remedy: str
    fixable: bool


@dataclass
class Exam:
    """All that is known of a dataset. unnamed: why its class names are guessed, "" if they are
    its own. facts, readings: one a pair of the listing."""

    folder: Path
    dataset: Dataset
    unnamed: str
    listing: Listing
    facts: list[Facts] = field(repr=False)
    readings: list[Reading] = field(repr=False)

    def name(self, path: Path) -> str:
        """As printed: below the folder; bytes that are no text, and control characters, escaped."""
        name = os.fsencode(path.relative_to(self.folder).as_posix())
        return CONTROL.sub("?", name.decode("utf-8", "backslashreplace"))

    @property
    def looked(self) -> Iterator[tuple[Pair, Facts, Reading]]:
        return zip(self.listing.pairs, self.facts, self.readings, strict=True)

    @cached_property
    def alike(self) -> Alike:
        return find_alike([facts.picture for facts in self.facts])

    @cached_property
    def pixels(self) -> np.ndarray:
        """Pixels of each class in each pair, (N, C + 1) int64, void last; 0 where it is broken."""
        counts = np.zeros((len(self.facts), len(self.dataset.classes) + 1), np.int64)
        for row, facts, reading in zip(counts, self.facts, self.readings, strict=True):
            ids = np.where(reading.ids == VOID, len(row) - 1, reading.ids)
            np.add.at(row, ids[ids != STRAY], facts.mask.counts[ids != STRAY])
        return counts

    @property
    def splits(self) -> list[str]:
        held = {pair.split for pair in self.listing.pairs}
        return [split for split in (*SPLITS, WHOLE) if split in held]

    def of(self, split: str) -> np.ndarray:
        """Positions of a split's pairs whose files can both be read."""
        return np.array(
            [
                index
                for index, (pair, facts, _) in enumerate(self.looked)
                if pair.split == split and not (facts.picture.fault or facts.mask.fault)
            ],
            int,
        )


def findings(exam: Exam) -> list[Finding]:
    """What the checks find, errors first, then in the table's order."""
    found = []
    for check in CHECKS:
        files = list(check.find(exam))
        if files:
            found.append(
                Finding(check.name, check.rank, files, check.what, check.effect, check.remedy,
                        check.fixable)
            )  # fmt: skip
    return sorted(found, key=lambda finding: finding.rank != ERROR)


def advice(finding: Finding) -> str:
    """The remedy, and what --fix does where the remedy does not say it."""
    if "--fix" in finding.remedy:
        return finding.remedy
    return f"{finding.remedy}; --fix {'does' if finding.fixable else 'leaves it as it is'}"


def hw(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


# Files


def find_unnamed(exam: Exam) -> Iterable[Named]:
    if exam.unnamed:
        yield Named("dataset.toml", exam.unnamed)


def find_missing(exam: Exam) -> Iterable[Named]:
    for path, note in exam.listing.missing:
        yield Named(exam.name(path), note)


def find_shared(exam: Exam) -> Iterable[Named]:
    for first, *others in exam.listing.shared:
        names = [path.name for path in others]
        note = f"and {' and '.join(names)} share a stem"
        yield Named(exam.name(first), note, tuple(exam.name(path) for path in others))


def find_lone_pictures(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_pictures:
        yield Named(exam.name(path), "has no mask")


def find_lone_masks(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.lone_masks:
        yield Named(exam.name(path), "has no picture")


def find_misnamed(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.misnamed:
        note = f"is the mask of {pair.picture.name} but is not called {pair.picture.stem}.png"
        yield Named(exam.name(pair.mask), note)


def find_ignored(exam: Exam) -> Iterable[Named]:
    for path in exam.listing.ignored:
        yield Named(exam.name(path), "is of no kind that training reads")


def find_accents(exam: Exam) -> Iterable[Named]:
    for pair in exam.listing.pairs:
        if not pair.picture.name.isascii():
            yield Named(exam.name(pair.picture), "has letters beyond ASCII in its name")


def find_collisions(exam: Exam) -> Iterable[Named]:
    groups = defaultdict(list)
    for pair in exam.listing.pairs:
        groups[pair.split, fold(pair.picture.stem)].append(pair.picture)
    for first, *others in groups.values():
        for other in others:
            if other.stem != first.stem:
                note = f"and {first.name} differ in case or accents alone"
                yield Named(exam.name(other), note, (exam.name(first),))


# Pictures


def find_broken_pictures(exam: Exam) -> Iterable[Named]:
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


def find_unsure_turns(exam: Exam) -> Iterable[Named]:
    """Pictures that EXIF turns so that sizes cannot tell whether the mask is turned as well."""
    for pair, facts, _ in exam.looked:
        picture = facts.picture
        alike = facts.mask.size == picture.size == picture.raw_size
        if picture.orientation != 1 and not picture.fault and alike:
            yield Named(exam.name(pair.picture), f"has EXIF orientation {picture.orientation}")


# Masks


def find_broken_masks(exam: Exam) -> Iterable[Named]:
    for pair, facts, _ in exam.looked:
        if facts.mask.fault:
            yield Named(exam.name(pair.mask), facts.mask.fault)


def find_modes(exam: Exam) -> Iterable[Named]:
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


def find_misfits(kind: str) -> Callable:
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


def find_smoothed(exam: Exam) -> Iterable[Named]:
    for pair, facts, reading in exam.looked:
        if reading.smoothed and not facts.mask.fault:
            how = "is JPEG" if facts.mask.format == "JPEG" else "was smoothed"
            n = len(facts.mask.values)
            yield Named(exam.name(pair.mask), f"{how}: {n} values, the stray ones along edges")


def find_outside(exam: Exam) -> Iterable[Named]:
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


def find_void(exam: Exam) -> Iterable[Named]:
    for index, (pair, facts, _) in enumerate(exam.looked):
        counts = exam.pixels[index]
        if not facts.mask.fault and counts[-1] > MUCH_VOID * counts.sum():
            yield Named(exam.name(pair.mask), f"is {counts[-1] / counts.sum():.0%} void")
    for split in exam.splits:
        counts = exam.pixels[exam.of(split)].sum(0)
        if counts[-1] > VOID_SHARE * counts.sum():
            yield Named(split, f"is {counts[-1] / counts.sum():.0%} void")


def find_empty(exam: Exam) -> Iterable[Named]:
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


def find_nothing(exam: Exam) -> Iterable[Named]:
    split = "train" if "train" in exam.splits else WHOLE
    rows = exam.pixels[exam.of(split)]
    if len(rows) and len(exam.dataset.classes) > 1 and not rows[:, 1:-1].any():
        yield Named(split, "has no pixel of any class but the first")


def find_absent(exam: Exam) -> Iterable[Named]:
    counts = exam.pixels.sum(0)
    for index, name in enumerate(exam.dataset.classes if counts.any() else []):
        if not counts[index]:
            yield Named(f"class {name}", f"(id {index}) is in no mask")


def find_unsplit(exam: Exam) -> Iterable[Named]:
    rows = {split: exam.pixels[exam.of(split)] for split in exam.splits}
    for index, name in enumerate(exam.dataset.classes):
        without = [split for split, counts in rows.items() if not counts[:, index].any()]
        if without and len(without) < len(rows):
            yield Named(f"class {name}", f"(id {index}) is missing from {' and '.join(without)}")


def find_rare(exam: Exam) -> Iterable[Named]:
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


def find_groups(kind: str, crossing: bool, verb: str) -> Callable:
    def find(exam: Exam) -> Iterable[Named]:
        for group in getattr(exam.alike, kind):
            if across(exam, group) == crossing:
                yield group_named(exam, group, verb)

    return find


def find_contradictions(exam: Exam) -> Iterable[Named]:
    for group in exam.alike.same:
        masks = Counter(exam.facts[index].mask.digest for index in group)
        if len(masks) > 1 and not any(exam.facts[index].mask.fault for index in group):
            yield group_named(exam, group, "has another mask than the same picture")


class Check(NamedTuple):
    name: str
    rank: str
    what: str
    effect: str
    remedy: str
    fixable: bool
    find: Callable[[Exam], Iterable[Named]]


STOPS = "it stops at the first of them"
LEFT_OUT = "replace it; --fix leaves the pair out"

# fmt: off
CHECKS = (
    Check("names", ERROR, "The classes have no names",
          "it does not start", "write classes = ['background', ...] in dataset.toml, in id order; "
          "--fix guesses a name for each id that the masks hold", True, find_unnamed),
    Check("split", ERROR, "A split is missing or empty",
          "it does not start", "give train/ and val/ an images/ and a masks/ each; --fix shares "
          "the pictures out anew where only one of the two has some. Another layout is taken in "
          "by python -m data import", True, find_missing),
    Check("broken picture", ERROR, "Pictures that cannot be read",
          STOPS, LEFT_OUT, False, find_broken_pictures),
    Check("broken mask", ERROR, "Masks that cannot be read",
          STOPS, LEFT_OUT, False, find_broken_masks),
    Check("no mask", ERROR, "Pictures without a mask",
          "it does not start", "add the mask, DIR/SPLIT/masks/STEM.png; --fix leaves the picture "
          "out", False, find_lone_pictures),
    Check("mask name", ERROR, "Masks under another name than their picture's stem and .png",
          "it does not start, as the mask counts as missing", "rename or convert it", True,
          find_misnamed),
    Check("shared stem", ERROR, "Pictures that share a stem, so that a mask belongs to several",
          "it does not start", "rename or remove one; --fix keeps the one that has the mask's "
          "size, the first of equal pictures, and leaves out what stays unclear", True,
          find_shared),
    Check("turned mask", ERROR, "Masks that lie as the picture's bytes do, while EXIF turns it",
          STOPS, "turn the mask as EXIF turns the picture", True, find_misfits("turned")),
    Check("scaled mask", ERROR, "Masks of another size but the picture's shape",
          STOPS, "resize the mask by nearest neighbour", True, find_misfits("scaled")),
    Check("transposed mask", ERROR, "Masks whose height and width are the picture's exchanged",
          STOPS, "transpose or turn it, whichever fits what is seen; --fix leaves the pair out",
          False, find_misfits("transposed")),
    Check("mask size", ERROR, "Masks of another size and shape than the picture",
          STOPS, "find the mask that belongs to the picture; --fix leaves the pair out", False,
          find_misfits("other")),
    Check("mask mode", ERROR, "Masks that are not 8-bit grey or palette",
          STOPS, "Write one channel that holds 0, 1, 2, ...", True, find_modes),
    Check("colour mask", ERROR, "Masks that show classes as colours",
          STOPS, "write ids; --fix takes them from the colours in dataset.toml or from VOC's "
          "palette, whichever fits", True,
          masks_read_as("colours", lambda m: f"has {some_colours(m)}")),
    Check("unknown values", ERROR, "Masks whose colours or grey levels are in no table",
          STOPS, "write colours = [[r, g, b], ...], one a class, in dataset.toml and --fix maps "
          "them, or write ids; else it leaves the pair out", False,
          masks_read_as("unknown", lambda m: f"has {some_colours(m)}")),
    Check("palette order", ERROR, "Palette masks whose indices are not their colours' classes",
          "it takes the indices for ids: wrong classes, or it stops", "write ids; --fix takes "
          "them from the colours", True,
          masks_read_as("palette", lambda m: f"holds {some_values(m.values)}")),
    Check("grey levels", ERROR, "Masks that spread the classes over 0 to 255",
          "it takes 255 for void and stops at the levels between: what is white is never learnt",
          "write 0, 1, 2, ...; --fix does, from black to white. If masks hold 0 and 255 alone and "
          "255 truly is void, write void = 255 in dataset.toml", True,
          masks_read_as("levels", lambda m: f"holds {some_values(m.values)}")),
    Check("off by one", ERROR, "Masks with ids 1 to N instead of 0 to N - 1",
          "it learns each class under its neighbour's name and stops at the highest",
          "subtract 1; --fix does. If 0 means unlabelled there, set the ids of 0 to 255 instead",
          True, masks_read_as("shifted", lambda m: f"holds {some_values(m.values)}")),
    Check("smoothed mask", ERROR, "Masks with stray values along edges, of JPEG or a smooth resize",
          "it learns classes that are not there along every edge, or stops at ids outside",
          "save masks as PNG and resize by nearest neighbour; --fix gives stray pixels the nearest "
          "sure pixel's class", True, find_smoothed),
    Check("outside", ERROR, "Masks with ids that no class has",
          STOPS, "name the class in dataset.toml or set void; --fix makes the pixels void", True,
          find_outside),
    Check("nothing to learn", ERROR, "Training pictures without any class but the first",
          "it learns to answer the first class everywhere", "check the masks' values", False,
          find_nothing),
    Check("leak", ERROR, "The same picture in two splits",
          "it trains on what it is judged by: the score is too good", "keep it in one; --fix takes "
          "it out of train (and val, if test has it)", True,
          find_groups("same", True, "has the same pixels as")),
    Check("near leak", REMARK, "Nearly the same picture in two splits",
          "the score is too good by as much", "look at them; --fix keeps them out of train", True,
          find_groups("near", True, "is nearly")),
    Check("contradiction", REMARK, "The same picture with different masks",
          "it is taught both", "keep the right mask", False, find_contradictions),
    Check("duplicate", REMARK, "The same picture twice in a split",
          "it counts twice", "remove one; --fix keeps the first if the masks agree", True,
          find_groups("same", False, "has the same pixels as")),
    Check("near duplicate", REMARK, "Nearly the same picture in a split",
          "as if it counted twice; of a film, its frames", "keep fewer, or leave it", False,
          find_groups("near", False, "is nearly")),
    Check("unsure turn", REMARK, "Pictures that EXIF turns; the mask may not be",
          "it turns the picture and leaves the mask", "look whether they fit", False,
          find_unsure_turns),
    Check("empty mask", REMARK, "Masks that hold nothing but the first class or void",
          "it learns that nothing is there", "draw the mask, or keep it if nothing is to be seen",
          False, find_empty),
    Check("void", REMARK, "Much that is not scored",
          "it learns nothing from void pixels", "label more of it if it matters", False, find_void),
    Check("absent class", REMARK, "Classes that no mask holds",
          "it never answers them", "remove the name if it is the last, or add pictures", False,
          find_absent),
    Check("class of one split", REMARK, "Classes that a split lacks",
          "it cannot learn them (train) or nobody sees whether it did (val, test)",
          "move pictures", False, find_unsplit),
    Check("rare class", REMARK, "Classes that hardly occur in train",
          "it hardly learns them", "add pictures, or try --class-weights balanced", False,
          find_rare),
    Check("lone mask", REMARK, "Masks without a picture",
          "it ignores them", "add the picture or remove the mask; --fix leaves them out", True,
          find_lone_masks),
    Check("ignored", REMARK, "Files of no known kind",
          "it ignores them", "convert pictures to JPEG or PNG, masks to PNG", False, find_ignored),
    Check("16 bits", REMARK, "Pictures of 16 bits a channel",
          "it takes the upper 8 bits", "save them with 8 bits; --fix does, and brightens those "
          "that are nearly black", True,
          pictures_where(lambda p: p.depth == 16, bits_words)),
    Check("CMYK", REMARK, "Pictures for print, in CMYK",
          "it converts them without a colour profile", "save them as RGB", True,
          pictures_where(lambda p: p.mode == "CMYK", lambda p: "is CMYK")),
    Check("alpha", REMARK, "Pictures that are partly transparent",
          "it drops alpha and sees the colours that nobody saw", "flatten them", False,
          pictures_where(lambda p: p.transparent, lambda p: "is partly transparent")),
    Check("tiny", REMARK, f"Pictures of fewer than {TINY} pixels a side",
          "it enlarges them to a blur", "remove them", False,
          pictures_where(lambda p: min(p.size) < TINY, lambda p: f"is {hw(p.size)} (HxW)")),
    Check("name letters", REMARK, "Names with letters beyond ASCII",
          "nothing here; other file systems write accents in other bytes", "rename", True,
          find_accents),
    Check("name case", REMARK, "Names that differ in case or accents alone",
          "nothing here; on Windows and macOS one file replaces the other", "rename",
          True, find_collisions),
)
# fmt: on
