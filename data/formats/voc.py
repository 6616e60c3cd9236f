"""PASCAL VOC: JPEGImages, SegmentationClass, ImageSets/Segmentation."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from cli import Refusal
from data.formats import Drawn, Found, Item, Note
from data.formats.archives import opened
from data.formats.classes import (
    LabelMap,
    in_classes,
    pack,
    read_as,
    to_label_map,
    unpacked,
    with_void,
)
from data.formats.find import Images, add_images_option, folder_of_images, named_list, some
from data.formats.masks import (
    SPLIT_OF,
    add_label_map_options,
    folder_with,
    images_below,
    images_in,
    parse_values,
    read_label_map,
    read_lines,
)
from data.formats.values import Values, is_in_alpha, read_values
from data.images import decoded, open_image
from data.kinds import is_unread
from data.layout import VOID

ABOUT = """SOURCE: a folder or zip with JPEGImages, SegmentationClass and ImageSets/Segmentation.

Masks are palette or grey images of class ids, or RGB images in VOC's colours; 255 is void (the
ignore index: neither trained on nor scored). The classes are VOC's 21, unless others are named by
--values, --classes, or a labels.txt, labelmap.txt or class_names.txt in SOURCE. VOC's names are
taken only if ids and colours of the masks are VOC's."""

# Everingham et al., The PASCAL VOC development kit, 2012, section "segmentation".
NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
).split()
NAMED = to_label_map(enumerate(NAMES))
NAMED = NAMED._replace(table={VOID: -1} | NAMED.table)
FOLDERS = ("JPEGImages", "SegmentationClass")
OLD_LABELME = "SegmentationClassPNG"
LISTS = ("labels.txt", "labelmap.txt", "class_names.txt")  # the last of labelme2voc

SORTED = "stores indices that are no classes, in a palette of VOC's colours: these were read"


def add_arguments(parser) -> None:
    add_images_option(parser)
    add_label_map_options(parser, "; voc stands for VOC's 21 classes")


def read(source: Path, args) -> Found:
    root, masks = root_of(source, args)
    label_map, reader = label_map_of(root, args), read_voc
    notes = []
    if label_map is None:
        label_map, reader = NAMED, read_own_voc
        notes = [first_fits(root, masks)]
    items, broken, more = listed(root, masks, args, lambda path: partial(reader, path, label_map))
    return Found(label_map.classes, items, broken, colours_of(label_map), (*notes, *more))


def root_of(source: Path, args) -> tuple[Path, Path]:
    """(folder of the dataset, its folder of masks). Old releases of labelme2voc write arrays into
    SegmentationClass and the masks into a folder beside it."""
    place = opened(source, args)
    plain = next(place.glob("**/JPEGImages"), None)
    if not (args.images or plain) and (masks := next(place.glob("**/SegmentationClass"), None)):
        raise Refusal(f"{masks.parent} has masks but no JPEGImages: export with images, or name "
                      "their folder by --images FOLDER")  # fmt: skip
    root = folder_with(place, FOLDERS[1:] if args.images else FOLDERS)
    masks = root / FOLDERS[1]
    if all(map(is_unread, images_in(masks).values())) and (root / OLD_LABELME).is_dir():
        masks = root / OLD_LABELME
    return root, masks


def label_map_of(root: Path, args) -> LabelMap | None:
    """The label map from the options or from a file in the source; None if there is none."""
    path = Path(args.classes) if args.classes else named_list(root, LISTS)
    if args.values:
        label_map = parse_values(args.values)
    elif args.classes == "voc" and not path.exists():
        label_map = NAMED
    elif path:
        label_map = read_label_map(path)
    else:
        return None
    if label_map.colours is not None:
        return label_map
    return with_void(label_map)


def first_fits(root: Path, masks: Path) -> str:
    """The remark that VOC's names are taken. Raises Refusal if the first mask does not fit them."""
    for path in images_in(masks).values():
        try:
            odd = odd_ids(path)
        except Refusal:
            continue  # damaged: listed as broken later
        if odd:
            raise Refusal(unfit(path, odd[0]))
        break
    return (
        f"the classes are VOC's 21 ({', '.join(NAMES[:3])} ...): {root} names none, and its masks "
        "have VOC's ids and colours"
    )


def odd_ids(path: Path) -> list[int]:
    """The ids of a mask that do not have VOC's colour of that id. Raises Refusal if it is damaged.

    Masks in colour have none, nor those of a palette that is sorted anew.
    """
    _, image = open_image(path)
    values = ids_in(path, image)
    if values is None or by_palette(values, image, NAMED, path) is not values:
        return []
    palette = np.reshape(image.getpalette() or [], (-1, 3)).tolist() if image.mode == "P" else []
    return [id_ for id_ in np.unique(values.stored).tolist() if id_ not in NAMED.table
            or palette[id_ : id_ + 1] != [unpacked(colour_of(id_))]]  # fmt: skip


def unfit(path: Path, id_: int) -> str:
    return (
        f"{path} contains {id_}, but not in the colour of a VOC class, and no file names the "
        "classes: add --classes FILE with one name per line, --values 0=background 1=NAME, or "
        "--classes voc if they are VOC's 21"
    )


