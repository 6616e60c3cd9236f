"""Kits in the runtimes that apps use, each in an environment of its own: make test-clients."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.shapes import CLASSES, write_shapes
from export.kit import export_run
from export.runtime import Runtime

ROOT = Path(__file__).parent.parent


@pytest.mark.clients
@pytest.mark.parametrize("preset", ["tiny", "base", "course160"])
def test_mediapipe_gives_the_same_mask(tmp_path, preset):
    write_shapes(tmp_path / "shapes", train=16, val=4)
    plan = f"--preset {preset} --size 64 64 --epochs 1 --batch 8 --encoder-weights none".split()
    words = ["train.py", "--data", str(tmp_path / "shapes"), "--run", str(tmp_path / "run"), *plan]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    export_run(tmp_path / "run", lowering="depth_to_space")
    kit = tmp_path / "run" / "export" / "float32"
    client = [".venv-mediapipe/bin/python", "tests/clients/mediapipe_client.py", str(kit)]
    end = subprocess.run(client, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(end.stdout)
    assert found["labels"] == CLASSES
    # MediaPipe takes bytes: the same bytes, normalised as the contract says, to the interpreter.
    contract = json.loads((kit / "contract.json").read_text())
    pixels = np.round((np.load(kit / "golden_input.npy") + 1) * 127.5).astype(np.float32)
    inputs = (pixels - contract["mean"]) / np.float32(contract["std"])
    wanted = Runtime(kit / "model.tflite")(inputs.astype(np.float32))[0].argmax(-1)
    equal = (np.array(found["mask"]) == wanted).mean()
    print(f"\nMediaPipe, {preset}: {equal:.4%} of {wanted.size} pixels equal, labels right")
    assert equal == 1.0 and len(np.unique(wanted)) > 1
