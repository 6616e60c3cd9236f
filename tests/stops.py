"""Runs commands of python -m data that stop themselves at chosen moments. Run as a script.

Standard input: JSON, a list of tasks (moment, signal, arguments). A task runs in a process of its
own, forked from this one, where everything is imported already. At its `moment`, a share of all
calls of our functions from 0 to 1, it sends itself the signal; without a moment it ends by itself.
Standard output: JSON, [exit code or negative signal, standard error] for each task.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = str(Path(__file__).parent.parent)
HEAVY = ("data.pack", "data.shapes", "data.formats.imports", "data.formats.folder",
         "data.formats.cvat", "data.doctor.fix", "data.doctor.doctor", "data.shards",
         "array_record.python.array_record_module", "tqdm", "imagehash")  # fmt: skip


def count_calls(at: int | None, number: int):
    """Counts the calls of our functions in all threads, and sends `number` at the call `at`."""
    calls = [0]

    def watch(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            calls[0] += 1
            if calls[0] == at:
                os.kill(os.getpid(), number)
                time.sleep(0.01)  # the main thread handles the signal

    sys.setprofile(watch)
    threading.setprofile(watch)
    return calls


def command(argv: list[str], at: int | None, number: int, report: int) -> None:
    """Runs the command in this process and never returns."""
    import cli
    from data.__main__ import main

    sys.argv = ["python -m data", *argv]
    calls, code = count_calls(at, number), 0
    try:
        cli.run(main)
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.setprofile(None)
        sys.stderr.flush()
        os.write(report, str(calls[0]).encode())
        os._exit(code)


def run(argv: list[str], at: int | None = None, number: int = signal.SIGKILL):
    """(exit code or negative signal, standard error, calls) of the command in a fork."""
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(errors.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            command(argv, at, number, theirs)
        os.close(theirs)
        _, status = os.waitpid(child, 0)
        calls = os.read(ours, 100)
        os.close(ours)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), errors.read(), int(calls or 0)


def main() -> None:
    sys.path.insert(0, ROOT)
    for name in HEAVY:
        importlib.import_module(name)
    ends, totals = [], {}
    for task in json.load(sys.stdin):
        argv, at = task["argv"], None
        if "moment" in task:
            at = 1 + int(task["moment"] * totals[task["total"]])
        code, errors, calls = run(argv, at, task.get("number", signal.SIGKILL))
        totals[task.get("name")] = calls
        ends.append([code, errors])
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
