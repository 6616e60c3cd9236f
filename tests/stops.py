"""Runs commands of python -m data that stop themselves at chosen moments. Run as a script.

Standard input: JSON, a list of tasks. Each runs in a process of its own, forked from this one,
where everything is imported already: "argv", and optionally "moment", a share from 0 to 1 of the
calls that the first task made, at which the process sends itself the signal "number".
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
OURS = (f"{ROOT}/data/", f"{ROOT}/files.py")
USED = ("data.pack", "data.formats.imports", "data.formats.cvat", "data.doctor.doctor",
        "data.doctor.fix", "array_record.python.array_record_module", "tqdm", "imagehash",
        "cli", "data.shapes", "data.__main__")  # fmt: skip


def watch_calls(at: int | None, number: int) -> list[int]:
    """Counts the calls that our code makes, in all threads; at the call `at` sends the signal."""
    calls = [0]

    def watch(frame, event, _):
        ours = frame.f_code.co_filename.startswith(OURS)
        if ours and event in ("call", "c_call"):
            calls[0] += 1
            if calls[0] == at:
                os.kill(os.getpid(), number)
                time.sleep(0.01)  # until the main thread has seen it

    sys.setprofile(watch)
    threading.setprofile(watch)
    return calls


def run_here(argv: list[str], at: int | None, number: int, report: int) -> None:
    """Runs a command in this process, which then ends."""
    cli, main = sys.modules["cli"], sys.modules["data.__main__"].main
    sys.argv = ["python -m data", *argv]
    calls, code = watch_calls(at, number), 70
    try:
        cli.run(main)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        sys.setprofile(None)
        sys.stderr.flush()
        os.write(report, str(calls[0]).encode())
        os._exit(code)


def run(argv: list[str], at: int | None, number: int) -> tuple[int, str, int]:
    """(exit code or negative signal, standard error, calls) of a command in a fork."""
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(errors.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            run_here(argv, at, number, theirs)
        os.close(theirs)
        _, status = os.waitpid(child, 0)
        with open(ours) as report:
            calls = report.read()
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), errors.read(), int(calls or 0)


def main() -> None:
    sys.path.insert(0, ROOT)
    for name in USED:
        importlib.import_module(name)
    sys.modules["data.shapes"].write_shapes.__defaults__ = (0, 6, 2)  # a small dataset
    ends, total = [], None
    for task in json.load(sys.stdin):
        at = 1 + int(task["moment"] * total) if "moment" in task else None
        code, errors, calls = run(task["argv"], at, task.get("number", signal.SIGKILL))
        total = total or calls
        ends.append([code, errors])
    json.dump(ends, sys.stdout)


if __name__ == "__main__":
    main()
