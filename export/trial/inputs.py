"""The images and videos that are tried, and the names of what is made of them."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cli
from data.layout import IMAGE_ENDINGS

VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".wmv")


class Input(NamedTuple):
    """name: the beginning of the names of its results, different for each input.

    camera: its number, of an input that is no file.
    """

    path: Path
    name: str
    camera: int | None = None

    @property
    def is_video(self) -> bool:
        return self.camera is not None or self.path.suffix.lower() in VIDEO_ENDINGS


def find(words: list[str]) -> tuple[list[Input], list[str]]:
    """The inputs that files and folders stand for, each once, and a line for each that is none."""
    paths, faults = {}, []
    for word in words:
        path = Path(word)
        if path.is_dir():
            found = inside(path)
            if not found:
                known = ", ".join(IMAGE_ENDINGS + VIDEO_ENDINGS)
                faults.append(f"{path} holds no image or video; known endings: {known}")
        elif os.path.lexists(path):
            found = [path]
        else:
            found = []
            faults.append(f"no such file or folder: {path}")
        paths |= {os.path.abspath(each): each for each in found}
    return named(list(paths.values())), faults


def inside(folder: Path) -> list[Path]:
    """Images and videos in a folder, sorted; those of folders in it are not taken."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    taken = [path for path in files if path.name.lower().endswith(IMAGE_ENDINGS + VIDEO_ENDINGS)]
    if left := sorted({path.suffix.lower() or path.name for path in set(files) - set(taken)}):
        count = len(files) - len(taken)
        cli.say(f"note: {count} other files in {folder} are left out: {', '.join(left[:5])}")
    return taken


def named(paths: list[Path]) -> list[Input]:
    """Named by their stems; where stems are equal, by whole names, then with a number as well."""
    stems = Counter(path.stem.casefold() for path in paths)
    inputs, taken = [], set()
    for path in paths:
        name = path.stem if stems[path.stem.casefold()] == 1 else path.name
        first, number = name, 2
        while name.casefold() in taken:
            name, number = f"{first}-{number}", number + 1
        taken.add(name.casefold())
        inputs.append(Input(path, name))
    return inputs
