"""Ultralytics' semantic layout: masks of class ids, in the folder masks_dir of data.yaml."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Found, Item
from data.formats.archives import opened
from data.formats.classes import read_as, to_label_map, with_void
from data.formats.find import Images, missing, some
from data.formats.masks import files_below, images_below, split_of
from data.formats.yolo_seg import named_in, settings, split_places

ABOUT = """SOURCE: a folder or zip with images below images/, masks of class ids below the folder
that masks_dir in data.yaml names, and class names in data.yaml. 255 is void (the ignore index:
neither trained on nor scored). The split comes from train, val and test in data.yaml, or from
folders with these names."""

MASKS = (".png", ".bmp", ".tif", ".tiff")  # in the order in which Ultralytics looks for them


def read(source: Path, args) -> Found:
    source = opened(source, args)
    tree, base = settings(source)
    folder = tree.get("masks_dir")
    if not isinstance(folder, str) or not Path(folder).name or ".." in Path(folder).parts:
        raise Refusal(f"{base / 'data.yaml'} has no masks_dir: write masks_dir: masks in it")
    label_map = with_void(to_label_map(enumerate(names(tree, base, source))))
    splits, notes = split_places(tree, base, source, Images(source))
    items, broken, used = [], [], set()
    for path in images_below(source):
        stem = mask_stem(path, source, folder)
        if stem is None:
            continue
        masks = [stem.parent / (stem.name + ending) for ending in MASKS]
        masks = [mask for mask in masks if mask.exists()]
        if not masks:
            broken.append(f"{path} has no mask: {missing(stem.parent / (stem.name + '.png'))}")
            continue
        used.add(masks[0])
        stated = [splits[place] for place in (path, *path.parents) if place in splits]
        split = stated[0] if stated else split_of(path.relative_to(source))
        items.append(Item(path.stem, path, partial(read_as, masks[0], label_map), split))
    if not items:
        raise Refusal(f"{source} has no images below images/ with masks below {folder}/")
    below = [path for path in files_below(source) if path.suffix.lower() in MASKS]
    lost = [path for path in below if folder in path.parts and path not in used]
    broken += [f"{path} has no image" for path in lost]
    return Found(label_map.classes, items, broken, notes=tuple(notes))


def names(tree: dict, base: Path, source: Path) -> list[str]:
    """The class names, of which background may be one. Raises Refusal if one occurs twice."""
    found = named_in(tree, base, source)
    if len(set(found)) < len(found):
        raise Refusal(f"{base / 'data.yaml'}: names must be distinct; found: {some(found)}")
    return found


def mask_stem(image: Path, source: Path, folder: str) -> Path | None:
    """The mask's path without ending: the last images/ replaced; None without images/."""
    parts = list(image.relative_to(source).with_suffix("").parts)
    folders = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    if not folders:
        return None
    parts[folders[-1]] = folder
    return source.joinpath(*parts)
