"""The rooms: who imports whom, how large they are, and what it costs to ask for help."""

import ast
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Floors of each house from the ground up: a file imports from its own floor, without circles, and
# from those below it. A name stands for a file or for a whole folder.
FLOORS = {
    "data": (
        ("layout",),
        ("dataset", "images", "shards"),
        ("augment", "batches", "drawing", "pack", "preview", "shapes", "statistics"),
        ("formats",),
        ("doctor",),
    ),
    "segnet": (
        ("rows",),
        ("variants",),
        ("presets",),
        ("backend", "blocks", "build", "cost", "losses", "metrics", "plan", "run", "weights"),
        ("loop", "twin"),
        ("compress", "finetune"),
    ),
    "export": (
        ("recipes",),
        ("tflite",),
        ("targets",),
        ("graph",),
        ("proof",),
        ("kit", "budget"),
        ("report",),
        ("review",),
        ("refuse", "tune"),
        ("make",),
    ),
}
BELOW = {"cli": set(), "files": {"cli"}, "data": {"cli", "files"}, "segnet": {"cli", "files"},
         "export": {"cli", "files", "data", "segnet"},
         "train": {"cli", "files", "data", "segnet"}}  # fmt: skip
ABOVE = {"tests", "benchmarks"}  # they may import everything, nothing imports them
FILES = [
    path.relative_to(ROOT)
    for name in BELOW
    for path in ((ROOT / name).rglob("*.py") if (ROOT / name).is_dir() else [ROOT / f"{name}.py"])
]
ALL = [path.relative_to(ROOT) for top in (*BELOW, *ABOVE) for path in
       ((ROOT / top).rglob("*.py") if (ROOT / top).is_dir() else [ROOT / f"{top}.py"])]  # fmt: skip
TABLES = {"segnet/rows.py", "segnet/variants.py", "data/doctor/checks/table.py"}


@cache
def tree(path):
    return ast.parse((ROOT / path).read_text())


def house(path):
    return path.parts[0].removesuffix(".py")


def module(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path):
    """Names of our modules that a file imports, wherever it does so."""
    known, found = {module(other): other for other in ALL}, set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {known[name] for name in found if name in known}


def floor(path):
    """Number of the floor in its house; doors such as __main__.py stand on the roof."""
    rooms = path.parts[1].removesuffix(".py")
    floors = FLOORS[house(path)]
    return next((n for n, names in enumerate(floors) if rooms in names), len(floors))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path):
    for other in imports(path):
        if house(other) != house(path):
            assert house(other) in BELOW[house(path)], f"{path} imports {other}"
        elif len(other.parts) > 1 and other.name != "__init__.py":
            assert floor(other) <= floor(path), f"{path} imports {other}"


def test_every_file_has_a_floor():
    """What stands on the roof is a door: nothing imports it."""
    roof = {str(path) for path in FILES if path.name != "__init__.py" and len(path.parts) > 1
            and floor(path) == len(FLOORS[house(path)])}  # fmt: skip
    assert roof == {"data/__main__.py", "segnet/__main__.py", "export/__main__.py"}


def test_no_circles_between_files():
    done, path = set(), []

    def visit(file):
        assert file not in path, " -> ".join(map(str, [*path[path.index(file) :], file]))
        if file in done:
            return
        path.append(file)
        for other in sorted(imports(file)):
            visit(other)
        done.add(path.pop())

    for file in FILES:
        visit(file)


@pytest.mark.parametrize("path", ALL, ids=str)
def test_files_and_functions_are_small(path):
    lines = (ROOT / path).read_text().count("\n")
    assert lines <= 300 or str(path) in TABLES, f"{path} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 40, f"{path}: {node.name} has {lines} lines"


def test_export_has_few_files_on_its_own_floor():
    assert len(list((ROOT / "export").glob("*.py"))) <= 12


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
    from data.layout import VOID
    from segnet.losses import VOID as LOSS_VOID

    assert VOID == LOSS_VOID
