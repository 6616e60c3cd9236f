"""What can be wrong with a dataset: a table of checks."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from data.doctor.checks import classes, duplicates, files, images, masks
from data.doctor.checks.named import Named, hw
from data.doctor.exam import Exam

ERROR, WARNING = "error", "warning"
TINY = 16  # pixels; an image with a shorter side is reported


class Finding(NamedTuple):
    """A check with the cases that it found; the fields are those of `Check`."""

    check: str
    rank: str
    files: list[Named]
    what: str
    effect: str
    remedy: str
    fixable: bool


class Check(NamedTuple):
    """rank: ERROR if training would stop, or would learn or score something wrong, else WARNING.

    effect: what happens in training. fixable: whether --fix repairs all cases; pairs with an error
    that it cannot repair are left out. find: yields the cases.
    """

    name: str
    rank: str
    what: str
    effect: str
    remedy: str
    fixable: bool
    find: Callable[[Exam], Iterable[Named]]


def findings(exam: Exam) -> list[Finding]:
    """The checks that found something: errors first, then in the order of the table."""
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
    """The remedy and, unless it mentions --fix itself, whether --fix applies it."""
    if "--fix" in finding.remedy:
        return finding.remedy
    return f"{finding.remedy} --fix {'does this' if finding.fixable else 'does not change this'}."


NO_START = "Training does not start."
STOPS = "Training stops at the first such file."
REPLACE = "Replace the file. --fix leaves the pair out."


def ids_note(mask) -> str:
    return f"contains the values {masks.some_values(mask.values)}"


# fmt: off
CHECKS = (
    Check("class names", ERROR, "The class names are missing or invalid", NO_START,
          "Write classes = ['background', ...], in the order of the ids, in the file dataset.toml "
          "of the dataset folder. --fix writes placeholder names for the ids in the masks.", True,
          files.unnamed),
    Check("missing split", ERROR, "A split is missing or empty", NO_START,
          "Create train/ and val/, each with the folders images/ and masks/, or convert another "
          "layout with python -m data import. If only one of the two contains pairs, --fix divides "
          "them between train and val.", True, files.missing),
    Check("broken image", ERROR, "Images that cannot be read", STOPS, REPLACE, False,
          images.broken_images),
    Check("broken mask", ERROR, "Masks that cannot be read", STOPS, REPLACE, False,
          masks.broken_masks),
    Check("image without mask", ERROR, "Images without a mask", NO_START,
          "Add the mask: masks/photo.png belongs to images/photo.jpg. --fix leaves the image out.",
          False, files.lone_images),
    Check("mask name", ERROR, "Masks that are not named after their image",
          "Training does not start, because the mask counts as missing.",
          "Save the mask as a PNG file with the name of its image: masks/photo.png belongs to "
          "images/photo.jpg.", True, files.misnamed),
    Check("shared mask", ERROR, "Images that share one mask, because their names differ only in "
          "the extension", NO_START,
          "Rename or remove one of the images. --fix keeps the image whose size matches the mask, "
          "or the first one if the images look the same, and leaves the others out; if neither "
          "decides, it leaves all of them out.", True, files.shared),
    Check("rotated mask", ERROR, "Masks without the EXIF rotation of their image", STOPS,
          "Apply the image's EXIF rotation or mirroring to the mask too.", True,
          masks.misfits("turned")),
    Check("scaled mask", ERROR, "Masks whose resolution differs from that of their image", STOPS,
          "Resize the mask to the size of its image with nearest-neighbour interpolation.", True,
          masks.misfits("scaled")),
    Check("transposed mask", ERROR, "Masks whose height and width are swapped", STOPS,
          "Transpose or rotate the mask, whichever matches the image. --fix leaves the pair out.",
          False, masks.misfits("transposed")),
    Check("mask size", ERROR, "Masks whose size and aspect ratio differ from those of their image",
          STOPS,
          "Find the mask that belongs to the image. --fix leaves the pair out.", False,
          masks.misfits("other")),
    Check("mask format", ERROR, "Masks that are not 8-bit greyscale or palette images", STOPS,
          "Save the mask with a single 8-bit channel that contains the class ids 0, 1, 2, ...",
          True, masks.modes),
    Check("colour mask", ERROR, "Masks that show the classes as colours", STOPS,
          "Replace the colours with class ids. --fix uses the colours in dataset.toml or those of "
          "PASCAL VOC, whichever match.", True,
          masks.masks_read_as("colours", lambda m: f"has {masks.some_colours(m)}")),
    Check("unknown values", ERROR, "Masks whose colours or grey levels match no class", STOPS,
          "Save the masks with class ids, or list the colour of each class in dataset.toml as "
          "colours = [[r, g, b], ...] and let --fix convert them. Without such a list --fix leaves "
          "the pair out.", False,
          masks.masks_read_as("unknown", lambda m: f"has {masks.some_colours(m)}")),
    Check("palette indices", ERROR, "Palette masks whose indices are not the ids of the classes "
          "that their colours show",
          "Training takes the indices for class ids: it learns the wrong classes, or stops.",
          "Replace the indices with class ids. --fix derives them from the colours.", True,
          masks.masks_read_as(
              "palette", lambda m: f"contains the palette indices {masks.some_values(m.values)}")),
    Check("grey levels", ERROR, "Masks that show the classes as grey levels from 0 to 255",
          "Training treats 255 as void (the ignore index), so it never learns the class shown in "
          "white, and it stops at the grey levels in between.",
          "Replace the grey levels with the class ids 0, 1, 2, ... --fix does this, from black to "
          "white. If the masks contain only 0 and 255, and 255 does mean void, confirm it with "
          "void = 255 in dataset.toml instead.", True,
          masks.masks_read_as("levels", ids_note)),
    Check("off by one", ERROR, "Masks with ids that start at 1 instead of 0",
          "Training learns each class under the name of the next one and stops at the highest id.",
          "Subtract 1 from all ids, as --fix does. If 0 means unlabelled in your masks, replace it "
          "with 255 (void).", True,
          masks.masks_read_as("shifted", ids_note)),
    Check("smoothed mask", ERROR, "Masks with stray values along edges, left by JPEG compression "
          "or smooth resizing",
          "Training learns wrong classes along the edges, or stops at ids that no class has.",
          "Save masks as PNG, and resize them only with nearest-neighbour interpolation. --fix "
          "gives each stray pixel the class of the nearest reliable pixel.", True, masks.smoothed),
    Check("unknown ids", ERROR, "Masks with ids that no class has", STOPS,
          "Add the name of the class to dataset.toml, or declare the id as void (the ignore index) "
          "there, with void = ID. --fix sets these pixels to void.", True, masks.outside),
    Check("no foreground", ERROR, "No training mask contains any class except the first",
          "The network learns to predict the first class everywhere.",
          "Check the values in the masks.", False, classes.nothing),
    Check("leak", ERROR, "The same image in more than one split",
          "The scores are too high, because the network is scored on images that it has seen in "
          "training.",
          "Keep the image in one split. --fix removes it from train, and from val if test has it.",
          True, duplicates.alike_groups("same", True, "has the same pixels as")),
    Check("near leak", WARNING, "Nearly identical images in more than one split",
          "The scores are too high if the images show the same scene.",
          "Compare the images. --fix removes them from train, and from val if test has them.", True,
          duplicates.alike_groups("near", True, "is nearly identical to")),
    Check("contradiction", WARNING, "Identical images with different masks",
          "Training gets contradictory labels for the same image.",
          "Keep the pair with the correct mask.", False, duplicates.contradictions),
    Check("duplicate", WARNING, "The same image twice in one split",
          "The image counts twice in training or in the score.",
          "Remove one of them. --fix keeps the first if the masks are identical.", True,
          duplicates.alike_groups("same", False, "has the same pixels as")),
    Check("near duplicate", WARNING, "Nearly identical images in one split",
          "Near duplicates count twice in training or in the score. Frames of one video usually "
          "are near duplicates.",
          "Remove some of them if their scene should not count so often.", False,
          duplicates.alike_groups("near", False, "is nearly identical to")),
    Check("EXIF orientation", WARNING, "Images that EXIF rotates or mirrors, though their masks "
          "may not be",
          "Training applies the EXIF orientation to the image but not to the mask.",
          "Check that the mask matches the image as image viewers show it.", False,
          images.unsure_turns),
    Check("empty mask", WARNING, "Masks that contain only the first class or void",
          "The network learns that these images show no other class; from a mask of void alone it "
          "learns nothing.",
          "Annotate the image, or keep the mask if it is correct.", False, masks.empty),
    Check("much void", WARNING, "Masks or splits with large void areas",
          "Void pixels (the ignore index) are neither trained on nor scored.",
          "Annotate more pixels if these areas matter.", False, masks.void),
    Check("absent class", WARNING, "Classes that appear in no mask",
          "The network cannot learn to predict them.",
          "Add images that show the class, or remove its name from dataset.toml if it is the last "
          "one there.", False, classes.absent),
    Check("class missing from split", WARNING, "Classes that are missing from a split",
          "A class that is missing from train cannot be learnt; one that is missing from val or "
          "test is not scored there.",
          "Move images between the splits, or add images.", False, classes.unsplit),
    Check("rare class", WARNING, "Classes that are rare in train",
          "The network hardly learns them.",
          "Add images that show the class, or try --class-weights balanced in training.", False,
          classes.rare),
    Check("mask without image", WARNING, "Masks without an image",
          "Training ignores them.",
          "Add the image or remove the mask. --fix leaves the mask out.", True, files.lone_masks),
    Check("ignored file", WARNING, "Files of an unknown type",
          "Training ignores them.",
          "Convert images to JPEG or PNG, and masks to PNG. --fix leaves these files out.", False,
          files.ignored),
    Check("16-bit image", WARNING, "Images with 16 bits per channel",
          "Training uses only the upper 8 bits.",
          "Save the images with 8 bits per channel. --fix does this, and brightens images that are "
          "nearly black.", True,
          images.images_where(lambda p: p.depth == 16, images.bits_note)),
    Check("CMYK image", WARNING, "Images in CMYK, a colour model for print",
          "Training converts them to RGB without a colour profile, so colours may be off.",
          "Save the images as RGB.", True,
          images.images_where(lambda p: p.mode == "CMYK", lambda p: "is CMYK")),
    Check("transparency", WARNING, "Images that are partly transparent",
          "Training drops the alpha channel, so colours that were invisible become visible.",
          "Flatten the images onto a background.", False,
          images.images_where(lambda p: p.transparent, lambda p: "is partly transparent")),
    Check("tiny image", WARNING, f"Images with a side shorter than {TINY} pixels",
          "Training upsamples them, which leaves only a blur.", "Remove or replace the images.",
          False,
          images.images_where(
              lambda p: min(p.size) < TINY, lambda p: f"is {hw(p.size)} (HxW)")),
    Check("non-ASCII name", WARNING, "File names with non-ASCII characters",
          "Training works here, but other systems may encode the names differently and then not "
          "find the files.",
          "Rename the files.", True, files.accents),
    Check("similar names", WARNING, "File names that differ only in case or accents",
          "Training works here, but on Windows and macOS one file would overwrite the other.",
          "Rename one of the files.", True, files.collisions),
)
# fmt: on
