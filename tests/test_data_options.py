"""Options and paths of python -m data that cannot be: one line, exit code 2, nothing written."""

import pytest
from commands import run
from sources import SOURCES

from data.shapes import write_shapes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    write_shapes(folder / "shapes", train=2, val=1)
    SOURCES["folder"](folder / "source")
    (folder / "file").write_text("mine")
    return folder


IMPORT = "import folder source out"
REFUSALS = {
    "shapes file": "file exists: name a new or an empty folder, or remove it first",
    "shapes file/out": "file is a file. Free some space or choose a folder",
    "shapes .": ". is the current folder: name a new",
    "shapes out --seed -1": "argument --seed: -1: a whole number from 0 on is needed",
    "shapes out --seed x": "argument --seed: x: a whole number from 0 on is needed",
    f"{IMPORT} --group (": "argument --group: ( is no regular expression: missing )",
    f"{IMPORT} --val -0.5": "argument --val: -0.5 is not a fraction; needed: from 0 to below 1",
    f"{IMPORT} --val nan": "argument --val: nan is not a fraction",
    f"{IMPORT} --test=-1e9": "argument --test: -1e9 is not a fraction",
    f"{IMPORT} --test inf": "argument --test: inf is not a fraction",
    f"{IMPORT} --val 0.5 --test 0.5": "--val 0.5 and --test 0.5 leave nothing to train on",
    "import folder source file": "file exists: name a new or an empty folder",
    "import folder file out": "file is neither a folder nor a zip",
    "check shapes --fix file": "file exists: name a new or an empty folder",
    "check shapes --fix file/out": "file is a file. Free some space or choose a folder",
    "check file": "file is no dataset. It is a file: type python -m data import auto file DIR",
    "pack shapes out --size 0 5": "argument --size: 0: a number from 1 to 99999 is needed",
    "pack shapes out --size 5 -5": "argument --size: -5: a number from 1 to 99999 is needed",
    "pack shapes out --shards 0": "argument --shards: 0: a number from 1 to 99999 is needed",
    "pack shapes out --shards \u00b2": "argument --shards: \u00b2: a number from 1 to 99999",
    "pack shapes file": "file exists but has no shards: choose a new folder",
    "pack shapes file/out": "file is a file. Free some space or choose a folder",
    "preview shapes --augment nan": "--augment is nan; needed: 0 to 2",
    "preview shapes --out out.xyz": "an image cannot be written as .xyz: name a file that ends",
    "preview shapes --out out": "an image cannot be written as a file without an ending: name",
    "preview shapes --out file/out.png": "cannot write file/out.png: file is a file. Free",
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSALS)
def test_options_that_cannot_be(folder, words):
    before = sorted(folder.rglob("*"))
    end = run("data", *words.split(), cwd=folder)
    assert end.returncode == 2 and end.stdout == "", end.stderr
    assert end.stderr.startswith("error: ") and end.stderr.count("\n") == 1
    assert REFUSALS[words] in end.stderr
    assert sorted(folder.rglob("*")) == before and (folder / "file").read_text() == "mine"
