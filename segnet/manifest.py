"""manifest.json of a run: what it was made of and by, its best epoch, how far it came."""

from pathlib import Path

from cli import Refusal, is_steering
from files import read_json, write_json
from segnet.plan import is_a

MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict:
    """Raises Refusal for a damaged one, such as one that was edited."""
    path = Path(folder) / MANIFEST
    found = read_json(path)
    if why := fault(found):
        raise Refusal(f"{path} is damaged: {why}. Restore it or delete its folder")
    return found


def record(folder: Path, **entries) -> None:
    """Adds entries to the manifest, or replaces them."""
    write_json(Path(folder) / MANIFEST, read_manifest(folder) | entries)


def fault(manifest) -> str:
    """What is wrong, "" if nothing."""
    if not isinstance(manifest, dict):
        return "it is no JSON object"
    if not isinstance(manifest.get("dataset"), dict):
        return "it names no dataset"
    classes, colours = (manifest["dataset"].get(name) for name in ("classes", "colours"))
    if not (is_list(classes, str) and len(set(classes)) == len(classes)):
        return "its dataset has no list of distinct class names"
    if any(is_steering(character) for character in "".join(classes)):
        return "its class names contain control characters"
    if not (isinstance(colours, list) and len(colours) == len(classes) and all(map(rgb, colours))):
        return "its dataset has no colour [r, g, b] for each class"
    if not is_list(manifest.get("command"), str):
        return "it has no command"
    versions = manifest.get("versions")
    if not (isinstance(versions, dict) and is_list([*versions.values()], str)):
        return "it has no versions"
    return fault_of_progress(manifest)


def fault_of_progress(manifest: dict) -> str:
    """Of the entries that a run gets while it is trained."""
    best, kinds = manifest.get("best", {}), {"epoch": int, "miou": float, "sha256": str}
    if "best" in manifest and not (
        isinstance(best, dict) and all(is_a(best.get(name), kind) for name, kind in kinds.items())
    ):
        return "its best epoch is no epoch, mIoU and SHA-256"
    if not is_a(manifest.get("epochs_done", 0), int):
        return "epochs_done is no whole number"
    return ""


def is_list(value, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def rgb(colour) -> bool:
    return is_list(colour, int) and len(colour) == 3 and all(0 <= part <= 255 for part in colour)
