"""One mask file for each class or object of an image."""

import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item, Note
from data.formats.archives import opened
from data.formats.masks import images_below, split_of
from data.formats.regions import Layers, upright_shape
from data.formats.selection import BACKGROUND
from data.formats.values import read_values

ABOUT = """SOURCE: a folder or zip with images and several masks an image, in one of these forms:

  ID/images/ID.png, ID/masks/*.png    a folder an image, a mask an object (Data Science Bowl 2018)
  masks/CLASS/NAME.png                a folder a class, masks named as the images
  NAME_CLASS.png                      the class after the image's name (CelebAMask-HQ)

Masks lie in or below a folder with mask in its name, all other files are images. A mask is 0
except at its object, where it has one other value. Where masks overlap, the smaller is on
top, or the class that --order names later. Where no name tells classes apart, the class is called
object, or as --object says. All other pixels are background. A folder called train,
val or test gives the split."""

FORMS = "ID/images/ID.png with ID/masks/*.png, masks/CLASS/NAME.png, or masks/NAME_CLASS.png"
SEPARATORS = "_-. "  # between the name of an image and that of a class
LABEL_STUDIO = r"task-\d+-annotation-\d+-by-.*"


def add_arguments(parser) -> None:
    parser.add_argument(
        "--object", metavar="NAME", help="all masks are objects of one class, called NAME"
    )
    parser.add_argument(
        "--names", metavar="REGEX",
        help="how the end of a mask's path, without .png, names its image and its class: "
        r"'(?P<image>[^/]+)_(?P<cls>[a-z]+)_\d+' for masks/a_cat_0.png",
    )  # fmt: skip
    parser.add_argument(
        "--order", metavar="CLASS", nargs="+", default=(),
        help="the classes from the bottom to the top, instead of the smaller mask on top",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", metavar="N", type=int,
        help="values from N on are the object, in masks with more than two values",
    )  # fmt: skip
    parser.add_argument(
        "--background", action="store_true", help="images without any mask are background only"
    )


class MaskFile(NamedTuple):
    """A mask, its image, and the name of its class; None if it is that of --object."""

    path: Path
    image: Path
    name: str | None


def read(source: Path, args) -> Found:
    source = opened(source, args)
    images, masks = images_and_masks(source)
    if not masks or not images:
        what = "mask in or below a folder with mask in its name" if images else "image"
        raise Refusal(f"{source} contains no {what}; needed: {FORMS}")
    matched, broken = matches(source, images, masks, args)
    known = list(dict.fromkeys(file.name or args.object for file in matched))
    if args.order and set(args.order) != set(known):
        raise Refusal(f"--order {' '.join(args.order)}; needed: all of {', '.join(known)}")
    classes = [BACKGROUND, *sorted(name for name in known if name != BACKGROUND)]
    of_image = defaultdict(list)
    for file in matched:
        of_image[file.image].append(file)
    items = []
    for image in images:
        if image not in of_image and not args.background:
            broken.append(f"{image} has no mask: add --background if it shows no object")
            continue
        mask = partial(draw, of_image[image], image, classes, args)
        items.append(Item(image.stem, image, mask, split_of(image.relative_to(source))))
    return Found(classes, items, broken, label_files=len(matched), objects=len(masks))


def images_and_masks(source: Path) -> tuple[list[Path], list[Path]]:
    images, masks = [], []
    for path in images_below(source):
        (masks if in_masks(path.relative_to(source)) else images).append(path)
    return images, masks


def in_masks(path: Path) -> bool:
    """Whether the innermost folder that says so is one of masks: CelebAMask-HQ/img has images."""
    for part in reversed(path.parts[:-1]):
        if re.search("mask|image|img|photo|jpe?g", part.casefold()):
            return "mask" in part.casefold()
    return False


