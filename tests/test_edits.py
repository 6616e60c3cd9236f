"""Runs that were edited by hand: one line that names the file, from training, export and score."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from trained import small, thirteen

from cli import Refusal
from export.make import export_run
from files import read_json, write_json
from segnet.checkpoint import checkpoint_file, read_checkpoint, save_checkpoint
from segnet.compress import FinePlan
from segnet.loop import fault
from segnet.plan import Plan
from segnet.run import epochs_done, load_run, read_run
from train import train

__all__ = ["thirteen"]  # fixtures


@pytest.fixture(scope="module")
def whole(thirteen, tmp_path_factory):
    run = tmp_path_factory.mktemp("edits") / "run"
    train(small(thirteen), run)
    return run


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


WRONG = {
    "data": [3, None, ""], "preset": [3, ["tiny"]], "size": [64, [64], [64, 64, 64], [64, 64.5],
    ["64", "64"], None], "epochs": ["3", 0, -1, 2.5, None, True, [3], 10**30],
    "batch": ["6", 0, 1e9], "weights": [None, 3], "teacher": [None, []],
    "width": ["1", -1, math.nan, math.inf, 10**400, None], "learning_rate": [0, -1, math.nan, "x"],
    "weight_decay": [-0.1, math.inf, None], "warmup_steps": [-1, 1.5, math.nan],
    "class_weights": ["equal", 3], "damaged": ["maybe", None], "augment": [-1, 2.5, math.nan, "1"],
    "seed": [-1, 2**32, 0.5, None], "trust_times": ["yes", 1, None],
}  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_options_of_wrong_types_or_ranges(run, key):
    """In a plan, where a sentence names the option, and in plan.json, where it names the file."""
    found = read_json(run / "plan.json")
    assert WRONG.keys() == found.keys()
    for value in WRONG[key]:
        with pytest.raises(Refusal, match=r"^(--|there is no )"):
            Plan(**{**found, key: value})
        write_json(run / "plan.json", {**found, key: value})
        with pytest.raises(Refusal, match=r"plan\.json is damaged, or of another version \(segnet"):
            read_run(run)


def test_plans_that_are_no_plans(run, thirteen):
    found = read_json(run / "plan.json")
    for plan, words in (
        ([found], "names no data"), (3, "names no data"), ({}, "names no data"), (None, "no data"),
        ({**found, "momentum": 1}, r"'momentum', which segnet \S+ does not know. .*, segnet 9\.9,"),
    ):  # fmt: skip
        write_json(run / "plan.json", plan)
        manifest = read_json(run / "manifest.json")
        manifest["versions"]["segnet"] = "9.9"
        write_json(run / "manifest.json", manifest)
        for use in (read_run, export_run, lambda run: train(small(thirteen), run)):
            with pytest.raises(Refusal, match=words):
                use(run)


def edited(manifest, *path, value):
    """A copy with `value` at that place, or without the place for ..."""
    copy = json.loads(json.dumps(manifest))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return copy


PLACES = [
    (("dataset",), ..., "names no dataset"),
    (("dataset",), [], "names no dataset"),
    (("dataset", "classes"), ..., "no list of distinct class names"),
    (("dataset", "classes"), "abcd", "no list of distinct class names"),
    (("dataset", "classes"), [1, 2, 3, 4], "no list of distinct class names"),
    (("dataset", "classes"), ["a", "a", "b", "c"], "no list of distinct class names"),
    (("dataset", "classes"), ["a", "b", "c", "\x1b[2J"], "contain control characters"),
    (("dataset", "classes"), ["a", "b", "c", "d\u202eg"], "contain control characters"),
    (("dataset", "colours"), [[0, 0, 0]], "no colour"),
    (("dataset", "colours"), [[0, 0, 999]] * 4, "no colour"),
    (("command",), "train.py", "no command"),
    (("versions",), ..., "no versions"),
    (("versions", "keras"), 3, "no versions"),
    (("best",), 3, "best epoch"),
    (("best", "sha256"), None, "best epoch"),
    (("epochs_done",), "2", "epochs_done"),
]


@pytest.mark.parametrize(("path", "value", "words"), PLACES)
def test_manifests_that_are_none(run, thirteen, path, value, words):
    write_json(run / "manifest.json", edited(read_json(run / "manifest.json"), *path, value=value))
    for use in (read_run, epochs_done, export_run, lambda run: train(small(thirteen), run)):
        with pytest.raises(Refusal, match=rf"manifest\.json is damaged: .*{words}.* Restore it"):
            use(run)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"run"', "{", ""])
def test_manifests_that_are_no_object(run, content):
    (run / "manifest.json").write_text(content)
    with pytest.raises(Refusal, match=r"manifest\.json is damaged"):
        read_run(run)


def damage_whole(path: Path, kind: str) -> None:
    raw = path.read_bytes()
    if kind == "no zip":
        path.write_bytes(b"dear sir")
    elif kind == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    else:  # pickled code, which would make a file beside the checkpoint

        class Attack:
            def __reduce__(self):
                return Path.touch, (path.with_name("attacked"),)

        np.savez(path, state=json.dumps({}), v00000=np.array([Attack()], object))


@pytest.mark.parametrize("kind", ["no zip", "truncated", "empty", "objects"])
def test_checkpoints_that_cannot_be_read(run, thirteen, kind):
    path = checkpoint_file(run)
    damage_whole(path, kind)
    with pytest.raises(Refusal, match=r"last\.npz is damaged .* Delete it to begin this run again"):
        train(small(thirteen), run)
    assert not path.with_name("attacked").exists()


@pytest.mark.parametrize("change", ["fewer", "more", "shape", "text"])
def test_checkpoints_of_another_network(run, thirteen, change):
    tensors, state = read_checkpoint(run)
    changed = {
        "fewer": tensors[:-1], "more": [*tensors, np.zeros(3)],
        "shape": [np.zeros(9, np.float32), *tensors[1:]],
        "text": [tensors[0].astype(str), *tensors[1:]],
    }[change]  # fmt: skip
    save_checkpoint(run, changed, state)
    with pytest.raises(Refusal, match=r"last\.npz is of another network"):
        train(small(thirteen), run)


STATE = {"step": 3, "best": 0.5, "loss_sum": 0.0, "images": 0, "rate": 0.1,
         "history": [{"epoch": 1, "miou": 0}]}  # fmt: skip
STATES = {
    "step": [7, -1, 2.0, None, "3", 2, 4], "best": [None, "0.5", math.nan], "loss_sum": [math.inf],
    "images": [-1, 3, 0.5], "rate": [None, math.inf],
    "history": [{}, [], [3], [{"epoch": 2}], [{}], [STATE] * 2, None],
}  # fmt: skip


def test_states_of_checkpoints(run, thirteen):
    """Of 6 steps, 3 per epoch: after step 3 there are one row and no image of the next epoch."""
    assert fault(STATE, 6, 3) == ""
    assert fault({**STATE, "step": 4, "images": 4, "loss_sum": 2.0}, 6, 3) == ""
    assert fault({**STATE, "images": 9, "loss_sum": 2.0, "history": []}, 6, 3) == ""  # to evaluate
    for key, values in STATES.items():
        for value in values:
            assert fault({**STATE, key: value}, 6, 3), (key, value)
        assert fault({name: v for name, v in STATE.items() if name != key}, 6, 3)
    tensors, state = read_checkpoint(run)
    save_checkpoint(run, tensors, {**state, "step": 99})
    with pytest.raises(Refusal, match=r"last\.npz is damaged \(step is 99 of 6"):
        train(small(thirteen), run)
    save_checkpoint(run, tensors, [state])
    with pytest.raises(Refusal, match=r"last\.npz is damaged \(its state is no JSON object"):
        train(small(thirteen), run)


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("steps", 1.5), ("epochs", 0), ("epochs", "3"), ("learning_rate", math.nan),
     ("learning_rate", math.inf), ("learning_rate", -1.0), ("batch", None), ("seed", -1),
     ("sparsity", math.nan), ("sparsity", 0.0), ("clusters", 2.5), ("clusters", 1)],
)  # fmt: skip
def test_plans_of_fine_tuning(name, value):
    with pytest.raises(Refusal, match=rf"^{name} is {value!r}; needed: "):
        FinePlan(**{"steps": 1, "epochs": 1, "learning_rate": 1e-3, name: value})


@pytest.mark.parametrize(
    ("words", "came"),
    [
        ("--width -1 --size 64 64 --classes 2", "--width is -1; needed: above 0 and at most 10"),
        ("--width nan --size 64 64 --classes 2", "--width is nan; needed"),
        ("--width inf --size 64 64 --classes 2", "--width is inf; needed"),
        ("--size -64 64 --classes 2", "size -64 64 is not a multiple"),
        ("--size 64 64 --classes -3", "number of classes is -3; needed: at least 2"),
    ],
)
def test_costs_of_what_cannot_be(monkeypatch, words, came):
    from segnet.__main__ import main

    monkeypatch.setattr("sys.argv", ["segnet", "cost", *words.split()])
    with pytest.raises(Refusal, match=came):
        main()


def test_spellings_of_one_folder(run, whole, thirteen, monkeypatch, capsys):
    """./shapes, shapes/ and shapes are one dataset; ./none is a folder, none is not."""
    monkeypatch.chdir(thirteen.parent)
    assert Plan("./shapes/").data == Plan("shapes").data == Plan(".//shapes//.").data == "shapes"
    assert Plan("../a").data == "../a" and Plan("a/../b").data == "a/../b"
    asked = ("none", "./none", "./runs/a/", "imagenet")
    found = [Plan("d", weights=name).weights for name in asked]
    assert found == ["none", "./none", "runs/a", "imagenet"]
    assert Plan("d", teacher="./runs/big/").teacher == "runs/big"
    found = read_json(run / "plan.json")
    write_json(run / "plan.json", {**found, "data": f"{thirteen.parent}/./shapes/"})
    train(small(f"{thirteen}//"), run)
    assert "finished already" in capsys.readouterr().out


def test_weights_of_a_network_that_hardly_fits(whole, thirteen, tmp_path):
    """Of small's layers few have the shapes and names of tiny's; the last norm is one of them."""
    with pytest.raises(Refusal, match=r"only \d+ of \d+ layers of .*run fit this preset, fewer th"):
        train(small(thirteen, preset="small", weights=str(whole)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_finite(run, thirteen):
    model, _, _ = load_run(run)
    weight = model.get_layer("conv1").weights[0]
    weight.assign(np.full(weight.shape, np.nan))
    model.save_weights(run / "best.weights.h5")
    with pytest.raises(
        Refusal, match=r"best\.weights\.h5 is damaged: conv1/kernel has values that"
    ):
        load_run(run)
