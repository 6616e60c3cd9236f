"""Finds out which format a source is of, says why, and imports it."""

import argparse
import shlex
from pathlib import Path

from cli import Refusal
from data.formats import Found, module_of
from data.formats.archives import opened
from data.formats.clues import Clue, Seen, clues
from data.formats.separate_masks import in_masks

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
        raise Refusal(f"{refusal}. The command: {command(clue, source, args.folder)}") from refusal
    reason = f"the format is {clue.format}: {clue.reason}"
    return found._replace(notes=(reason, *found.notes))


def only(seen: Seen, source: Path, folder: Path) -> Clue:
    """The one format that fits. Raises Refusal for none or several, and for a dataset."""
    if (seen.root / "dataset.toml").exists():
        raise Refusal(f"{source} is a dataset already: train.py --data {source} takes it as it is")
    found = clues(seen)
    if not found:
        raise Refusal(unknown(seen, source))
    if len(found) > 1:
        raise Refusal(f"{source} may be of several formats: {choices(found, source, folder)}")
    if found[0].options:
        raise Refusal(f"{source} looks like {choices(found, source, folder)}, if that is right")
    return found[0]


def is_dataset(folder: Path) -> bool:
    """Whether it has dataset.toml, or masks where a dataset has them."""
    if (folder / "dataset.toml").exists():
        return True
    return any((folder / split / "masks").is_dir() for split in ("train", "val"))


def command(clue: Clue, source: Path, folder="DIR") -> str:
    words = ("python", "-m", "data", "import", clue.format, source, folder, *clue.options)
    return shlex.join(map(str, words))


def choices(found: list[Clue], source: Path, folder="DIR") -> str:
    return "; ".join(f"{c.format} ({c.reason}): type {command(c, source, folder)}" for c in found)


def unknown(seen: Seen, source: Path) -> str:
    """What a source holds that is of no known format, and what to type."""
    endings = ", ".join(f"{n} {ending or 'no ending'}" for ending, n in seen.endings.most_common(8))
    folders = ", ".join(f"{name}/" for name, _ in seen.folders.most_common(8)) or "none"
    only_masks = seen.images and all(map(in_masks, seen.images))
    return (
        f"{source} is of no format that is known: files {endings or 'none'}; folders {folders}. "
        + ("It has masks but no images. " if only_masks else "")
        + (f"{seen.damaged[0]}. " if seen.damaged else "")
        + f"If it has images and masks, type python -m data import folder {source} DIR --images "
        "'PATTERN' --masks 'PATTERN'; python -m data import --help names all formats"
    )


def advice(folder: Path) -> str:
    """What to type for a folder that is no dataset, in a sentence; "" where there is none."""
    folder = Path(folder)
    if not folder.is_dir() or is_dataset(folder):
        return ""
    seen = Seen(folder)
    if found := clues(seen):
        return f"It looks like {choices(found, folder)}"
    return "" if {"train", "val"} & seen.folders.keys() or not seen.files else unknown(seen, folder)


def advice_to_check(folder: Path) -> str:
    """`advice` for a raw export only: what else is no dataset, the check describes itself."""
    folder = Path(folder)
    if not folder.is_dir() or is_dataset(folder):
        return ""
    found = [clue for clue in clues(Seen(folder)) if clue.format not in ("folder", "matte")]
    return f"It looks like {choices(found, folder)}" if found else ""
