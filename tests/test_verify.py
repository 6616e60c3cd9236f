"""Verifying a kit: an intact kit passes, and each kind of damage is found by its check."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from export.make import Choices, export_run
from export.proof.verify import verify

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def kits(finished, tmp_path_factory):
    run = shutil.copytree(finished / "run", tmp_path_factory.mktemp("verify") / "run")
    _, refused = export_run(run, "float32,int8", Choices(lower="signs+depth_to_space"))
    assert refused == []
    return run / "export"


@pytest.fixture(params=["float32", "int8"])
def kit(kits, tmp_path, request):
    return shutil.copytree(kits / request.param, tmp_path / "kit")


def wrong(kit):
    """Names of the checks that find a fault."""
    return {check for check, lines in verify(kit).items() if lines}


def change_contract(kit, **change):
    path = kit / "contract.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_an_intact_kit(kit):
    assert wrong(kit) == set()


def test_one_changed_byte_of_a_weight(kit):
    """The centre of the file is within its weights; the hash differs even if the masks agree."""
    raw = bytearray((kit / "model.tflite").read_bytes())
    raw[len(raw) // 2] ^= 0x40
    (kit / "model.tflite").write_bytes(raw)
    assert "hash" in wrong(kit)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"colour_order": "BGR"}, "golden"),
        ({"mean": 0.0, "std": 255.0}, "metadata"),
        ({"resize": "bilinear"}, "resize rule"),
        ({"labels": ["disc", "box", "star", "background"]}, "metadata"),
        ({"targets": ["coreml"]}, "operators"),
    ],
)
def test_a_wrong_contract(kit, change, check):
    change_contract(kit, **change)
    assert check in wrong(kit)


def test_the_golden_pair_reveals_wrong_normalisation_too(kits, tmp_path):
    kit = shutil.copytree(kits / "float32", tmp_path / "kit")
    change_contract(kit, mean=0.0, std=255.0)
    assert {"golden", "resize rule"} <= wrong(kit)


def test_a_changed_output(kit):
    path = kit / "golden/output.bin"
    path.write_bytes(path.read_bytes()[::-1])
    assert wrong(kit) == {"golden"}


def test_a_changed_shape(kit):
    contract = json.loads((kit / "contract.json").read_text())
    change_contract(kit, input={**contract["input"], "shape": [1, 96, 96, 3]})
    assert "tensors" in wrong(kit)


def test_command(kit):
    words = [sys.executable, "-m", "export", "verify", str(kit)]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0 and end.stdout.count(" ok\n") == 6
    change_contract(kit, resize="bilinear")
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 1 and "does not match its contract" in end.stderr
    (kit / "contract.json").unlink()
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2 and "is not a kit: contract.json is missing" in end.stderr