def matches(source: Path, images: list[Path], masks: list[Path], args):
    """(mask files, messages): by --names, by folders of an image, of a class, or by the names."""
    if args.names:
        return by_expression(source, images, masks, args)
    own = {image.parent.parent: image for image in images}
    apart = len(own) == len(images) > 1 or [at.name for at in own] == [images[0].stem]
    if apart and all(mask.parent.parent in own for mask in masks):
        return by_folders(own, masks, args), []
    if odd := [mask for mask in masks if re.fullmatch(LABEL_STUDIO, mask.stem)]:
        raise Refusal(
            f"{odd[0]} does not name its image: export JSON from Label Studio in place of PNG, and "
            "type python -m data import label-studio SOURCE DIR"
        )
    stems = {image.stem for image in images}
    if all(mask.stem in stems for mask in masks):
        return by_class(images, masks, args)
    return by_suffix(images, masks, args)


def by_folders(own: dict[Path, Path], masks: list[Path], args) -> list[MaskFile]:
    """A folder for each image. Raises Refusal if the masks' names may be those of classes."""
    stems = [mask.stem for mask in masks]
    if args.object is None and len(set(stems)) < len(stems):
        again = next(stem for stem in stems if stems.count(stem) > 1)
        raise Refusal(
            f"masks of several images are called {again}: add --object NAME if each mask is an "
            "object of one class, or --names '(?P<image>[^/]+)/masks/(?P<cls>.*)' if their names "
            "are those of classes"
        )
    args.object = args.object or "object"
    return [MaskFile(mask, own[mask.parent.parent], None) for mask in masks]


def by_class(images: list[Path], masks: list[Path], args) -> tuple[list[MaskFile], list[str]]:
    """A folder for each class. Raises Refusal if no image has two masks: which may be all."""
    if args.object is None and len({mask.stem for mask in masks}) == len(masks):
        raise Refusal(
            f"there is one mask an image, such as {masks[0]}: type python -m data import folder "
            "SOURCE DIR if it holds all classes, or add --object NAME if all are of one class, or "
            "--names '(?P<cls>[^/]+)/(?P<image>[^/]+)' if its folder names its class"
        )
    if args.object is None and (odd := [at for at in masks if "mask" in at.parent.name.casefold()]):
        raise Refusal(
            f"is {odd[0].parent.name}, the folder of {odd[0]}, a class? If it is, add --names "
            "'(?P<cls>[^/]+)/(?P<image>[^/]+)'; else leave one kind of masks in SOURCE"
        )
    found = [(mask, mask.stem, mask.parent.name) for mask in masks]
    return joined(found, images, args)


def by_suffix(images: list[Path], masks: list[Path], args) -> tuple[list[MaskFile], list[str]]:
    """The image's name, a separator, the class. Raises Refusal if the class cannot be told."""
    stems = {image.stem for image in images}
    numbers = {int(stem): stem for stem in stems if stem.isascii() and stem.isdecimal()}
    found, lost, unsure = [], [], []
    for mask in masks:
        able = [
            (stem, mask.stem[at + 1 :])
            for at, letter in enumerate(mask.stem[:-1])
            if letter in SEPARATORS and (stem := stem_of(mask.stem[:at], stems, numbers))
        ]
        if len(able) == 1:
            found.append((mask, *able[0]))
        else:
            (unsure if able else lost).append((mask, able))
    sure = {name for *_, name in found}
    for mask, able in unsure:
        known = [(stem, name) for stem, name in able if name in sure]
        if len(known) != 1:
            raise Refusal(
                f"{mask} may belong to {' or '.join(stem for stem, _ in able)}: add --names REGEX"
            )
        found.append((mask, *known[0]))
    odd = [(mask, name) for mask, _, name in found if re.search(r"(^|[_\-. ])\d+$", name)]
    if odd and args.object is None:
        raise Refusal(
            f"{odd[0][0]}: is {odd[0][1]} a class, or does it end in the number of an object? Add "
            r"--names '(?P<image>[^/]+)_(?P<cls>[a-z]+)_\d+', changed to fit, or --object NAME if "
            "all masks are of one class"
        )
    matched, broken = joined(found, images, args)
    return matched, [*broken, *(f"{mask} has no image" for mask, _ in lost)]


