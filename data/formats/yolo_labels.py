"""YOLO's label files: which image each belongs to, and its polygons."""

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from cli import Refusal
from data.formats import Drawn, Objects
from data.formats.find import folded, some
from data.formats.masks import files_below, read_lines, read_text
from data.formats.polygons import paint, polygons_to_rle, split_in, vertices
from data.images import open_image, orientation_of, stored_size

CLASS = r"[0-9]{1,9}(\.0*)?"  # some tools write all numbers as fractions: 1.0
LABEL_LINE = rf"\s*{CLASS}(\s+[-+.\deE]+){{4,}}\s*"
OUTSIDE = 2  # image sides; larger numbers are no fractions of them, but pixels or per cent


def label_files(
    images: list[Path], folder: Path, source: Path
) -> tuple[dict[Path, Path | None], list[str], set[Path]]:
    """The label file of each image, None for an image without one; messages; all label files.

    A label file stands where its image stands, with labels/ in place of the last images/. One that
    stands elsewhere belongs to the image of its name, if no other may be meant. Images whose label
    file is ambiguous are left out. folder: that of the images; source: that of the labels.
    """
    texts = [path for path in files_below(source) if path.suffix.lower() == ".txt"]
    homes = {image: home_of(image.relative_to(folder)) for image in images}
    pairs = at_home(homes, texts, source)
    used = set(pairs.values())
    stray = [path for path in texts if path not in used and has_labels(path)]
    # A folder of images whose label files are at home has none elsewhere, and the reverse.
    full = {homes[image].parent for image in pairs}
    own = {folded(home.parent.as_posix()) for home in homes.values()}
    alone = [image for image in images if image not in pairs and homes[image].parent not in full]
    abroad = [path for path in stray
              if folded(path.relative_to(source).parent.as_posix()) not in own]  # fmt: skip
    more, ambiguous = by_name(alone, abroad, folder, source)
    pairs |= more
    broken = [
        f"{image}: its label file is ambiguous: {some(labels)}. Put it below labels/ as the image "
        "is below images/"
        for image, labels in ambiguous.items()
    ]
    twice, messages = shared(pairs)
    known = {*pairs.values(), *(label for labels in ambiguous.values() for label in labels)}
    if lost := [path.relative_to(source) for path in stray if path not in known]:
        broken.append(f"label files that match no image: {len(lost)} ({some(lost)})")
    left = [image for image in images if image not in ambiguous and image not in twice]
    return {image: pairs.get(image) for image in left}, broken + messages, known | {*stray}


def at_home(homes: dict, texts: list[Path], source: Path) -> dict[Path, Path]:
    """The label file of each image that has one where it is looked for."""
    places = {folded(path.relative_to(source).as_posix()): path for path in texts}
    found = {image: source / home if (source / home).exists() else
             places.get(folded(home.as_posix())) for image, home in homes.items()}  # fmt: skip
    return {image: path for image, path in found.items() if path}


