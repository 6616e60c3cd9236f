"""YOLO segmentation labels: a class and a polygon per line, relative to width and height."""

import re
from functools import partial
from itertools import dropwhile
from pathlib import Path, PurePosixPath

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.find import (
    Images,
    add_images_option,
    folded,
    folder_of_images,
    named_list,
    some,
)
from data.formats.masks import (
    SPLIT_OF,
    images_below,
    is_hidden,
    read_lines,
    read_text,
    split_of,
)
from data.formats.selection import BACKGROUND
from data.formats.tables import classes_in
from data.formats.yolo_labels import draw, label_files, lines_in

ABOUT = """SOURCE: a folder or zip with images below images/, labels below labels/, and class names
in data.yaml (or another .yaml) or classes.txt. A label file elsewhere belongs to the image of its
name, if there is only one. The split comes from train, val and test in
data.yaml, or from folders with these names. Pixels without a polygon are background; where polygons
overlap, the smaller is on top."""

MOST_YAML = 1_000_000  # bytes
MOST_DEEP = 20  # lists and tables in each other
LISTS = ("classes.txt", "obj.names")

add_arguments = add_images_option


def read(source: Path, args) -> Found:
    source = opened(source, args)
    tree, base = settings(source)
    if "kpt_shape" in tree:
        raise Refusal(f"{base / 'data.yaml'} has kpt_shape: its labels are poses, which have no "
                      "outlines; export polygons")  # fmt: skip
    classes, folder = names(tree, base, source), folder_of_images(source, args)
    splits, notes = split_places(tree, base, source, Images(folder))
    images = images_of(folder)
    pairs, broken, labels = label_files(images, folder, source)
    items = []
    for path in images:
        if path not in pairs:
            continue
        stated = [splits[place] for place in (path, *path.parents) if place in splits]
        split = stated[0] if stated else split_of(path.relative_to(folder))
        items.append(Item(path.stem, path, partial(draw, path, pairs[path], len(classes)), split))
    if not images:
        raise Refusal(f"{folder} has no images: put them below images/, or name them by --images")
    count = sum(label is not None for label in pairs.values())
    objects = sum(map(lines_in, labels))
    return Found([BACKGROUND, *classes], items, broken, None, tuple(notes), count, objects)


def images_of(folder: Path) -> list[Path]:
    """The images below folders called images, or all images if there is no such folder."""
    found = images_below(folder)
    return [path for path in found if "images" in map(folded, path.relative_to(folder).parts[:-1])
            ] or found  # fmt: skip


def settings(source: Path) -> tuple[dict, Path]:
    """(content, folder) of data.yaml, or of another .yaml with names, in the source or up to two
    folders below; ({}, source) if there is none. Raises Refusal if others disagree."""
    for pattern in ("", "*/", "*/*/"):
        files = [path for ending in ("yaml", "yml") for path in source.glob(f"{pattern}*.{ending}")
                 if not is_hidden(path, source)]  # fmt: skip
        trees = {path: read_yaml(path) for path in sorted(files)}
        trees = {path: tree for path, tree in trees.items()
                 if isinstance(tree, dict) and tree.get("names")}  # fmt: skip
        named = [path for path in trees if path.stem == "data"] or list(trees)
        if any(trees[path]["names"] != trees[named[0]]["names"] for path in named):
            raise Refusal(f"{some(named)} name different classes: keep one of them")
        if named:
            return trees[named[0]], named[0].parent
    return {}, source


