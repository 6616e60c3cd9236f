"""Finds out which format a source is of, says why, and imports it."""

import argparse
import shlex
from pathlib import Path

from cli import Refusal
from data.formats import Found, module_of
from data.formats.archives import below_top, is_zip, opened
from data.formats.clues import Seen, clues, left_over
from data.formats.mask_clues import Clue

ABOUT = """SOURCE: a folder, zip or JSON file in any of the other formats, but tfds. Looks at the
names of its files and into a few of them, says which format it is of and why, and imports it with
the defaults of that format. Where none or several fit, or where options are needed, nothing is
imported, and the message says what to type."""


def read(source: Path, args) -> Found:
    source = Path(source)
    is_json = source.is_file() and source.suffix.lower() == ".json"
    place = source if is_json else opened(source, args)
    clue = only(Seen(place), source, args.folder)
    module, parser = module_of(clue.format), argparse.ArgumentParser(add_help=False)
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    for name, value in vars(parser.parse_args([])).items():
        setattr(args, name, value)
    try:
        found = module.read(place, args)
    except Refusal as refusal:
        typed = command(clue, source, args.folder)
        raise Refusal(f"{refusal}. The format is {clue.format}, its command: {typed}") from refusal
    reason = f"the format is {clue.format}: {clue.reason}"
    return found._replace(notes=(reason, *found.notes))


def only(seen: Seen, source: Path, folder: Path) -> Clue:
    """The one format that fits. Raises Refusal for none or several, and for a dataset."""
    if (seen.root / "dataset.toml").exists():
        if not source.is_dir():
            raise Refusal(f"{source} holds a dataset already: unpack it and type train.py --data")
        raise Refusal(f"{seen.root} is a dataset already: train.py --data {seen.root} takes it "
                      "as it is")  # fmt: skip
    found = clues(seen) if source.is_dir() else [without_paths(c, seen.root) for c in clues(seen)]
    if not found:
        raise Refusal(f"{source} is of no format that is known: {left_over(seen, source)}")
    if len(found) > 1:
        raise Refusal(f"{source} may be of several formats: {choices(found, source, folder)}")
    if found[0].options:
        raise Refusal(f"{source} looks like {choices(found, source, folder)}, if that is right")
    return found[0]


def without_paths(clue: Clue, root: Path) -> Clue:
    """With FILE for paths in what was unpacked, which will be gone."""
    words = ("FILE" if word.startswith(str(root)) else word for word in clue.options)
    return clue._replace(options=tuple(words))


def is_dataset(folder: Path) -> bool:
    """Whether it has dataset.toml, or masks where a dataset has them."""
    if (folder / "dataset.toml").exists():
        return True
    return any((folder / split / "masks").is_dir() for split in ("train", "val"))


def command(clue: Clue, source: Path, folder="DIR") -> str:
    words = ("python", "-m", "data", "import", clue.format, source, folder, *clue.options)
    return shlex.join(map(str, words))


def choices(found: list[Clue], source: Path, folder="DIR") -> str:
    """Formats with their commands, and what to put into these."""
    lines = "; ".join(f"{c.format} ({c.reason}): type {command(c, source, folder)}" for c in found)
    named = any("=NAME" in word for clue in found for word in clue.options)
    return lines + ", with the names of your classes" * named


def advice(source: Path) -> str:
    """What to type for a source that is no dataset, in a sentence; "" where there is none."""
    source = Path(source)
    if source.is_file():
        kind = "a zip" if is_zip(source) else "a file"
        typed = shlex.join(["python", "-m", "data", "import", "auto", str(source), "DIR"])
        return f"It is {kind}: type {typed}"
    if not source.is_dir() or is_dataset(source):
        return ""
    if is_dataset(place := below_top(source)):
        return f"The dataset is in it: name {place}"
    seen = Seen(source)
    if found := clues(seen):
        return f"It looks like {choices(found, source)}"
    if not seen.files or (source / "train" / "images").is_dir():
        return ""
    return f"It is of no format that is known: {left_over(seen, source)}"


def is_one_split(source: Path) -> bool:
    """Whether it has images/ and masks/ with one mask an image: the check reads them as a split."""
    if not all((Path(source) / name).is_dir() for name in ("images", "masks")):
        return False
    return all(clue.format in ("folder", "matte") for clue in clues(Seen(Path(source))))
