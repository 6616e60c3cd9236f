"""255 in masks that dataset.toml does not declare as void, while a class is in no mask."""

import shutil

import pytest
import sources
from broken_sets import check, cv2_ids
from test_doctor_masks import tiny
from trained import small

from cli import Refusal
from data.dataset import read_dataset
from data.doctor.checks.table import findings
from data.doctor.doctor import examine
from data.doctor.fix import write_repaired
from data.layout import VOID
from data.pack import pack
from data.ready import check_ready
from train import train

THREE = "classes = ['bg', 'a', 'b']"
DECLARED = f"{THREE}\nvoid = 255"
AS_255 = ([0, 1, 255], [0, 1], [0, 1, 255])  # b is stored as 255
NAME = "undeclared void"
# name -> (masks, of which the last is in val; dataset.toml; what is found of classes and void)
CASES = {
    "a class stored as 255": (AS_255, THREE, {NAME}),
    "declared": (AS_255, DECLARED, {"absent class"}),
    "another void": (([0, 1, 7], [0, 255], [0, 1]), f"{THREE}\nvoid = 7", {"absent class"}),
    "no 255": (([0, 1], [1, 0], [0, 1]), THREE, {"absent class"}),
    "every class": (([0, 1, 255], [2, 0], [0, 1, 2]), THREE, set()),
    "grey levels": (([0, 255], [0, 0], [0, 255]), "classes = ['bg', 'a']", {"grey levels"}),
    "one class": (([0, 255], [0, 0], [0, 255]), THREE, {"constant class", "absent class"}),
}
ABOUT = {NAME, "absent class", "grey levels", "constant class"}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(tmp_path, case):
    masks, toml, wanted = CASES[case]
    found = {
        finding.check for finding in findings(examine(tiny(tmp_path / "s", *masks, toml=toml)))
    }
    assert found & ABOUT == wanted


def test_the_check_fails_and_says_what_to_do(tmp_path):
    folder = tiny(tmp_path / "s", *AS_255, toml=THREE)
    end = check(folder)
    assert end.returncode == 1 and end.stderr.startswith("1 error in ")
    for line in (
        "class b (id 2) appears in no mask, but 2 of 3 masks contain 255, which is read as void",
        "remedy: If 255 means this class, replace it with the id of the class in all masks; if it "
        "means void, write void = 255 in dataset.toml. --fix does not change this.",
    ):
        assert line in end.stdout
    (folder / "dataset.toml").write_text(DECLARED)
    assert check(folder).returncode == 0


def test_training_refuses(tmp_path):
    folder = tiny(tmp_path / "s", *AS_255, toml=THREE)
    message = (
        rf"{folder}: no mask has b, but some contain 255, which is read as void\. If 255 means "
        rf"this class, replace it with 2 in all masks; if it means void, write void = 255 in "
        rf"{folder}/dataset\.toml"
    )
    with pytest.raises(Refusal, match=message):
        train(small(folder, batch=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_training_does_not_refuse(tmp_path):
    """The same as the check: what is declared, and a class that test has."""
    check_ready(read_dataset(tiny(tmp_path / "a", *AS_255, toml=DECLARED)), 1)
    check_ready(read_dataset(tiny(tmp_path / "b", [0, 1, 7], [0, 1], toml=f"{THREE}\nvoid=7")), 1)
    check_ready(read_dataset(tiny(tmp_path / "c", [0, 1], [0, 1], toml=THREE)), 1)
    folder = tiny(tmp_path / "d", *AS_255, toml=THREE)
    other = tiny(tmp_path / "other", [0, 1], [0, 2], toml=THREE)
    shutil.copytree(other / "val", folder / "test")
    check_ready(read_dataset(folder), 1)


@pytest.mark.parametrize("toml", [THREE, DECLARED])
def test_a_packed_dataset_declares_what_its_source_does(tmp_path, toml):
    pack(tiny(tmp_path / "s", *AS_255, toml=toml), tmp_path / "packed")
    found = {finding.check for finding in findings(examine(tmp_path / "packed"))}
    assert (NAME in found) == (toml == THREE)


@pytest.mark.parametrize("names", ["dataset.toml", "labels.txt"])
def test_fix_declares_the_void_that_it_makes(tmp_path, names):
    """Id 9 is none of three classes; --fix makes it void, and b is in no mask."""
    folder = tiny(tmp_path / "s", [0, 1, 9], [0, 1], [0, 1], toml=THREE)
    if names == "labels.txt":
        (folder / "dataset.toml").unlink()
        (folder / names).write_text("bg\na\nb\n")
    changes = write_repaired(examine(folder), tmp_path / "out")
    assert "dataset.toml: void = 255 added, for what was made void" in changes
    dataset = read_dataset(tmp_path / "out")
    assert dataset.void_declared and dataset.void == VOID and dataset.classes == ["bg", "a", "b"]
    assert {f.check for f in findings(examine(tmp_path / "out"))} & ABOUT == {"absent class"}


def test_fix_does_not_declare_what_it_found(tmp_path):
    folder = tiny(tmp_path / "s", [0, 1, 255], [0, 1, 9], [0, 1], toml=THREE)
    write_repaired(examine(folder), tmp_path / "out")
    assert NAME in {finding.check for finding in findings(examine(tmp_path / "out"))}


def test_fix_moves_a_void_whose_id_becomes_a_class(tmp_path):
    """void = 0 and ids from 1: after 1 is subtracted, 0 is a class and the void must be another."""
    before = ([0, 1, 2], [0, 0], [0, 1], [1, 2, 0, 2])
    folder = tiny(tmp_path / "s", *before, toml='classes = ["a", "b"]\nvoid = 0')
    changes = write_repaired(examine(folder), tmp_path / "out")
    assert "dataset.toml: void is 255 instead of 0, which is a class now" in changes
    dataset = read_dataset(tmp_path / "out")
    assert (dataset.classes, dataset.void) == (["a", "b"], 255)
    found = sorted((tmp_path / "out").glob("*/masks/*.png"), key=lambda path: path.name)
    becomes = {0: 255, 1: 0, 2: 1}
    wanted = [[becomes[value] for value in values] for values in before]
    assert [cv2_ids(path)[0, ::16].tolist() for path in found] == wanted
    assert "off by one" not in {f.check for f in findings(examine(tmp_path / "out"))}


@pytest.mark.parametrize("name", ["voc", "camvid", "coco-panoptic"])
def test_imports_declare_void(tmp_path, name):
    """Of VOC and CamVid, most classes are in no mask; borders and unlabelled pixels are void."""
    source = getattr(sources, name.replace("-", "_"))(tmp_path / "in")
    end = sources.run_import(name, source, tmp_path / "out")
    assert end.returncode == 0, end.stderr
    assert any(VOID in cv2_ids(path) for path in (tmp_path / "out").glob("*/masks/*.png"))
    assert read_dataset(tmp_path / "out").void_declared
    assert NAME not in {finding.check for finding in findings(examine(tmp_path / "out"))}
