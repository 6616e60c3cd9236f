"""What every command shares: refusals, flags from a dataclass, progress. Standard library only."""

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Callable, Iterable


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
