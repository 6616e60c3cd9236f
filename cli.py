"""Shared by all commands: refusals, flags from a dataclass, progress. Standard library only."""

import argparse
import dataclasses
import difflib
import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import contextmanager, suppress
from functools import partial

# What requirements.txt brings, by the names that are imported.
PACKAGES = {
    "ai_edge_litert", "array_record", "cv2", "flatbuffers", "grain", "h5py", "imagehash", "jax",
    "jinja2", "keras", "matplotlib", "numpy", "PIL", "pillow_heif", "pycocotools", "scipy", "segno",
    "tensorboard", "tensorflow", "tensorflow_model_optimization", "tf_keras", "tqdm", "yaml",
}  # fmt: skip


class Refusal(Exception):
    """The command could not do its work. Exit code 2.

    The message states what was found, what is needed and what to type.
    """

    exit_code = 2


class Verdict(Exception):
    """The command did its work and the result is negative. Exit code 1."""

    exit_code = 1


def run(main: Callable[[], None]) -> None:
    """Runs a command and is the only place that prints a refusal. Bugs keep their traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # file names may be invalid text
    stops = stop_on_signals()
    try:
        code = outcome(main)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            say("stopped; run the same command again to continue")
        code = 128 + (stops[-1] if stops else signal.SIGINT)
    except BrokenPipeError:  # a reader such as head closed the pipe
        drop_closed_pipes()
        code = 141
    if code:
        sys.exit(code)


def outcome(main: Callable[[], None]) -> int:
    """The exit code of main(), after the line that says why it is not 0."""
    try:
        main()
        sys.stdout.flush()
    except Refusal as refusal:
        say(f"error: {refusal}")
        return Refusal.exit_code
    except Verdict as verdict:
        for line in str(verdict).split("\n"):
            say(line)
        return Verdict.exit_code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:  # one of our own: a bug
            raise
        say(f"error: the package {package} is missing. Type pip install -r requirements.txt")
        return Refusal.exit_code
    return 0


def drop_closed_pipes() -> None:
    """Sends what is left for a closed pipe nowhere, or the flush at the end would fail."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_streams() -> None:
    """Opens the standard streams that were closed: files would get their numbers otherwise."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def stop_on_signals() -> list[int]:
    """Makes SIGTERM and SIGHUP end a command as Ctrl-C does; returns where they are noted.

    Python drops a KeyboardInterrupt that is raised inside a finalizer (`__del__`), and the command
    would go on. It is raised once more, when the finalizer has ended.
    """
    stops = []

    def stop(number, _):
        stops.append(number)
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
            signal.signal(number, stop)
    sys.unraisablehook = partial(stop_again, stops)
    return stops


def stop_again(stops: list[int], unraisable) -> None:
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    number = stops[-1] if stops else signal.SIGINT
    if hasattr(signal, "pthread_kill"):  # also ends a call that the main thread waits in
        again = partial(signal.pthread_kill, threading.main_thread().ident, number)
    else:  # Windows
        again = partial(signal.raise_signal, number)
    timer = threading.Timer(0.01, again)
    timer.daemon = True
    timer.start()


@contextmanager
def postponed():
    """The block that signals which stop a command do not interrupt: a list of those that came.

    A second one interrupts it.
    """
    came = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if callable(handler)}

    def note(number, frame):
        if came:
            before[number](number, frame)
        came.append(number)

    if threading.current_thread() is not threading.main_thread():
        before = {}  # signals reach the main thread alone
    for number in before:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(numbers: list[int]) -> None:
    """Ends the command as the signals that were postponed would have; without any, as Ctrl-C."""
    signal.raise_signal(numbers[0] if numbers else signal.SIGINT)
    raise KeyboardInterrupt


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """Returns `name` if it is known. Else raises Refusal with the nearest name and all names."""
    known = list(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise Refusal(f"there is no {what} {name!r}.{hint} Choose from: {', '.join(known)}")


class Parser(argparse.ArgumentParser):
    """argparse whose errors are refusals: one line with a remedy, exit code 2."""

    def parse_args(self, args=None, namespace=None):
        self.args = sys.argv[1:] if args is None else args
        return super().parse_args(args, namespace)

    def error(self, message):
        missing = message.partition("are required: ")[2].split(", ")
        missing = " and ".join(name for name in missing if name and not name.startswith("-"))
        greedy = [name for action in self._actions if action.nargs == "+"
                  for name in action.option_strings if name in self.args]  # fmt: skip
        if missing and greedy:
            takes, it = ("takes", "it") if len(greedy) == 1 else ("take", "them")
            message += (
                f". {' and '.join(greedy)} {takes} all the words that follow {it}: "
                f"put {missing} before {it}"
            )
        raise Refusal(f"{message}. {self.prog} --help shows the usage")


def parser(command: str, about: str) -> Parser:
    return Parser(
        prog=command, description=about, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def add_flags(parser: argparse.ArgumentParser, options: type) -> None:
    """Adds a flag for every field of a dataclass; help and default come from the field."""
    for field in dataclasses.fields(options):
        meta = dict(field.metadata)
        if field.default is False:
            parser.add_argument(flag(field.name), action="store_true", **meta)
            continue
        if field.default is dataclasses.MISSING:
            meta["required"] = True
        elif field.default not in (None, ""):
            shown = field.default if isinstance(field.default, tuple) else (field.default,)
            meta["help"] += f" (default {' '.join(map(str, shown))})"
        if "nargs" not in meta:
            meta.setdefault("metavar", {int: "N", float: "X"}.get(meta.get("type"), "NAME"))
        default = None if field.default is dataclasses.MISSING else field.default
        parser.add_argument(flag(field.name), default=default, **meta)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def option(default=dataclasses.MISSING, **meta):
    """A dataclass field that is also a flag; `meta` is passed to argparse."""
    return dataclasses.field(default=default, metadata=meta)


def say(line: str) -> None:
    """Prints progress or a remark to stderr; results are printed to stdout."""
    print(plain(line), file=sys.stderr, flush=True)


def plain(line: str) -> str:
    """A line for a terminal: what would steer it or reorder the text is written as \\x1b, \\u202e.

    Names of files and classes may contain anything.
    """
    return "".join(escaped(c) if is_steering(c) else c for c in line)


def is_steering(character: str) -> bool:
    """Whether a character is a control, a line break or an invisible mark.

    The joiners, which Persian, Hindi and emoji need, are none.
    """
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
    return unseen and character not in "\u200c\u200d"


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