def stem_of(text: str, stems: set[str], numbers: dict[int, str]) -> str | None:
    """The image of this name, or of the same number: CelebAMask-HQ writes 0.jpg and 00000_hair."""
    if text in stems:
        return text
    return numbers.get(int(text)) if text.isascii() and text.isdecimal() else None


def by_expression(source: Path, images: list[Path], masks: list[Path], args):
    """By --names. Raises Refusal if it is no expression or matches no mask."""
    try:
        form = re.compile(f"(?:.*/)?(?:{args.names})")
    except (re.error, RecursionError) as error:
        raise Refusal(f"--names {args.names} is no regular expression: {error}") from None
    if "image" not in form.groupindex or not (args.object or "cls" in form.groupindex):
        raise Refusal(f"--names {args.names} needs (?P<image>...), and (?P<cls>...) or --object")
    found, odd = [], []
    for mask in masks:
        path = mask.relative_to(source).with_suffix("").as_posix()
        if fits := form.fullmatch(path):
            found.append((mask, fits["image"], fits.groupdict().get("cls")))
        else:
            odd.append(f"{mask} does not match --names {args.names}")
    if not found:
        raise Refusal(odd[0])
    matched, broken = joined(found, images, args)
    return matched, broken + odd


def joined(found: list[tuple], images: list[Path], args) -> tuple[list[MaskFile], list[str]]:
    """From (mask, stem of its image, class). Of several images of a stem, that of the split."""
    by_stem, matched, broken = defaultdict(list), [], []
    for image in images:
        by_stem[image.stem].append(image)
    for mask, stem, name in found:
        able = by_stem[stem]
        if len(able) > 1:
            able = [image for image in able if split_of(image) == split_of(mask)]
        if len(able) != 1:
            why = f"{len(able)} images: {able[0]} and {able[1]}" if able else f"no image {stem}"
            broken.append(f"{mask} has {why}")
            continue
        matched.append(MaskFile(mask, able[0], None if args.object else name))
    return matched, broken


def draw(files: list[MaskFile], image: Path, classes: list[str], args) -> Drawn:
    """The mask (H, W) of an image from those of its classes or objects."""
    layers, notes, rank = None, [], {name: at for at, name in enumerate(args.order)}
    for file in sorted(files, key=lambda file: rank.get(file.name, -1)):
        region, told = region_of(file.path, args.threshold)
        notes += told
        if layers is None:
            layers = Layers(region.shape, file.path)
        if region.shape != layers.shape:
            came, needed = ("x".join(map(str, shape)) for shape in (region.shape, layers.shape))
            raise Refusal(f"{file.path} is {came} (HxW), but another mask of {image} is {needed}")
        layers.source = file.path
        rle = layers.pasted(region, 0, 0)
        layers.add(classes.index(file.name or args.object), rle)
    layers = layers or Layers(upright_shape(image), image)
    return layers.drawn(by_area=not args.order)._replace(notes=tuple(notes))


def region_of(path: Path, threshold: int | None) -> tuple[np.ndarray, tuple[Note, ...]]:
    """(H, W) bool: where the object is, and notes. Raises Refusal for more than two values."""
    found = read_values(path)
    values = found.stored
    if found.permuted:
        raise Refusal(f"{path} shows greater values darker: save it as grey values")
    if threshold is not None:
        return values >= threshold, found.notes
    odd = np.unique(values[values != 0])
    if odd.size > 1:
        some = ", ".join(map(str, odd[:6].tolist())) + (", ..." if odd.size > 6 else "")
        raise Refusal(
            f"{path} has the values {some} besides 0; needed: one. Add --threshold 128 if its "
            "edges are soft"
        )
    return values != 0, found.notes
