"""The hashes by which any change of a kit is noticed: of its files, and of contract.json itself."""

import hashlib
import json
from pathlib import Path

from cli import Refusal
from data.images import read_checked

BINARY = (".bin", ".png", ".tflite")  # endings; Git may change the line ends of all other files


def sha256(path: Path) -> str:
    """Of a file's bytes; those of a text file with the line ends LF. Raises Refusal."""
    return hashlib.sha256(normalised(path)).hexdigest()


def normalised(path: Path) -> bytes:
    raw = read_checked(Path(path))
    return raw if Path(path).suffix in BINARY else raw.replace(b"\r\n", b"\n")


def hashes(kit: Path) -> dict[str, str]:
    """Relative path to SHA-256 of every file in a folder."""
    files = sorted(path for path in Path(kit).rglob("*") if path.is_file())
    return {path.relative_to(kit).as_posix(): sha256(path) for path in files}


def sealed(contract: dict) -> dict:
    """The contract with its "digest": the SHA-256 of contract.json in which it is left empty."""
    return {**contract, "digest": digest(text({**contract, "digest": ""}))}


def text(contract: dict) -> str:
    """The content of contract.json."""
    return json.dumps(contract, indent=1) + "\n"


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def seal_faults(content: str, contract: dict) -> list[str]:
    """content: that of contract.json, with line ends LF. contract: what it says."""
    found = contract["digest"]
    if found and digest(content.replace(found, "")) == found:
        return []
    return ["it was changed after the kit was made: its digest is another. Copy the kit again"]


def file_faults(kit: Path, files: dict[str, str]) -> list[str]:
    """A line for each file of a kit that is missing or is not the one that was written.

    Files that are not in `files` are left alone: systems and people add their own.
    """
    lines = []
    for name, wanted in files.items():
        try:
            if sha256(Path(kit, name)) != wanted:
                lines.append(f"{name} was changed after the kit was made. Copy the kit again")
        except Refusal as error:
            lines.append(f"{error}. Copy the kit again")
    return lines
