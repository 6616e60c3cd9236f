"""The one way to find the image that an annotation names."""

from pathlib import Path

from cli import Refusal
from data.formats.masks import files_below, split_of
from data.formats.polygons import inside


class Images:
    """Finds image files in some folders by their names in a JSON file."""

    def __init__(self, folders: list[Path]):
        self.by_name = {}
        for folder in folders:
            for path in files_below(folder):
                self.by_name.setdefault(path.name, []).append(path)

    def find(self, name, near: Path, json_file: Path, split: str | None = None) -> Path:
        """The file of this name. Of several, prefers those whose path ends with all of `name`, then
        one in `near`, then one in a folder of the split. Raises Refusal unless one remains."""
        tail = inside(near, name, json_file).relative_to(near).parts
        paths = self.by_name.get(tail[-1], [])
        for fits in (
            lambda path: path.parts[-len(tail) :] == tail,
            lambda path: path == near.joinpath(*tail),
            lambda path: split and split_of(path) == split,
        ):
            paths = list(filter(fits, paths)) or paths
        if not paths:
            raise Refusal(f"{json_file}: the image {name} is missing")
        if len(paths) > 1:
            raise Refusal(f"{json_file}: {name} is ambiguous: {paths[0]} or {paths[1]}")
        return paths[0]