def read_own_voc(path: Path, label_map: LabelMap) -> np.ndarray | Drawn:
    """A mask with VOC's ids and colours. Raises Refusal for any other."""
    if odd := odd_ids(path):
        raise Refusal(unfit(path, odd[0]))
    return read_voc(path, label_map)


def read_voc(path: Path, label_map: LabelMap) -> np.ndarray | Drawn:
    _, image = open_image(path)
    if label_map.colours is not None:
        return read_as(path, label_map)
    values = ids_in(path, image)
    if values is not None:
        return in_classes(by_palette(values, image, label_map, path), label_map, path)
    table = {colour_of(id_): place for id_, place in label_map.table.items() if id_ <= VOID}
    return read_as(path, LabelMap(label_map.classes, table, []))


def ids_in(path: Path, image) -> Values | None:
    """The values of a mask of ids; None for one of colours."""
    in_alpha = image.mode == "RGBA" and is_in_alpha(decoded(path, image), "RGBA")
    return None if image.mode in ("RGB", "RGBA") and not in_alpha else read_values(path)


def by_palette(values: Values, image, label_map: LabelMap, path: Path) -> Values:
    """The values of a palette whose entries were sorted anew: the ids that VOC gives its colours,
    where the indices are no classes. Raises Refusal where both are."""
    if image.mode != "P" or not image.palette or image.palette.mode != "RGB":
        return values
    flat, table = bytes(image.palette.palette), label_map.table
    own = {colour_of(id_): id_ for id_ in table if id_ <= VOID}
    used = np.unique(values.stored).tolist()
    ids = [own.get(int.from_bytes(flat[3 * value : 3 * value + 3])) for value in used]
    if ids == used or None in ids:
        return values
    if set(used) <= table.keys():
        raise Refusal(
            f"{path} stores the ids {used}, but its palette has VOC's colours of {ids}: save it as "
            "grey values, or in colour"
        )
    sorted_ = np.array(ids)[np.searchsorted(used, values.stored)]
    return values._replace(stored=sorted_, notes=(*values.notes, Note(path, SORTED)))


def colour_of(id_: int) -> int:
    """VOC's colour of an id: its bits, lowest first, go to R, G, B in turn, highest bit first."""
    bits = [[id_ >> (3 * turn + channel) & 1 for turn in range(8)] for channel in range(3)]
    return pack(*(sum(bit << 7 - turn for turn, bit in enumerate(row)) for row in bits))


def colours_of(label_map: LabelMap) -> list[list[int]]:
    if label_map.colours is not None:
        return label_map.colours
    ids = {place: id_ for id_, place in sorted(label_map.table.items(), reverse=True)}
    return [unpacked(colour_of(ids[place])) for place in range(len(label_map.classes))]


def listed(root: Path, masks: Path, args, reader: Callable[[Path], Callable]):
    """(items, messages, notes) of the lists in ImageSets/Segmentation, or of all masks if there are
    no lists."""
    folder = Path(args.images) if args.images else root / FOLDERS[0]
    known = images_in(masks)
    pictures, files = Images(folder_of_images(folder, args)), Images(masks)
    splits, broken = splits_in(root / "ImageSets" / "Segmentation")
    items, used = [], set()
    for name, split in (splits or dict.fromkeys(known)).items():
        places = [(folder, pictures.named(name, folder)), (masks, files.named(name, masks))]
        if name.startswith("#") and not any(found for _, found in places):
            continue  # a comment
        odd = next(((place, found) for place, found in places if len(found) != 1), None)
        if odd and odd[1]:
            broken.append(f"{name!r} is listed, but ambiguous: {some(odd[1])}")
        elif odd:
            broken.append(f"{name!r} is listed, but {odd[0]} has no such file")
        else:
            image, mask = (found[0] for _, found in places)
            used |= {mask}
            stem = mask.relative_to(masks).with_suffix("").as_posix()
            items.append(Item(stem, image, reader(mask), split))
    lost = [path.name for path in known.values() if path not in used]
    notes = [f"masks that no list names, left out: {len(lost)} ({some(lost)})"] if lost else []
    taken = {item.image for item in items}
    plain = [path.name for path in images_below(folder) if path not in taken]
    why = "that no list names" if splits else "without a mask"
    notes += [f"images {why}, left out: {len(plain)} ({some(plain)})"] if plain else []
    return items, broken, notes


def splits_in(folder: Path) -> tuple[dict[str, str | None], list[str]]:
    """From stem to split, None for lists not named train, val or test; the first list counts."""
    splits, broken, both = {}, [], []
    lists = sorted(folder.glob("*.txt"), key=lambda path: path.stem.casefold() not in SPLIT_OF)
    for path in lists:
        try:
            lines = read_lines(path, comments=False)  # a stem may begin with #
        except Refusal as refusal:
            broken.append(str(refusal))
            continue
        split = SPLIT_OF.get(path.stem.casefold())
        both += [line for line in lines if split and splits.get(line, split) != split]
        splits = dict.fromkeys(lines, split) | splits
    if both:
        broken.append(
            f"{folder} has lists of other splits that name the same images: {some(both)}. "
            "The first list, such as train.txt, counts: remove them from the others"
        )
    return splits, broken