def read_yaml(path: Path):
    """The content of a YAML file: lists and tables of text, because `no` and 02146 may be names.

    Aliases, which can make a few lines endless, are refused.
    """
    import yaml

    text, deep = read_text(path, MOST_YAML), 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            deep += isinstance(event, yaml.CollectionStartEvent)
            deep -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or deep > MOST_DEEP:
                raise Refusal(f"{path} has aliases or is nested deeply: write it out plainly")
        return value_of(yaml.compose(text, yaml.SafeLoader), path)
    except yaml.YAMLError as error:
        raise Refusal(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def value_of(node, path: Path):
    """A node as text, list or dict. Raises Refusal for a key that occurs twice."""
    if node is None or node.id == "scalar":
        return node.value if node else ""
    if node.id == "sequence":
        return [value_of(each, path) for each in node.value]
    found = {}
    for key, value in node.value:
        if not isinstance(key.value, str) or key.value in found:
            raise Refusal(f"{path}: the key {str(key.value)[:40]!r} occurs twice or is no text")
        found[key.value] = value_of(value, path)
    return found


def names(tree: dict, base: Path, source: Path) -> list[str]:
    """The class names, without background. Raises Refusal."""
    return distinct(named_in(tree, base, source))


def named_in(tree: dict, base: Path, source: Path) -> list[str]:
    """The class names: "names", a list, a dict from id or a file, or classes.txt. Raises Refusal.

    base: the folder of data.yaml.
    """
    found, path = tree.get("names"), base / "data.yaml"
    if isinstance(found, str):
        listed = [place for place in below(found, base) if place.is_file()]
        if not listed:
            raise Refusal(f"{path}: names is {found!r}, and there is no such file: write names: "
                          "[cat, dog]")  # fmt: skip
        found = listed_names(listed[0])
    elif found is None:
        listed = named_list(source, LISTS)
        found = listed_names(listed) if listed else None
    if isinstance(found, dict):
        found = in_order(found, path)
    if not found:
        lacks = f"{path} has no names" if path.exists() else f"{source} has no names of classes"
        raise Refusal(f"{lacks}: write names: [cat, dog] in data.yaml, or add classes.txt")
    count = tree.get("nc", "")
    if isinstance(count, str) and count.isdecimal() and int(count) != len(found):
        raise Refusal(f"{path}: nc is {count}, but names has {len(found)}: correct one of them")
    if not all(isinstance(name, str) and name for name in found):
        raise Refusal(f"{path}: names contains {found!r:.80}; needed: a list of texts")
    return found


def listed_names(path: Path) -> dict[str, str]:
    """From id to name, of a file with a name a line or with numbers and names."""
    return {str(value): name for value, name in classes_in(read_lines(path), path)}


def in_order(found: dict, path: Path) -> list[str]:
    """The names in a dict from id, in the order of the ids. Raises Refusal for a gap."""
    ids = {int(key): name for key, name in found.items() if re.fullmatch(r"[0-9]{1,5}", key)}
    missing = [id_ for id_ in range(len(found)) if id_ not in ids]
    if missing:
        raise Refusal(f"{path}: names has {', '.join(found)[:80]} but not {missing[0]}: name the "
                      "classes 0, 1, 2 ... without a gap")  # fmt: skip
    return [ids[id_] for id_ in range(len(found))]


def split_places(tree: dict, base: Path, source: Path, images: Images):
    """(from folder or image to its split, notes), from the entries train, val and test.

    base: the folder of data.yaml. Folders outside the source, such as those of another machine, are
    ignored; of an image in a list the name is enough if only one image has it.
    """
    bases = dict.fromkeys([*below(tree.get("path"), base), base, source])
    found, lost = {}, []
    for key, split in SPLIT_OF.items():
        value = tree.get(key)
        for word in value if isinstance(value, list) else [value]:
            for place in dict.fromkeys(each for root in bases for each in below(word, root)):
                found.setdefault(place, split)
                for line in read_lines(place) if place.suffix == ".txt" else []:
                    named = below(line, place.parent) or images.named(line, place.parent)
                    if len(named) == 1:
                        found.setdefault(named[0], split)
                    else:
                        lost.append(f"{place.name}: {line}")
    lost = [f"lines of lists that name no single image: {len(lost)} ({some(lost)})"] if lost else []
    return found, lost


def below(word, base: Path) -> list[Path]:
    """[base / word] if that exists; a leading ../, which some tools write, is ignored."""
    if not isinstance(word, str) or PurePosixPath(word).is_absolute():
        return []
    parts = PurePosixPath(word.replace("\\", "/")).parts
    parts = list(dropwhile(lambda part: part == "..", parts))
    try:
        place = base.joinpath(*parts)
        return [place] if parts and ".." not in parts and place.exists() else []
    except (OSError, ValueError):
        return []


def distinct(found: list[str]) -> list[str]:
    if BACKGROUND in found or len(set(found)) < len(found):
        raise Refusal(f"names must be distinct and not {BACKGROUND!r}; found: {found}")
    return found
