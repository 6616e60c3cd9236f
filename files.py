"""Atomic file writes, JSON, and a cache that outlives a process. Standard library only."""

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
    """Hides what native libraries write to stderr."""
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
    """Yields a temporary path beside `path` that replaces it when the block succeeds.

    An interruption leaves either the old file or the new one. Raises Refusal when the file cannot
    be written.
    """
    path = Path(path)
    spare = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name keeps the suffix, from which writers choose their format.
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
    """make(), a JSON value, or its cached result if `folder` had this fingerprint then.

    The cache has one file per folder and `what`, so that a dataset that changes leaves no stale
    files.
    """
    key = json.dumps([str(Path(folder).resolve()), what])
    path = cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    try:
        found = read_json(path)
        if found["fingerprint"] == fingerprint:
            return found["value"]
    except (Refusal, KeyError, TypeError):
        pass  # missing or damaged: computed again
    value = make()
    with suppress(Refusal):  # disk full or not writable: the next start only takes longer
        write_json(path, {"fingerprint": fingerprint, "value": value})
    return value
