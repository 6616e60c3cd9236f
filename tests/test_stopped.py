"""Commands of python -m data that are killed, stopped, started twice or short of space."""

import json
import re
import resource
import signal
import subprocess
import sys
import textwrap

import pytest
from commands import ROOT, run
from sources import SOURCES

from data.shapes import write_shapes

MOMENTS = [0.01, 0.2, 0.4, 0.5, 0.9, 0.95, 0.99]  # shares of the calls that a command makes


def command(name: str, folder, out) -> list[str]:
    """The words of a command that writes `out`, after python -m data."""
    if name == "import":
        return ["import", "cvat", str(folder / "in/export.zip"), str(out)]
    if name == "shapes":
        return ["shapes", str(out)]
    if name == "check":
        return ["check", str(folder / "dataset"), "--fix", str(out)]
    return ["pack", str(folder / "dataset"), str(out), "--shards", "2"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    SOURCES["cvat zip"](folder / "in")
    write_shapes(folder / "dataset", train=6, val=2)
    for path in sorted((folder / "dataset/train/images").iterdir())[:2]:
        path.rename(path.with_name(f"é{path.name}"))  # --fix has something to do
        mask = folder / "dataset/train/masks" / path.name
        mask.rename(mask.with_name(f"é{path.name}"))
    return folder


def ends_of(tasks: list[dict]) -> list:
    words = [sys.executable, "tests/stops.py"]
    end = subprocess.run(words, cwd=ROOT, input=json.dumps(tasks), capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    return json.loads(end.stdout)


def contents(folder) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "terminate"])
@pytest.mark.parametrize("name", ["shapes", "import", "check", "pack"])
def test_the_same_command_again_completes_it(inputs, tmp_path, name, number):
    tasks = [{"argv": command(name, inputs, tmp_path / "whole/out")}]
    for at, moment in enumerate(MOMENTS):
        argv = command(name, inputs, tmp_path / str(at) / "out")
        tasks += [{"argv": argv, "moment": moment, "number": number}, {"argv": argv}]
    (code, errors), *ends = ends_of(tasks)
    assert code == 0, errors
    wanted = contents(tmp_path / "whole/out")
    for at, (stopped, (code, errors)) in enumerate(zip(ends[::2], ends[1::2], strict=True)):
        assert stopped[0] in (0, -number, 128 + number), stopped
        # A command that was stopped after its work says that the folder exists.
        assert code == 0 or (code == 2 and "out exists: name a new" in errors), errors
        assert contents(tmp_path / str(at) / "out") == wanted
        assert [path.name for path in (tmp_path / str(at)).iterdir()] == ["out"]
    assert sum(code == 0 for code, _ in ends[1::2]) >= 3


WAITING = """
    import importlib, sys
    import cli
    from data.__main__ import main
    module, name, *words = sys.argv[1:]
    module = importlib.import_module(module)
    kept = getattr(module, name)
    def waiting(*args):
        print("begun", flush=True)
        sys.stdin.readline()
        return kept(*args)
    setattr(module, name, waiting)
    sys.argv = ["data", *words]
    cli.run(main)
"""
BEGINS = {  # the function with which a command begins to write
    "shapes": ("files", "folder_beside"),
    "import": ("files", "folder_beside"),
    "check": ("data.doctor.fix", "folder_beside"),
    "pack": ("data.pack", "claim"),
}


@pytest.mark.parametrize(
    "name", [pytest.param("shapes", marks=pytest.mark.slow), *list(BEGINS)[1:]]
)
def test_of_two_at_once_one_is_refused(inputs, tmp_path, name):
    words = command(name, inputs, tmp_path / "out")
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WAITING), *BEGINS[name], *words], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as one:  # fmt: skip
        assert one.stdout.readline() == "begun\n"
        two = run("data", *words)
        one.communicate("go on\n")
    assert (one.returncode, two.returncode) == (0, 2)
    assert re.search(rf"error: .*/out is in use by process {one.pid} \(.*data", two.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["shapes", "import", "check", "pack"])
def test_a_full_disk(inputs, tmp_path, name):
    """No file may grow beyond a few hundred bytes: a write fails in the middle."""

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    end = run("data", *command(name, inputs, tmp_path / "out"), preexec_fn=fill)
    assert end.returncode == 2 and "Traceback" not in end.stderr, end.stderr
    assert re.search("error: .*(cannot write .*out|unpacked).*: .*too large", end.stderr)
    assert not list(tmp_path.rglob(".part-*")) and not list(tmp_path.glob(".lock-*"))
    if name == "pack":  # the others leave nothing
        assert run("data", *command(name, inputs, tmp_path / "out")).returncode == 0


def test_a_full_disk_is_no_broken_item(tmp_path):
    """Not even the name of the lock's holder can be written."""
    source = SOURCES["folder"](tmp_path / "in")
    end = run("data", "import", "folder", source, tmp_path / "out",
              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30, 30)))  # fmt: skip
    assert end.returncode == 2 and end.stdout == ""
    assert end.stderr == (
        f"error: cannot write {tmp_path}/out: File too large. "
        "Free some space or choose a folder that you may write to\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shapes", "import", "check", "pack"])
def test_the_umask_is_kept(inputs, tmp_path, name):
    """Of images that are linked the permissions are those of the source."""
    umask = 0o027
    end = run("data", *command(name, inputs, tmp_path / "out"), umask=umask)
    assert end.returncode == 0, end.stderr
    for path in tmp_path.rglob("*"):
        if path.is_dir() or path.stat().st_nlink == 1:
            wanted = (0o777 if path.is_dir() else 0o666) & ~umask
            assert path.stat().st_mode & 0o777 == wanted, path
