"""What every command shares: refusals, flags from a dataclass, progress. Standard library only."""

import argparse
import dataclasses
import difflib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path


class Refusal(Exception):
    """Something could not be done: what came, what is needed, what to type. Exit code 2."""

    exit_code = 2


class Verdict(Exception):
    """Something was done and the answer is no. Exit code 1."""

    exit_code = 1


def run(main: Callable[[], None]) -> None:
    """Runs a command; the one place that prints a refusal. Bugs keep their traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        main()
        sys.stdout.flush()
    except (Refusal, Verdict) as end:
        print(f"error: {end}" if isinstance(end, Refusal) else str(end), file=sys.stderr)
        sys.exit(end.exit_code)
    except KeyboardInterrupt:
        print("stopped; the same command again continues", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # a reader such as head has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails
        sys.exit(141)


def one_of(word: str, known: Iterable[str], what: str) -> str:
    """Gives back `word` if it is known; else refuses with the nearest name and all names."""
    known = list(known)
    if word in known:
        return word
    near = difflib.get_close_matches(word, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise Refusal(f"no {what} {word!r}.{hint} There are: {', '.join(known)}")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are refusals: one line, the way out, exit code 2."""

    def parse_args(self, words=None, namespace=None):
        self.words = sys.argv[1:] if words is None else words
        return super().parse_args(words, namespace)

    def error(self, message):
        missing = message.partition("are required: ")[2].split(", ")
        missing = " and ".join(name for name in missing if name and not name.startswith("-"))
        greedy = [name for action in self._actions if action.nargs == "+"
                  for name in action.option_strings if name in self.words]  # fmt: skip
        if missing and greedy:
            greedy = " and ".join(greedy)
            message += f". All words behind {greedy} belong to it: put it behind {missing}"
        raise Refusal(f"{message}. {self.prog} --help says what there is")


def parser(command: str, about: str) -> Parser:
    return Parser(
        prog=command, description=about, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def add_flags(parser: argparse.ArgumentParser, options: type) -> None:
    """A flag for every field of a dataclass; help and default come from the field."""
    for field in dataclasses.fields(options):
        meta = dict(field.metadata)
        if field.default is dataclasses.MISSING:
            meta["required"] = True
        elif field.default is not None:
            meta["help"] += " (default %(default)s)"
        if "nargs" not in meta:
            meta.setdefault("metavar", {int: "N", float: "X"}.get(meta.get("type"), "NAME"))
        default = None if field.default is dataclasses.MISSING else field.default
        parser.add_argument("--" + field.name.replace("_", "-"), default=default, **meta)


def option(default=dataclasses.MISSING, **meta):
    """A dataclass field that is also a flag; `meta` goes to argparse."""
    return dataclasses.field(default=default, metadata=meta)


def say(line: str) -> None:
    """Progress and remarks, on stderr; results go to stdout by print."""
    print(line, file=sys.stderr, flush=True)


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
