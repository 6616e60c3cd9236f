"""Interpreters without the packages, pipes whose reader has gone, names that no text can hold."""

import os
import re
import subprocess
import sys

import pytest
from conftest import PLAN, ROOT
from trained import small, thirteen

import cli
from cli import Refusal
from train import train

__all__ = ["thirteen"]  # fixtures


@pytest.mark.parametrize(
    "words",
    [
        "train.py --data {} --run {}/run",
        "-m export {}",
        "-m data check {}",
        "-m data shapes {}/new",
    ],
)
def test_an_interpreter_without_packages(thirteen, tmp_path, words):
    """-S leaves out the folder that packages are installed in."""
    words = words.format(thirteen if "shapes" not in words else tmp_path, tmp_path).split()
    if words[1] == "export":
        (tmp_path / "plan.json").write_text("{}")
        words[-1] = str(tmp_path)
    end = subprocess.run(
        [sys.executable, "-S", *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert end.returncode == 2 and end.stdout == "", end.stderr
    line = r"error: the package \w+ is missing\. Type pip install -r requirements\.txt\n"
    assert re.fullmatch(line, end.stderr), end.stderr


def test_a_module_of_our_own_that_is_missing_is_a_bug():
    def main():
        raise ModuleNotFoundError("No module named 'data.dataste'", name="data.dataste")

    with pytest.raises(ModuleNotFoundError):
        cli.run(main)


def test_packages_are_those_of_the_requirements():
    """Import names that differ from those in requirements.txt, by hand."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = {re.split("[>=<]", line)[0] for line in lines if not line.startswith("#")}
    others = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml",
              "pillow-heif": "pillow_heif",
              "ImageHash": "imagehash", "ai-edge-litert": "ai_edge_litert",
              "tensorflow-model-optimization": "tensorflow_model_optimization"}  # fmt: skip
    tests_alone = {"pytest", "pytest-xdist", "hypothesis", "ruff"}
    assert {others.get(name, name) for name in names - tests_alone} == cli.PACKAGES


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_pipe_that_is_closed_while_training(thirteen, tmp_path, closed):
    """As by `| head -1`: the training ends without a word."""
    command = [sys.executable, "train.py", "--data", str(thirteen), "--run", str(tmp_path / "run")]
    other = {"stdout": "stderr", "stderr": "stdout"}[closed]
    process = subprocess.Popen(
        [*command, *PLAN], cwd=ROOT, **{closed: subprocess.PIPE, other: subprocess.PIPE}
    )
    getattr(process, closed).close()
    said = getattr(process, other).read().decode()
    assert process.wait() == 141, said
    assert "Traceback" not in said and "Exception" not in said


def test_a_run_whose_name_is_no_text(thirteen, tmp_path):
    run = tmp_path / os.fsdecode(b"run\xff")
    with pytest.raises(Refusal, match=r"is not valid UTF-8.* Name a new --run"):
        train(small(thirteen), run)
    assert list(tmp_path.iterdir()) == []


def test_class_names_do_not_steer_the_terminal(capsys):
    """As manifests and checkpoints of strangers may hold them."""
    from segnet.loop import note

    note("mIoU 0.5 (\x1b[2J 0.5, gnirts\u202eabc 0.5, \u0645\u06cc\u200c\u062e\u0648\u0627)")
    shown = "mIoU 0.5 (\\x1b[2J 0.5, gnirts\\u202eabc 0.5, \u0645\u06cc\u200c\u062e\u0648\u0627)\n"
    assert capsys.readouterr().err == shown