def home_of(image: Path) -> PurePosixPath:
    """Where the label file of an image is looked for first."""
    parts = list(image.with_suffix(".txt").parts)
    folders = [at for at, part in enumerate(parts[:-1]) if folded(part) == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return PurePosixPath(*parts)


def by_name(images: list[Path], labels: list[Path], folder: Path, source: Path):
    """(label file by image, label files by ambiguous image) of files that are not at home.

    Where both paths have a split, it must be the same.
    """
    named = defaultdict(lambda: ([], []))
    for at, (paths, root) in enumerate(((images, folder), (labels, source))):
        for path in paths:
            named[folded(path.stem)][at].append((path, split_named(path.relative_to(root))))
    pairs, ambiguous = {}, {}
    for own, others in named.values():
        for image, split in own:
            fits = [label for label, other in others if agree(split, other)]
            same = [label for label, other in others if split and split == other]
            rivals = sum(agree(split, other) for _, other in own)
            fits = same if len(same) == 1 else fits
            if len(fits) == rivals == 1:
                pairs[image] = fits[0]
            elif fits:
                ambiguous[image] = fits
    return pairs, ambiguous


def agree(one: str | None, other: str | None) -> bool:
    return one == other or None in (one, other)


def split_named(path: Path) -> str | None:
    """The split in the name of a folder, such as train_labels; the last one counts."""
    found = [split_in(part) for part in path.parts[:-1]]
    return next((split for split in reversed(found) if split), None)


def shared(pairs: dict[Path, Path]) -> tuple[set[Path], list[str]]:
    """The images that share their label file with others, and a message for each such file."""
    users = defaultdict(list)
    for image, label in pairs.items():
        users[label].append(image)
    users = {label: images for label, images in users.items() if len(images) > 1}
    return {image for images in users.values() for image in images}, [
        f"{label} belongs to several images, which are left out: {some(images)}. Keep one of them"
        for label, images in users.items()
    ]


def has_labels(path: Path) -> bool:
    """Whether a text file begins like a label file."""
    try:
        lines = read_text(path).split("\n", 20)
    except Refusal:
        return False
    first = next((line for line in lines if line.strip()), "")
    return bool(re.fullmatch(LABEL_LINE, first))


def draw(path: Path, labels: Path | None, count: int) -> Drawn:
    """The mask (H, W) of the image with its EXIF orientation applied, as YOLO reads images.

    Polygons are drawn from the largest to the smallest. Without a label file all is background.
    """
    from pycocotools import mask

    _, header = open_image(path)
    shape = stored_size(header)
    if orientation_of(header) >= 5:  # EXIF: from 5 on width and height are swapped
        shape = shape[::-1]
    if labels is None:
        return Drawn(np.zeros(shape, np.int32), Objects())
    layers, drawn = [], 0
    lines = read_lines(labels)
    refuse_boxes(lines, labels)
    for line in lines:
        id_, points = parsed(line, shape, count, labels)
        layers.append((id_ + 1, polygons_to_rle([points], shape)))
        drawn += bool(layers[-1][1] and mask.area(layers[-1][1]))
    return Drawn(paint(layers, shape), Objects(len(lines), drawn, empty=len(lines) - drawn))


def lines_in(labels: Path) -> int:
    """How many objects a label file has; 0 if it cannot be read."""
    try:
        return len(read_lines(labels))
    except Refusal:
        return 0


def refuse_boxes(lines: list[str], labels: Path) -> None:
    """Raises Refusal for lines of four numbers: x, y, width and height of a box."""
    if boxes := sum(len(line.split()) == 5 for line in lines):
        raise Refusal(
            f"{labels}: 4 numbers after the class in {boxes} of {len(lines)} lines, a box without "
            "an outline; needed: at least 3 pairs. Draw the outline, or remove the line"
        )


def parsed(line: str, shape, count: int, labels: Path) -> tuple[int, np.ndarray]:
    """(class id, (N, 2) x, y in pixels) of a line. Raises Refusal."""
    if "," in line:
        raise Refusal(f"{labels}: {line[:40]!r} has commas; needed: numbers with points, apart by "
                      "spaces")  # fmt: skip
    words = line.split()
    if not re.fullmatch(CLASS, words[0]) or (id_ := int(float(words[0]))) >= count:
        raise Refusal(f"{labels}: the class {words[0]!r} is not valid; needed: 0 to {count - 1}")
    if len(words) < 7 or len(words) % 2 == 0:
        why = ", one too many or too few, such as a confidence" * (len(words) > 7)
        raise Refusal(
            f"{labels}: {len(words) - 1} numbers after the class{why}; needed: at least 3 pairs"
        )
    try:
        numbers = np.array([float(word) for word in words[1:]])
    except ValueError as error:
        raise Refusal(f"{labels}: {error}") from None
    if not np.abs(numbers).max() <= OUTSIDE:
        raise Refusal(f"{labels} has the number {numbers[np.abs(numbers).argmax()]:g}; needed: "
                      "fractions of the image's width and height, from 0 to 1")  # fmt: skip
    return id_, vertices(numbers.reshape(-1, 2) * shape[::-1], shape, labels)
