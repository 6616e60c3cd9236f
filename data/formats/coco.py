"""COCO instances: polygons and run-length encodings (RLE) in JSON."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened, refuse_links
from data.formats.coco_objects import (
    crowd_note,
    is_crowd_file,
    number_of,
    objects_of,
    short_note,
)
from data.formats.find import (
    Images,
    add_images_option,
    folder_of_images,
    listed_once,
    some,
    unlisted,
)
from data.formats.masks import files_below, split_of
from data.formats.polygons import items_of, split_in, trees
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder or zip with images and instances_*.json, or such a JSON file. train, val
or test in the name of the JSON file gives the split. Pixels without an annotation are background;
where annotations overlap, the smaller is on top. Crowds, and the boxes of annotations without an
outline, become void (the ignore index: neither trained on nor scored). Instances of a class are
merged."""

WAY = ", or name one JSON file as SOURCE"  # out of images that several files list


def add_arguments(parser) -> None:
    add_images_option(parser)
    parser.add_argument(
        "--crowds", choices=("void", "objects"),
        help="what masks with iscrowd: 1 are (default: objects, unless the other annotations of "
        "their file show that they are crowds)",
    )  # fmt: skip


class AnnotationFile(NamedTuple):
    """A JSON file. split: of its images. place: from category id to class index."""

    path: Path
    tree: dict
    split: str | None
    place: dict[int, int]


def read(source: Path, args) -> Found:
    source, folder = source_of(source, args)
    images = Images(folder_of_images(folder, args))
    files, notes = json_files(source, "instances")
    classes, annotated, broken = annotation_files(files, folder, [BACKGROUND])
    listed, objects = [], 0
    for file in annotated:
        objects += len(items_of(file.tree, "annotations", file.path))
        notes += short_note(file.tree, file.path)
        crowd = args.crowds == "void" if args.crowds else is_crowd_file(file.tree, file.path)
        notes += [] if crowd or args.crowds else crowd_note(file.tree, file.path)
        for found in each(file, images, crowd):
            if isinstance(found, str):
                broken.append(found)
            else:
                listed.append((file.path, found))
    items, twice = listed_once(listed, WAY)
    others, odd = unlisted(images, {item.image for _, item in listed})
    broken += twice + odd
    return Found(classes, items, broken, None, (*notes, *others), len(annotated), objects)


def annotation_files(files: list[Path], folder: Path, classes: list[str]):
    """(class names, annotation files, messages). Files may number their categories differently.

    classes: names that come before those of the categories. Raises Refusal if no file is valid.
    """
    found, broken = trees(files)
    named = []
    for path, tree in found:
        try:
            named.append((path, tree, categories(tree, path)))
        except Refusal as refusal:
            broken.append(str(refusal))
    if not named:
        raise Refusal(broken[0])
    everything = sorted(pair for *_, names in named for pair in names.items())
    classes = list(dict.fromkeys([*classes, *(name for _, name in everything)]))
    at = {name: index for index, name in enumerate(classes)}
    annotated = [
        AnnotationFile(
            path,
            tree,
            split_in(path.stem) or split_of(path.relative_to(folder)),
            {id_: at[name] for id_, name in names.items()},
        )
        for path, tree, names in named
    ]
    return classes, annotated, broken


def source_of(source: Path, args) -> tuple[Path, Path]:
    """(source, folder that file names are relative to); the source may be a single JSON file."""
    source = Path(source)
    if source.suffix.lower() == ".json" and source.is_file():
        if not (args.images or args.links):
            refuse_links(source.parent)
        return source, source.parent
    folder = opened(source, args)
    return folder, folder


def json_files(source: Path, kind: str) -> tuple[list[Path], list[str]]:
    """The JSON files with `kind` in their names, or all of them if there are none, and notes."""
    if source.is_file():
        return [source], []
    found = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    chosen = [path for path in found if kind in path.name] or found
    others = [path.name for path in found if path not in chosen]
    return chosen, [f"other JSON files, not read: {some(others)}"] if others else []


def categories(tree, path: Path) -> dict[int, str]:
    found = {}
    for entry in items_of(tree, "categories", path):
        id_, name = number_of(entry.get("id")), entry.get("name")
        if id_ is not None and isinstance(name, str) and found.setdefault(id_, name) != name:
            raise Refusal(f"{path}: the category {id_} is both {found[id_]!r} and {name!r}")
    if not found:
        raise Refusal(f"{path} has no categories")
    return found


def each(file: AnnotationFile, images: Images, crowd: bool) -> Iterator[Item | str]:
    """An item for each image, or a message if it is broken. crowd: whether iscrowd is void."""
    path, listed = file.path, items_of(file.tree, "images", file.path)
    shapes, lost = by_image(items_of(file.tree, "annotations", path), listed)
    if lost:
        named = f"image_id {some(dict.fromkeys(map(repr, lost)))}"
        if not shapes:
            yield f"{path}: no annotation belongs to a listed image: {named}"
            return
        yield f"{path}: annotations of unknown images: {len(lost)}, {named}"
    ids = Counter(key_of(entry.get("id")) for entry in listed)
    for entry in listed:
        id_ = key_of(entry.get("id"))
        try:
            image = images.find(entry.get("file_name"), path.parent, path, file.split)
            if ids[id_] > 1 and id_ in shapes:
                raise Refusal(f"{path}: {image.name} shares its id {id_!r} with another image")
        except Refusal as refusal:
            yield str(refusal)
            continue
        stated = (entry.get("height"), entry.get("width"))
        entries = shapes.get(id_, [])
        mask = partial(objects_of, entries, image, stated, file.place, path, crowd)
        yield Item(image.stem, image, mask, file.split, turned=False)


def by_image(annotations: list[dict], listed: list[dict]) -> tuple[dict, list]:
    """The annotations of each image by its id, and the ids of those that belong to none.

    The number 1 and the text "1" are one id, unless images have both.
    """
    ids = {key_of(entry.get("id")) for entry in listed} - {None}
    texts = Counter(map(str, ids))
    known = {str(id_): id_ for id_ in ids if texts[str(id_)] == 1} | {id_: id_ for id_ in ids}
    shapes, lost = {}, []
    for entry in annotations:
        id_ = key_of(entry.get("image_id"))
        found = known.get(id_, known.get(str(id_)))
        if id_ is None or found is None:
            lost.append(entry.get("image_id"))
        else:
            shapes.setdefault(found, []).append(entry)
    return shapes, lost


def key_of(id_):
    """The id of an image, or None if it is not valid."""
    return id_ if isinstance(id_, (int, float, str)) and not isinstance(id_, bool) else None
