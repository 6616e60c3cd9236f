"""What the README shows, run."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from sources import yolo_seg

import cli
from export.make import Choices, export_run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


MODULES = {"train.py": "train", "data": "data.__main__", "export": "export.__main__",
           "segnet": "segnet.__main__"}  # fmt: skip
# Options that the text shows without their command.
INLINE = {
    "--fix": "data check DIR", "--html": "data check DIR",
    "--weights": "train.py --data DIR --run RUN", "--size": "data pack DIR OUT",
    "--only": "data import voc SOURCE DIR", "--map": "data import voc SOURCE DIR",
    "--merge": "data import voc SOURCE DIR", "--val": "data import voc SOURCE DIR",
    "--group": "data import voc SOURCE DIR", "--max-drop": "export RUN", "--lower": "export RUN",
    "--target": "export RUN", "--trust-times": "train.py --data DIR --run RUN",
    "--links": "data import voc SOURCE DIR", "--show": "export try RUN FILE",
    "--lan": "export serve RUN", "--class": "export try RUN FILE",
    "--classes": "export try RUN FILE", "--output": "export RUN",
    "--frame": "export fit --data DIR --latency-ms 5",
    "--backend": "train.py --data DIR --run RUN", "--devices": "train.py --data DIR --run RUN",
}  # fmt: skip
VALUES = {"H": "64", "W": "64", "FORMAT": "voc"}  # of placeholders that stand for no name


class Parsed(Exception):
    """A command has understood its options."""


def understood(words, monkeypatch) -> bool:
    """Whether the command's own parser takes these words; the command does nothing more."""

    def stopped(right):
        def stop(self, args=None, namespace=None):
            right(self, args, namespace)
            raise Parsed

        return stop

    words = [VALUES.get(word, word) for word in words]
    with monkeypatch.context() as patch:
        for name in ("parse_args", "parse_intermixed_args"):
            patch.setattr(cli.Parser, name, stopped(getattr(cli.Parser, name)))
        patch.setattr(sys, "argv", words)
        try:
            importlib.import_module(MODULES[words[0]]).main()
        except (Parsed, SystemExit):  # --help exits
            return True
        except cli.Refusal:
            return False


def commands() -> list[list[str]]:
    """The words after `python` and `python -m` of every command in a block or within a line."""
    blocks = re.findall(r"^ {4}(.*)$", README.replace("\\\n", " "), re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    found = []
    for line in (*blocks, *spans):
        command = re.search(r"(?:^|\s|/)(?:python (?:-m )?|(?=train\.py --))(.+)", line)
        if command:
            words = shlex.split(command[1])
            if words[0] in MODULES:
                found.append(words)
    return found


def test_each_command_is_understood(monkeypatch):
    found = commands()
    assert len(found) > 20 and {words[0] for words in found} == set(MODULES)
    for words in found:
        assert understood(completed(words), monkeypatch), words
    assert not understood(completed(["train.py", "--epoch", "3"]), monkeypatch)


def completed(words) -> list[str]:
    """With a value, and with the options that training needs: the text may show one alone."""
    if words[0] != "train.py":
        return words
    value = ["1"] if words[-1].startswith("--") else []
    return [*words, *value, "--data", "DIR", "--run", "RUN"]


def test_each_option_is_understood(monkeypatch):
    """Of those that the text shows without a command, and with the value that it shows."""
    spans = {tuple(shlex.split(span)) for span in re.findall(r"`(--[^`\n]+)`", README)}
    assert {words[0] for words in spans} == set(INLINE)
    for option, *value in spans:
        words = [*INLINE[option].split(), option]
        values = [value] if value else [[], ["1"]]
        assert any(understood(words + each, monkeypatch) for each in values), words


def test_formats_targets_and_networks_exist():
    from data.formats import FORMATS
    from export.targets.audit import TARGETS
    from segnet.presets import PRESETS

    formats = re.search(r"The formats are (.*?); ", README)[1]
    assert re.findall(r"`([\w-]+)`", formats) == list(FORMATS)
    (targets,) = set(re.findall(r"`--target ([\w,]+)`", README))
    assert targets.split(",") == list(TARGETS)
    rows = re.findall(r"^\| `(\w+)`", README, re.MULTILINE)
    assert len(rows) == 4 and set(rows) <= set(PRESETS)


def test_make_targets_exist():
    targets = set(re.findall(r"(?:^ +\$? ?|`)make ([\w./-]+)", README, re.MULTILINE))
    assert targets >= {"demo", "test", ".venv/done"}
    # What a make around this one was given (VENV=...) would change the targets' names.
    given = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON", "VENV"}
    plain = {name: value for name, value in os.environ.items() if name not in given}
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, env=plain, capture_output=True)


def test_files_and_images_exist():
    tree = re.search(r"## Files\n\n((?: {4}.*\n)+)", README)[1]
    for line in tree.splitlines():
        assert (ROOT / line.split()[0]).exists(), line
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    table = re.search(r"\| to change \| open \|\n((?:\|.*\n)+)", README)[1]
    paths = re.findall(r"`([\w./]+(?:/|\.\w+))`", table)
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists(), path


def test_python_makes_the_same_mask_from_a_run_and_from_a_file(finished, tmp_path, monkeypatch):
    run = shutil.copytree(finished / "run", tmp_path / "runs/demo")
    export_run(run, choices=Choices(max_drop=0.05))
    image = cv2.imread(str(finished / "shapes/val/images/0000.png"))
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.resize(image, (200, 150)))
    monkeypatch.chdir(tmp_path)
    masks = []
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        names = {}
        exec(block.replace("photo.jpg", "photo.png"), names)
        masks.append(names["mask"])
    by_run, by_file = masks
    assert by_run.shape == by_file.shape == (150, 200)
    assert np.array_equal(by_run, by_file) and len(np.unique(by_run)) > 1


@pytest.mark.slow
def test_own_images(tmp_path):
    """The first three commands, with options for a network that trains in seconds."""
    block = re.search(r"## Your own images\n\n((?: {4}.*\n)+)", README)[1]
    lines = [line.strip() for line in block.splitlines()[:3]]
    assert [re.search(r"import|check|train", line)[0] for line in lines] == [
        "import", "check", "train"]  # fmt: skip
    places = {"SOURCE": yolo_seg(tmp_path / "raw"), "DIR": tmp_path / "set",
              "runs/NAME": tmp_path / "run", ".venv/bin/python": sys.executable}  # fmt: skip
    small = shlex.split("--size 32 32 --preset tiny --weights none --epochs 1 --batch 2")
    for line in lines:
        words = [str(places.get(word, word)) for word in shlex.split(line)]
        words += small * ("train.py" in words)
        end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert end.returncode == 0, end.stdout + end.stderr
    assert (tmp_path / "run/best.weights.h5").exists()


@pytest.mark.slow
@pytest.mark.alone
def test_make_demo(tmp_path):
    """In a fresh copy with this environment: under six minutes, mIoU above 0.85, an image."""
    if not (ROOT / ".venv/done").exists():
        pytest.skip("no .venv here: make test makes it")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    os.symlink(ROOT / ".venv", tmp_path / ".venv")
    start = time.perf_counter()
    words = ["make", "--no-print-directory", "demo"]  # make test-slow is a make around this one
    end = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    assert time.perf_counter() - start < 360
    miou = float(re.search(r"^float32 .* mIoU ([\d.]+)", end.stdout, re.MULTILINE)[1])
    assert miou > 0.85
    assert cv2.imread(str(tmp_path / end.stdout.splitlines()[-1])).shape == (600, 800, 3)
