"""The table of kits and runtimes: a sound kit, and one with an alarm."""

import json
import shutil
import subprocess
import sys

import pytest
from kits import ROOT, kit

from benchmarks.self_tests import shown, table

__all__ = ["kit"]  # a fixture


def test_the_table_by_hand(tmp_path):
    good, bad = tmp_path / "one-int8", tmp_path / "two-int8"
    columns = {
        "XNNPACK": {"one-int8": {"fault": None, "part": 0.0125}},
        "1.4.0": {
            "one-int8": {"fault": None, "part": 0.0},
            "two-int8": {"fault": "the output differs", "part": None},
        },
    }
    assert shown(None) == "did not run"
    assert table([good, bad], columns).splitlines() == [
        "| kit | XNNPACK | 1.4.0 |",
        "|---|---|---|",
        "| one-int8 | 0.013 | 0.000 |".replace("0.013", f"{0.0125:.3f}"),
        "| two-int8 | did not run | ALARM: the output differs |",
        "",
        "2 kits, 1 of them with an alarm",
    ]


@pytest.mark.clients
def test_a_sound_kit_and_one_of_another_output(kit, tmp_path):
    """With XNNPACK, without it, and in half precision where the file is in float."""
    kits = [tmp_path / name / "export" / "float32" for name in ("sound", "other")]
    for each in kits:
        shutil.copytree(kit, each)
    command = [sys.executable, "-m", "benchmarks.self_tests", "--out", str(tmp_path / "out")]
    command += [str(each / "model.tflite") for each in kits]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    assert end.stdout.splitlines()[-1] == "2 kits, 0 of them with an alarm"
    made = tmp_path / "out" / "other-float32"
    limits = json.loads((made / "contract.json").read_text())["golden"]
    assert limits["xnnpack"]["tolerance"] > 0 and "XNNPACK" in limits["xnnpack"]["measured"]
    output = bytearray((made / "golden" / "output.bin").read_bytes())
    output[7] ^= 64  # the most significant byte of a float
    (made / "golden" / "output.bin").write_bytes(output)
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert end.stdout.splitlines()[-1] == "2 kits, 1 of them with an alarm"
    assert "| ALARM: the output differs from golden/output.bin" in end.stdout
