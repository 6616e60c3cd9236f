"""python -m data check: each error and warning is found, and nothing else."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from broken_sets import ALL, FAULTS, ROOT, broken, check, cv2_ids, found, rewrite, valid, whole

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.check import ERROR
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.images import read_pair

__all__ = ["broken", "found", "valid"]  # fixtures


GENUINE = ROOT.parent / "shared" / "data"


@pytest.mark.parametrize("number", range(len(FAULTS)), ids=lambda n: f"{n}: {FAULTS[n][1]}")
def test_each_fault_is_found(found, number):
    _, name, report = FAULTS[number]
    report = report.replace("{}", f"{number:04}")
    lines = [f"{named.name} {named.note}" for named in found[name].files]
    assert sum(report in line for line in lines) == 1, lines


def test_nothing_else_is_found(found):
    """A check reports only images that were broken for it, or for a fault that implies it."""
    implied = {
        "shared mask": "duplicate", "contradiction": "duplicate", "empty mask": "much void",
        "much void": "empty mask", "tiny image": "empty mask", "smoothed mask": "grey levels",
    }  # fmt: skip
    for finding in found.values():
        for named in finding.files:
            fault = FAULTS[int(re.search(r"\d{4}", named.name)[0])][1]
            assert finding.check in (fault, implied.get(fault)), (finding.check, named)


def test_a_valid_dataset_has_no_findings(valid):
    end = check(valid)
    assert end.returncode == 0, end.stdout
    assert "error:" not in end.stdout and "warning:" not in end.stdout
    # The shares of pixels, computed here from all training masks.
    drawn = np.concatenate([m.ravel() for m in map(cv2_ids, sorted(valid.glob("train/masks/*")))])
    for index, name in enumerate(["background", "disc", "box", "star"]):
        share = f"{(drawn == index).mean():.2%}"
        pattern = rf"train: 32 pairs, 32 readable\n(.*\n)*?    {name} +{share}\n"
        assert re.search(pattern, end.stdout)


def test_errors_are_what_training_refuses(broken, found, tmp_path):
    """A pair has an error if and only if reading it for training raises Refusal, except for faults
    that this does not notice."""
    unnoticed = {
        "palette indices", "smoothed mask", "shared mask", "mask name", "leak", "grey levels",
    }  # fmt: skip
    dataset = read_dataset(broken)
    errors = {named.name: f.check for f in found.values() if f.rank == ERROR for named in f.files}
    exam = examine(broken)
    for pair in exam.listing.pairs:
        names = [exam.name(pair.image), exam.name(pair.mask)]
        checks = {errors[name] for name in names if name in errors}
        try:
            if not pair.image.is_fifo():
                read_pair((pair.image, pair.mask), dataset)
        except Refusal as refusal:
            assert checks, refusal
        else:
            assert checks <= unnoticed or pair.image.is_fifo(), (names, checks)


def test_exit_codes_and_json(valid, broken, tmp_path):
    before = sorted(valid.rglob("*"))
    end = check(valid, "--json")
    reported = json.loads(end.stdout)
    assert end.returncode == 0 and reported["findings"] == []
    assert reported["splits"]["val"]["pairs"] == 8
    end = check(broken, "--json")
    reported = json.loads(end.stdout)
    assert end.returncode == 1 and re.search(r"errors from \d+ checks in", end.stderr)
    one = next(f for f in reported["findings"] if f["check"] == "scaled mask")
    assert one["fixable"] and one["rank"] == "error" and len(one["files"]) == 2
    end = check(tmp_path / "none")
    assert end.returncode == 2 and "no such folder" in end.stderr
    assert sorted(valid.rglob("*")) == before


def test_warnings_alone_are_no_error(valid, tmp_path):
    shutil.copytree(valid, tmp_path / "s")
    rewrite(tmp_path / "s", "0003", np.zeros_like)
    end = check(tmp_path / "s")
    assert end.returncode == 0 and "masks/0003.png contains nothing but background" in end.stdout


@pytest.mark.parametrize("kind", ALL)
def test_what_all_masks_have(valid, tmp_path, kind):
    change, classes, name = ALL[kind]
    shutil.copytree(valid, tmp_path / "s")
    whole(tmp_path / "s", change)
    (tmp_path / "s/dataset.toml").write_text(f"classes = {classes}")
    reported = {finding.check: finding for finding in findings(examine(tmp_path / "s"))}
    assert len(reported[name].files) == 40
    errors = {check for check, finding in reported.items() if finding.rank == ERROR}
    assert errors <= {name, "smoothed mask"}


@pytest.mark.parametrize(("name", "wanted"), [
    ("lip", {
        "near leak": ["Baidu_0220"], "near duplicate": ["Baidu_0188", "Baidu_0294", "Baidu_0484"]}),
    ("ccp_person", {"near duplicate": ["0183", "0594", "0907"], "empty mask": ["0536"]}),
    pytest.param("camvid", {"near duplicate": None}, marks=pytest.mark.slow),
])  # fmt: skip
def test_real_datasets(name, wanted):
    if not (GENUINE / name).exists():
        pytest.skip(f"{GENUINE / name} is missing: the real sets are not part of the repository")
    reported = {finding.check: finding for finding in findings(examine(GENUINE / name))}
    assert set(reported) == set(wanted)
    for check_, stems in wanted.items():
        assert stems is None or [Path(n.name).stem for n in reported[check_].files] == stems
