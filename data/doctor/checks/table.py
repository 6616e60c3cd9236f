"""What can be wrong with a dataset: a table of checks."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from data.doctor.checks import classes, duplicates, files, images, masks
from data.doctor.checks.named import Named, hw
from data.doctor.exam import Exam

ERROR, REMARK = "error", "remark"
TINY = 16  # pixels, a side below which an image is too small to show anything


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


class Check(NamedTuple):
    name: str
    rank: str
    what: str
    effect: str
    remedy: str
    fixable: bool
    find: Callable[[Exam], Iterable[Named]]


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


STOPS = "it stops at the first of them"
LEFT_OUT = "replace it; --fix leaves the pair out"

# fmt: off
CHECKS = (
    Check("names", ERROR, "The classes have no names",
          "it does not start", "write classes = ['background', ...] in dataset.toml, in id order; "
          "--fix guesses a name for each id that the masks hold", True, files.unnamed),
    Check("split", ERROR, "A split is missing or empty",
          "it does not start", "give train/ and val/ an images/ and a masks/ each; --fix shares "
          "the images out anew where only one of the two has some. Another layout is taken in "
          "by python -m data import", True, files.missing),
    Check("broken image", ERROR, "Images that cannot be read",
          STOPS, LEFT_OUT, False, images.broken_images),
    Check("broken mask", ERROR, "Masks that cannot be read",
          STOPS, LEFT_OUT, False, masks.broken_masks),
    Check("no mask", ERROR, "Images without a mask",
          "it does not start", "add the mask, DIR/SPLIT/masks/STEM.png; --fix leaves the image "
          "out", False, files.lone_images),
    Check("mask name", ERROR, "Masks under another name than their image's stem and .png",
          "it does not start, as the mask counts as missing", "rename or convert it", True,
          files.misnamed),
    Check("shared stem", ERROR, "Images that share a stem, so that a mask belongs to several",
          "it does not start", "rename or remove one; --fix keeps the one that has the mask's "
          "size, the first of equal images, and leaves out what stays unclear", True,
          files.shared),
    Check("turned mask", ERROR, "Masks that lie as the image's bytes do, while EXIF turns it",
          STOPS, "turn the mask as EXIF turns the image", True, masks.misfits("turned")),
    Check("scaled mask", ERROR, "Masks of another size but the image's shape",
          STOPS, "resize the mask by nearest neighbour", True, masks.misfits("scaled")),
    Check("transposed mask", ERROR, "Masks whose height and width are the image's exchanged",
          STOPS, "transpose or turn it, whichever fits what is seen; --fix leaves the pair out",
          False, masks.misfits("transposed")),
    Check("mask size", ERROR, "Masks of another size and shape than the image",
          STOPS, "find the mask that belongs to the image; --fix leaves the pair out", False,
          masks.misfits("other")),
    Check("mask mode", ERROR, "Masks that are not 8-bit grey or palette",
          STOPS, "Write one channel that holds 0, 1, 2, ...", True, masks.modes),
    Check("colour mask", ERROR, "Masks that show classes as colours",
          STOPS, "write ids; --fix takes them from the colours in dataset.toml or from VOC's "
          "palette, whichever fits", True,
          masks.masks_read_as("colours", lambda m: f"has {masks.some_colours(m)}")),
    Check("unknown values", ERROR, "Masks whose colours or grey levels are in no table",
          STOPS, "write colours = [[r, g, b], ...], one a class, in dataset.toml and --fix maps "
          "them, or write ids; else it leaves the pair out", False,
          masks.masks_read_as("unknown", lambda m: f"has {masks.some_colours(m)}")),
    Check("palette order", ERROR, "Palette masks whose indices are not their colours' classes",
          "it takes the indices for ids: wrong classes, or it stops", "write ids; --fix takes "
          "them from the colours", True,
          masks.masks_read_as("palette", lambda m: f"holds {masks.some_values(m.values)}")),
    Check("grey levels", ERROR, "Masks that spread the classes over 0 to 255",
          "it takes 255 for void and stops at the levels between: what is white is never learnt",
          "write 0, 1, 2, ...; --fix does, from black to white. If masks hold 0 and 255 alone and "
          "255 truly is void, write void = 255 in dataset.toml", True,
          masks.masks_read_as("levels", lambda m: f"holds {masks.some_values(m.values)}")),
    Check("off by one", ERROR, "Masks with ids 1 to N instead of 0 to N - 1",
          "it learns each class under its neighbour's name and stops at the highest",
          "subtract 1; --fix does. If 0 means unlabelled there, set the ids of 0 to 255 instead",
          True, masks.masks_read_as("shifted", lambda m: f"holds {masks.some_values(m.values)}")),
    Check("smoothed mask", ERROR, "Masks with stray values along edges, of JPEG or a smooth resize",
          "it learns classes that are not there along every edge, or stops at ids outside",
          "save masks as PNG and resize by nearest neighbour; --fix gives stray pixels the nearest "
          "sure pixel's class", True, masks.smoothed),
    Check("outside", ERROR, "Masks with ids that no class has",
          STOPS, "name the class in dataset.toml or set void; --fix makes the pixels void", True,
          masks.outside),
    Check("nothing to learn", ERROR, "Training images without any class but the first",
          "it learns to answer the first class everywhere", "check the masks' values", False,
          classes.nothing),
    Check("leak", ERROR, "The same image in two splits",
          "it trains on what it is judged by: the score is too good", "keep it in one; --fix takes "
          "it out of train (and val, if test has it)", True,
          duplicates.alike_groups("same", True, "has the same pixels as")),
    Check("near leak", REMARK, "Nearly the same image in two splits",
          "the score is too good by as much", "look at them; --fix keeps them out of train", True,
          duplicates.alike_groups("near", True, "is nearly")),
    Check("contradiction", REMARK, "The same image with different masks",
          "it is taught both", "keep the right mask", False, duplicates.contradictions),
    Check("duplicate", REMARK, "The same image twice in a split",
          "it counts twice", "remove one; --fix keeps the first if the masks agree", True,
          duplicates.alike_groups("same", False, "has the same pixels as")),
    Check("near duplicate", REMARK, "Nearly the same image in a split",
          "as if it counted twice; of a film, its frames", "keep fewer, or leave it", False,
          duplicates.alike_groups("near", False, "is nearly")),
    Check("unsure turn", REMARK, "Images that EXIF turns; the mask may not be",
          "it turns the image and leaves the mask", "look whether they fit", False,
          images.unsure_turns),
    Check("empty mask", REMARK, "Masks that hold nothing but the first class or void",
          "it learns that nothing is there", "draw the mask, or keep it if nothing is to be seen",
          False, masks.empty),
    Check("void", REMARK, "Much that is not scored",
          "it learns nothing from void pixels", "label more of it if it matters", False,
          masks.void),
    Check("absent class", REMARK, "Classes that no mask holds",
          "it never answers them", "remove the name if it is the last, or add images", False,
          classes.absent),
    Check("class of one split", REMARK, "Classes that a split lacks",
          "it cannot learn them (train) or nobody sees whether it did (val, test)",
          "move images", False, classes.unsplit),
    Check("rare class", REMARK, "Classes that hardly occur in train",
          "it hardly learns them", "add images, or try --class-weights balanced", False,
          classes.rare),
    Check("lone mask", REMARK, "Masks without an image",
          "it ignores them", "add the image or remove the mask; --fix leaves them out", True,
          files.lone_masks),
    Check("ignored", REMARK, "Files of no known kind",
          "it ignores them", "convert images to JPEG or PNG, masks to PNG", False, files.ignored),
    Check("16 bits", REMARK, "Images of 16 bits a channel",
          "it takes the upper 8 bits", "save them with 8 bits; --fix does, and brightens those "
          "that are nearly black", True,
          images.images_where(lambda p: p.depth == 16, images.bits_words)),
    Check("CMYK", REMARK, "Images for print, in CMYK",
          "it converts them without a colour profile", "save them as RGB", True,
          images.images_where(lambda p: p.mode == "CMYK", lambda p: "is CMYK")),
    Check("alpha", REMARK, "Images that are partly transparent",
          "it drops alpha and sees the colours that nobody saw", "flatten them", False,
          images.images_where(lambda p: p.transparent, lambda p: "is partly transparent")),
    Check("tiny", REMARK, f"Images of fewer than {TINY} pixels a side",
          "it enlarges them to a blur", "remove them", False,
          images.images_where(
              lambda p: min(p.size) < TINY, lambda p: f"is {hw(p.size)} (HxW)")),
    Check("name letters", REMARK, "Names with letters beyond ASCII",
          "nothing here; other file systems write accents in other bytes", "rename", True,
          files.accents),
    Check("name case", REMARK, "Names that differ in case or accents alone",
          "nothing here; on Windows and macOS one file replaces the other", "rename",
          True, files.collisions),
)
# fmt: on
