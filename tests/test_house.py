"""Structure of the code: import rules, sizes of files and functions, the time of --help."""

import ast
import resource
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Layers of each package from the bottom up. A file may import from its own layer, without cycles,
# and from the layers below. A name is that of a file or of a whole folder.
LAYERS = {
    "data": (
        ("fingerprint", "intact", "jpeg", "layout", "mirror", "names", "warp"),
        ("kinds",),
        ("dataset", "images", "shards"),
        (
            "augment",
            "batches",
            "drawing",
            "pack",
            "pictures",
            "preview",
            "ready",
            "resizing",
            "shapes",
            "statistics",
        ),
        ("formats",),
        ("doctor",),
    ),
    "segnet": (
        ("rows",),
        ("variants",),
        ("presets",),
        (
            "backend",
            "blocks",
            "build",
            "checkpoint",
            "clock",
            "cluster",
            "hdf5",
            "manifest",
            "cost",
            "losses",
            "metrics",
            "place",
            "plan",
            "run",
            "weights",
        ),
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
        ("review", "trial", "web"),
        ("options", "refuse", "trained", "tune"),
        ("make",),
    ),
}
# What each package or single file may import besides itself.
IMPORTS = {"cli": set(), "files": {"cli"}, "data": {"cli", "files"}, "segnet": {"cli", "files"},
           "export": {"cli", "files", "data", "segnet"},
           "train": {"cli", "files", "data", "segnet"}}  # fmt: skip
TOP = ("benchmarks", "tests")  # these may import everything; nothing may import them


def python_files(names):
    """Paths of files and folders, sorted: all workers of pytest must collect the same tests."""
    for name in names:
        folder = ROOT / name
        found = sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{name}.py"]
        yield from (path.relative_to(ROOT) for path in found)


FILES = list(python_files(IMPORTS))
ALL = list(python_files((*IMPORTS, *TOP)))
TABLES = {"segnet/rows.py", "segnet/variants.py"}


@cache
def tree(path):
    return ast.parse((ROOT / path).read_text())


def package(path):
    return path.parts[0].removesuffix(".py")


def module(path):
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path):
    """Paths of our modules that a file imports, inside functions too."""
    known, found = {module(other): other for other in ALL}, set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {known[name] for name in found if name in known}


def layer(path):
    """Number of the layer in its package; a file in none, such as __main__.py, is above all."""
    name = path.parts[1].removesuffix(".py")
    layers = LAYERS[package(path)]
    return next((n for n, names in enumerate(layers) if name in names), len(layers))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down_the_layers(path):
    for other in imports(path):
        if package(other) != package(path):
            assert package(other) in IMPORTS[package(path)], f"{path} imports {other}"
        elif len(other.parts) > 1 and other.name != "__init__.py":
            assert layer(other) <= layer(path), f"{path} imports {other}"


def test_every_file_is_in_a_layer():
    """Except the entry points, which nothing imports."""
    entries = {str(path) for path in FILES if path.name != "__init__.py" and len(path.parts) > 1
               and layer(path) == len(LAYERS[package(path)])}  # fmt: skip
    assert entries == {"data/__main__.py", "segnet/__main__.py", "export/__main__.py"}


def test_no_import_cycles():
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


def test_templates_are_small():
    paths = [path for name in ("data", "export") for path in (ROOT / name).rglob("*.j2")]
    assert len(paths) > 10
    for path in paths:
        assert path.read_text().count("\n") <= 300, path


def test_export_has_few_files_at_its_top_level():
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
        ["-m", "benchmarks.frame"],
        ["train.py"],
    ],
)
def test_help_takes_under_half_a_second(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_datasets_and_runs_are_ignored_and_code_is_not():
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    asked = ["git", "check-ignore", "data/x", "export/x", "datasets/x", "runs/x"]
    end = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    if end.returncode == 128:
        pytest.skip(f"git does not know this folder: {end.stderr.strip()}")
    assert end.stdout.split() == ["datasets/x", "runs/x"]


def test_void_is_the_same_id_everywhere():
    from data.layout import VOID
    from segnet.losses import VOID as LOSS_VOID

    assert VOID == LOSS_VOID


def test_progress_bars_need_a_terminal():
    calls = [(path, node) for path in FILES for node in ast.walk(tree(path))
             if isinstance(node, ast.Call) and name_of(node.func) == "tqdm"]  # fmt: skip
    assert len(calls) > 5
    for path, node in calls:
        given = {word.arg: word.value for word in node.keywords}
        assert getattr(given.get("disable"), "value", ...) is None, f"{path}:{node.lineno}"


def name_of(function) -> str:
    """tqdm of both tqdm(...) and tqdm.tqdm(...)"""
    return getattr(function, "id", getattr(function, "attr", ""))
