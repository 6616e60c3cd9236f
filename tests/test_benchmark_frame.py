"""benchmarks.frame: the stages of a kit in Python, and its table."""

import subprocess
import sys

import numpy as np
import pytest
from kits import ROOT, kit

from benchmarks import frame

__all__ = ["kit"]  # a fixture


def test_table_by_hand():
    """Medians of each stage, 2, 6 and 2; all: 10; rest: 4, of 6 two thirds."""
    times = {"tensor": [1, 9, 2], "network": [5, 6, 7], "mask": [1, 2, 9]}
    row = {"place": "node", "path": "exact", "width": 4, "height": 3, "kit": "k", "times": times}
    heads, line = frame.table([row]).splitlines()
    assert heads.split()[:8] == ["read", "tensor", "network", "mask", "colours", "all", "rest",
                                 "ratio"]  # fmt: skip
    assert line.split() == ["-", "2.00", "6.00", "2.00", "-", "10.00", "4.00", "0.67", "node",
                            "exact", "4x3,", "k"]  # fmt: skip


def test_ratio_of_a_jvm_is_to_the_network_of_python():
    """Rest 4 to a network of 2 of the same frame, not to that of another one."""
    row = {"path": "live", "width": 4, "height": 3, "kit": "k"}
    rows = [
        {**row, "place": "jvm", "times": {"tensor": [3], "colours": [1]}},
        {**row, "place": "python", "times": {"tensor": [1], "network": [2]}},
        {**row, "place": "python", "width": 5, "times": {"tensor": [1], "network": [1]}},
    ]
    ratios = [line.split()[7] for line in frame.table(rows).splitlines()[1:]]
    assert ratios == ["2.00", "0.50", "1.00"]
    assert frame.table(rows[:1]).splitlines()[1].split()[7] == "-"


def test_places_take_turns(monkeypatch):
    def place(name):
        def run(kits, rounds):
            asked.append((name, rounds))
            return [{"kit": "k", "path": "live", "width": 4, "height": 3,
                     "times": {"tensor": [float(len(asked))]}}]  # fmt: skip

        return run

    asked = []
    monkeypatch.setattr(frame, "PLACES", {name: place(name) for name in "ab"})
    rows = frame.measured([frame.HERE], ["b", "a"], 7)
    assert asked == [("b", 3), ("a", 3)] * 3
    assert [(row["place"], row["times"]["tensor"]) for row in rows] == [
        ("b", [1, 3, 5]), ("a", [2, 4, 6]),
    ]  # fmt: skip


@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_python(kit, monkeypatch):
    monkeypatch.setattr(frame, "SIZES", [(120, 80)])
    rows = frame.in_python([{"name": "a", "path": str(kit)}], 3)
    assert [row["path"] for row in rows] == ["exact", "live", "smooth"]
    for row in rows:
        assert list(row["times"]) == ["tensor", "network", "mask", "colours"]
        assert all(len(ms) == 3 and np.min(ms) >= 0 for ms in row["times"].values())


@pytest.mark.clients
@pytest.mark.skipif(not frame.CORE.exists(), reason="make .clients/node/done, which needs npm")
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize("place", ["node", "chromium"])
def test_places(kit, monkeypatch, place):
    monkeypatch.setattr(frame, "SIZES", [(120, 80)])
    rows = frame.PLACES[place]([{"name": name, "path": str(kit)} for name in "ab"], 2)
    paths = ["exact", "live", "smooth"] if place == "chromium" else ["exact"]
    assert [(row["kit"], row["path"]) for row in rows] == [(k, p) for k in "ab" for p in paths]
    assert all(len(ms) == 2 for row in rows for ms in row["times"].values())


@pytest.mark.clients
@pytest.mark.skipif(not frame.KOTLIN.exists(), reason="make .clients/kotlin/done, which needs npm")
@pytest.mark.parametrize("kit", ["float32", "int8-full"], indirect=True)
def test_jvm(kit, monkeypatch):
    monkeypatch.setattr(frame, "SIZES", [(120, 80)])
    monkeypatch.setattr(frame, "JVM_WARM_ROUNDS", 2)
    rows = frame.on_jvm([{"name": name, "path": str(kit)} for name in "ab"], 3)
    paths = [(name, path) for name in "ab" for path in ("exact", "live", "smooth")]
    assert [(row["kit"], row["path"]) for row in rows] == paths
    for row in rows:
        assert list(row["times"]) == list(frame.JVM_STAGES[row["path"]])
        assert all(len(ms) == 3 and min(ms) >= 0 for ms in row["times"].values())


def test_not_a_kit(tmp_path):
    words = [sys.executable, "-m", "benchmarks.frame", str(tmp_path)]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.returncode == 2
    assert "is not a kit: web/segnet.js is missing" in end.stderr
