"""What was found out about a dataset once and holds until its files change."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cli import Refusal, read_json, write_json


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
