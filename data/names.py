"""The names of classes: what a file, a person or a source may call a class."""

import shlex
import unicodedata
from collections.abc import Sequence

from cli import escaped, is_steering

LONGEST = 100  # characters
JOINERS = "\u200c\u200d"  # invisible, but Persian, Hindi and emoji need them


def first_fault(names: Sequence[str]) -> tuple[int, str] | None:
    """The position of the first name that is not allowed and a predicate about it, or None."""
    first = {}
    for index, name in enumerate(names):
        why = fault_of(name)
        if not why and (twin := first.setdefault(folded(name), index)) != index:
            alike = "equals" if names[twin] == name else "differs only in case from"
            why = f"{alike} class {twin}, {shown(names[twin])}"
        if why:
            return index, why
    return None


def fault_of(name: str) -> str:
    """Why a class cannot have this name, as a predicate; "" if it can."""
    if not name.strip().strip(JOINERS):
        return "has no visible character"
    if len(name) > LONGEST:
        return f"has {len(name)} characters; at most {LONGEST} are allowed"
    for character in name:
        if is_steering(character) or unicodedata.category(character) == "Cs":
            return f"contains the invisible or control character {escaped(character)}"
    return ""


def folded(name: str) -> str:
    """A key that is equal for names that differ only in case or in the form of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def shown(name: str) -> str:
    """The name in quotes, escaped and shortened."""
    return repr(name if len(name) <= 40 else f"{name[:37]}...")


def typed(name: str) -> str:
    """The name as a word for bash."""
    return shlex.quote(name) if name.isprintable() else f"$'{''.join(map(for_bash, name))}'"


def for_bash(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
