"""Segment Anything's JSON (SA-1B): one file an image, masks without classes."""

from functools import partial
from pathlib import Path

from cli import Refusal
from data.formats import Drawn, Found, Item
from data.formats.archives import opened
from data.formats.find import Images, add_images_option, folder_of_images, unlisted
from data.formats.masks import files_below, split_of
from data.formats.polygons import items_of, read_tree, shape_in, to_rle
from data.formats.regions import Layers
from data.formats.selection import BACKGROUND

ABOUT = """SOURCE: a folder or zip with images and Segment Anything's JSON files, one an image, as
in SA-1B: {"image": {...}, "annotations": [{"segmentation": {"size": ..., "counts": ...}}]}. Its
masks have no classes: all are one class, called object unless --object names it; all other pixels
are background. A folder called train, val or test gives the split."""


def add_arguments(parser) -> None:
    add_images_option(parser)
    parser.add_argument(
        "--object", metavar="NAME", default="object", help="name of the class (default object)"
    )


def read(source: Path, args) -> Found:
    source = opened(source, args)
    files = [path for path in files_below(source) if path.suffix.lower() == ".json"]
    if not files:
        raise Refusal(f"{source} contains no JSON file")
    images, items, broken, objects = Images(folder_of_images(source, args)), [], [], 0
    for path in files:
        try:
            tree = read_tree(path)
            objects += len(items_of(tree, "annotations", path))
            items.append(item_of(tree, path, source, images))
        except Refusal as refusal:
            broken.append(str(refusal))
    notes, odd = unlisted(images, {item.image for item in items})
    classes, broken = [BACKGROUND, args.object], broken + odd
    return Found(classes, items, broken, None, tuple(notes), len(items), objects)


def item_of(tree, path: Path, source: Path, images: Images) -> Item:
    entries = items_of(tree, "annotations", path)
    about = tree.get("image")
    if not isinstance(about, dict):
        raise Refusal(f"{path} has no 'image': it is not a JSON file of Segment Anything")
    split = split_of(path.relative_to(source))
    image = images.find(about.get("file_name"), path.parent, path, split)
    stated = (about.get("height"), about.get("width"))
    return Item(image.stem, image, partial(draw, entries, image, stated, path), split, turned=False)


def draw(entries: list[dict], image: Path, stated, path: Path) -> Drawn:
    """The union of the masks, (H, W)."""
    layers = Layers(shape_in(image, stated, path), path)
    for number, entry in enumerate(entries):
        segmentation = entry.get("segmentation")
        if not isinstance(segmentation, dict):
            raise Refusal(f"{path}: the segmentation of annotation {number} is no RLE")
        layers.add(1, to_rle(segmentation, layers.shape, path))
    return layers.drawn(by_area=True)
