"""The file layer: files renamed into place, JSON, what is kept from one start to the next.

Standard library only.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

from cli import Refusal


@contextmanager
def quiet():
    """Keeps off the terminal what libraries written in C say for themselves."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def beside(path: Path):
    """A temporary path beside `path` that takes its place when the block ends well.

    An interruption leaves the old file or the new one. Raises Refusal when it cannot be written.
    """
    path = Path(path)
    spare = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name that keeps the suffix: writers choose their format by it.
        handle, spare = tempfile.mkstemp(prefix=".part-", suffix=path.name, dir=path.parent)
        os.close(handle)
        os.chmod(spare, 0o644)
        yield Path(spare)
        with open(spare, "rb") as done:
            os.fsync(done.fileno())
        os.replace(spare, path)
    except OSError as error:
        raise Refusal(
            f"cannot write {path}: {error.strerror or error}. "
            "Free some space or choose a folder that you may write to"
        ) from error
    finally:
        if spare and os.path.exists(spare):
            os.unlink(spare)


def write_json(path: Path, value) -> None:
    with beside(path) as part:
        part.write_text(json.dumps(value, indent=1) + "\n")


def read_json(path: Path):
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise Refusal(f"{path} is missing") from None
    except (ValueError, OSError) as error:
        raise Refusal(f"{path} is damaged: {error}. Restore it or delete its folder") from error


def cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "segnet"


def cached(folder: Path, what: str, fingerprint: str, make: Callable):
    """make(), a JSON value, or what it was when `folder` had this fingerprint.

    One file a folder and thing, so that a dataset that changes leaves nothing behind.
    """
    key = json.dumps([str(Path(folder).resolve()), what])
    path = cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        found = read_json(path)
        if found["fingerprint"] == fingerprint:
            return found["value"]
    except (Refusal, KeyError, TypeError):
        pass  # missing or damaged: made again
    value = make()
    with suppress(Refusal):  # no room or no right to write: only the next start takes longer
        write_json(path, {"fingerprint": fingerprint, "value": value})
    return value
