"""The rooms: who imports whom, and what it costs to ask for help."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "cli": set(),
    "data": {"cli", "data"},
    "segnet": {"cli", "segnet"},
    "export": {"cli", "data", "segnet", "export"},
    "train": {"cli", "data", "segnet"},
}
ROOMS = {*ALLOWED, "tests", "benchmarks"}  # these two may import all, nothing imports them


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize(
    "path", [p for p in ROOT.rglob("*.py") if room(p) in ALLOWED], ids=lambda p: p.name
)
def test_imports_go_one_way(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names & ROOMS <= ALLOWED[room(path)]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "segnet"],
        ["-m", "data"],
        ["-m", "export"],
        ["-m", "benchmarks.latency"],
        ["-m", "benchmarks.accuracy"],
        ["-m", "benchmarks.lowering"],
        ["-m", "benchmarks.data"],
        ["-m", "benchmarks.size"],
        ["-m", "benchmarks.receptive_field"],
        ["-m", "benchmarks.ideas"],
        ["-m", "benchmarks.opposite"],
        ["-m", "benchmarks.portrait"],
        ["train.py"],
    ],
)
def test_help_is_quick(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_code_folders_are_not_ignored():
    asked = ["git", "check-ignore", "data", "export"]
    assert subprocess.run(asked, cwd=ROOT, capture_output=True).stdout == b""


def test_void_is_one_number():
    from data.labels import VOID
    from segnet.losses import VOID as LOSS_VOID

    assert VOID == LOSS_VOID
