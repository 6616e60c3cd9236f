"""Weights files, which may be a stranger's: nothing in them may point elsewhere or be invented."""

from contextlib import contextmanager
from pathlib import Path

from cli import Refusal

# What h5py raises for files that are damaged, or not of the expected layout.
ERRORS = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError)


@contextmanager
def weights_file(path: Path):
    """The open h5py.File at `path`; what h5py raises until it is closed is a Refusal that names it.

    Refused are links, arrays in other files, and arrays whose numbers are not all in this file: a
    few bytes can declare more than fits in memory.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            check_group(path, file, set())
            yield file
    except ERRORS as error:
        why = str(error).partition("\n")[0]
        raise Refusal(
            f"{path} is damaged or no weights file ({why}). Restore or replace it"
        ) from error


def check_group(path: Path, group, seen: set) -> None:
    import h5py

    for name in group:
        link, item = group.get(name, getlink=True), f"{group.name.rstrip('/')}/{name}"
        if not isinstance(link, h5py.HardLink):
            raise Refusal(f"{path} is not safe to read: {item} is a link")
        found = group[name]
        address = h5py.h5o.get_info(found.id).addr
        if address in seen:  # a second name of it, perhaps in a circle
            continue
        seen.add(address)
        if isinstance(found, h5py.Group):
            check_group(path, found, seen)
        elif not isinstance(found, h5py.Dataset) or not is_whole(found):
            raise Refusal(
                f"{path} is not safe to read: {item} is not an array of numbers stored in this file"
            )


def is_whole(array) -> bool:
    numbers = array.dtype.kind in "fiu" and array.shape is not None
    elsewhere = array.external or array.is_virtual
    return numbers and not elsewhere and array.id.get_storage_size() == array.nbytes


def shapes(path: Path) -> list[tuple[int, ...]]:
    """The shapes of all arrays, sorted. Raises Refusal as `weights_file`."""
    found = []
    with weights_file(path) as file:
        file.visititems(lambda _, item: found.append(getattr(item, "shape", None)))
    return sorted(shape for shape in found if shape is not None)
