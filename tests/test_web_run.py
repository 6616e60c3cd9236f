"""From a run to the page of python -m export web and serve in headless Chromium."""

import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from commands import ROOT, run
from pages import LITERT, golden_agreement, golden_shot, needs_chromium, shown, shown_at

from files import read_json

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A copy of a run, exported with the words that the refusal says."""
    copy = shutil.copytree(finished / "run", tmp_path_factory.mktemp("run") / "run")
    for recipe in ("float32", "float16"):
        end = run("export", "web", copy, "--recipe", recipe, "--litert", LITERT)
        assert end.returncode == 2
        words = shlex.split(end.stderr.partition("Type python -m ")[2].partition(" first")[0])
        end = run(*words)
        assert end.returncode == 0, end.stderr
    return copy


def test_web_of_a_run(exported, tmp_path):
    end = run("export", "web", exported, "--recipe", "float16", "--litert", LITERT)
    assert end.returncode == 0, end.stderr
    folder = exported / "export" / "web-float16"
    assert end.stdout.strip() == str(folder)
    found = shown(folder, *golden_shot(tmp_path / "screen.png"))
    assert "Segmenter wasm passed its self-test" in found["console"]
    assert agreement(exported / "export" / "float16", tmp_path) >= 0.995


def test_serve_of_a_run(exported, tmp_path):
    command = [sys.executable, "-m", "export", "serve", exported, "--port", "0"]
    words = [*map(str, command), "--litert", str(LITERT)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            found = shown_at(address, *golden_shot(tmp_path / "screen.png"))
        finally:
            os.kill(server.pid, signal.SIGINT)
    assert found["state"]["state"] == "ready"
    assert agreement(exported / "export" / "float32", tmp_path) >= 0.995


def agreement(kit, folder):
    colours = read_json(kit / "contract.json")["colours"]
    return golden_agreement(kit / "golden", folder / "screen.png", colours)
