"""Training in this process: what is seen, kept and recorded; killed at chosen moments, resumed."""

import itertools
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from conftest import history
from test_resume import arrays
from trained import BATCH, IMAGES, STEPS, killed, small, thirteen

from cli import Refusal
from data import batches
from data.dataset import read_dataset
from files import held, read_json, write_json
from segnet import loop
from segnet.run import best_of, keep_best, load_run, read_run, unfinished
from train import begin, evaluate, train

__all__ = ["thirteen"]  # fixtures
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(thirteen, tmp_path_factory):
    """A finished run. To be looked at, not written to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(small(thirteen), run)
    return run


def same_files(one, two):
    """The same weights to the bit, history, best epoch and names of files."""
    for name in ("best.weights.h5", "last.weights.h5"):
        a, b = arrays(one / name), arrays(two / name)
        assert a.keys() == b.keys() and len(a) > 20
        assert all(np.array_equal(a[key], b[key]) for key in a)
    assert history(one) == history(two)
    entries = [read_json(run / "manifest.json") for run in (one, two)]
    bests = [{**entry["best"], "sha256": None} for entry in entries]
    assert bests[0] == bests[1] and entries[0]["epochs_done"] == entries[1]["epochs_done"]
    names = [{path.relative_to(run) for path in run.rglob("*") if path.suffix in (".png", ".h5")}
             for run in (one, two)]  # fmt: skip
    assert names[0] == names[1]


def test_every_image_is_seen_once_per_epoch(thirteen, monkeypatch):
    """13 images in batches of at most 6 are 3 steps, as equal as can be."""
    dataset = read_dataset(thirteen)
    number = {pair: at for at, pair in enumerate(dataset.pairs("train"))}
    monkeypatch.setattr(
        batches, "read_pair", lambda pair, _: (np.full((1, 1, 3), number[pair], np.uint8), pair)
    )
    monkeypatch.setattr(batches, "augment", lambda image, mask, *_: (image, image[..., 0]))
    assert batches.steps_per_epoch(dataset, BATCH) == STEPS == 3
    stream = batches.training_batches(dataset, (1, 1), BATCH, seed=0)
    epochs = [
        [mask.ravel().tolist() for _, mask, _ in itertools.islice(stream, 3)] for _ in range(3)
    ]
    for epoch in epochs:
        assert sorted(map(len, epoch)) == [4, 4, 5]
        assert sorted(itertools.chain(*epoch)) == list(range(IMAGES))
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize(
    ("images", "batch", "sizes"),
    [(12, 6, {6: 2}), (13, 6, {4: 2, 5: 1}), (5, 16, {5: 1}), (17, 16, {8: 1, 9: 1})],
)
def test_sizes_of_batches(thirteen, monkeypatch, images, batch, sizes):
    dataset = read_dataset(thirteen)
    pairs = list(range(images))
    monkeypatch.setattr(type(dataset), "pairs", lambda *_: pairs)
    monkeypatch.setattr(batches, "read_pair", lambda pair, _: (pair, pair))
    pixel = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(batches, "augment", lambda *_: (pixel, pixel[..., 0]))
    steps = batches.steps_per_epoch(dataset, batch)
    stream = batches.training_batches(dataset, (1, 1), batch, seed=0)
    assert Counter(len(mask) for _, mask, _ in itertools.islice(stream, steps)) == sizes


@pytest.mark.slow
def test_the_loss_of_an_epoch_is_the_mean_over_its_images(thirteen, tmp_path, monkeypatch):
    losses, real = [], loop.Loop.say_estimate

    def noted(self):
        losses.append(self.loss_sum)
        real(self)

    monkeypatch.setattr(loop.Loop, "say_estimate", noted)
    train(small(thirteen, epochs=1), tmp_path / "run")
    sums = np.diff([0.0, *losses])
    assert float(history(tmp_path / "run")[0]["loss"]) == pytest.approx(sum(sums) / IMAGES)
    assert 0.5 < sums[2] / 5 / (sums[0] / 4) < 2  # sums over 5 and over 4 images of like losses


@pytest.mark.parametrize("step", [2, pytest.param(3, marks=SLOW), pytest.param(4, marks=SLOW)])
def test_killed_and_resumed_is_equal_to_the_bit(whole, thirteen, tmp_path, monkeypatch, step):
    """In the middle of an epoch, with a checkpoint there, and at its end.

    From step 3 on a process that was not stopped knows both sizes of a batch, another does not.
    """
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 2)
    killed(monkeypatch, small(thirteen), tmp_path / "run", "Loop.save", step - 1)
    saved = np.load(tmp_path / "run/checkpoints/last.npz")["state"]
    assert json.loads(str(saved))["step"] == step
    train(small(thirteen), tmp_path / "run")
    same_files(whole, tmp_path / "run")


@pytest.mark.slow
def test_a_step_is_traced_once_per_size(thirteen, tmp_path, monkeypatch):
    traced, real = [], begin

    def watched(*args):
        model, load = real(*args)
        step = model.train_step
        model.train_step = lambda data: traced.append(data[0].shape[0]) or step(data)
        return model, load

    monkeypatch.setattr("train.begin", watched)
    train(small(thirteen, epochs=3), tmp_path / "run")
    assert sorted(traced) == [4, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("keep_best", True),
        ("keep_best", False),
        ("save_checkpoint", False),
    ],
)
def test_killed_at_the_end_of_an_epoch(whole, thirteen, tmp_path, monkeypatch, name, before):
    """Before and after the best weights are written, and before the epoch's sheet is drawn."""
    run, plan = tmp_path / "run", small(thirteen)
    killed(monkeypatch, plan, run, name, 1, before)
    assert unfinished(run, plan) == "0 of 2 epochs are trained"
    train(plan, run)
    assert unfinished(run, plan) == ""
    same_files(whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_stopped_in_an_evaluation(whole, thirteen, tmp_path, monkeypatch, epoch):
    """Its steps are not taken again: the first thing that is done is the evaluation."""
    calls = []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return evaluate(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("train.evaluate", interrupted)
        train(small(thirteen), tmp_path / "run")
    with np.load(tmp_path / "run/checkpoints/last.npz") as saved:
        state = json.loads(str(saved["state"]))
    assert state["step"] == epoch * STEPS and state["images"] == IMAGES
    assert len(state["history"]) == epoch - 1
    train(small(thirteen), tmp_path / "run")
    same_files(whole, tmp_path / "run")


@pytest.mark.slow
def test_killed_before_the_last_sheet(whole, thirteen, tmp_path, monkeypatch):
    run, plan = tmp_path / "run", small(thirteen)
    killed(monkeypatch, plan, run, "save_checkpoint", 2)
    assert not (run / "samples").exists()
    train(plan, run)
    same_files(whole, run)


@pytest.mark.slow
def test_killed_between_the_best_weights_and_the_manifest(thirteen, tmp_path, monkeypatch):
    """The weights are not those that the manifest knows; training the epoch again mends it."""
    run, plan = tmp_path / "run", small(thirteen, epochs=1)
    killed(monkeypatch, plan, run, "keep_best", 1)
    manifest = read_json(run / "manifest.json")
    write_json(run / "manifest.json", {**manifest, "best": {**manifest["best"], "sha256": "0"}})
    with pytest.raises(Refusal, match=r"best\.weights\.h5 is not the file that training wrote"):
        best_of(run, read_run(run)[1])
    train(plan, run)
    assert best_of(run, read_run(run)[1])["epoch"] == 1


def test_the_manifest_knows_the_best_weights(whole, tmp_path):
    """The SHA-256 by sha256sum's algorithm over the file, epoch and mIoU as in the history."""
    import hashlib

    plan, manifest = read_run(whole)
    row = max(history(whole), key=lambda row: float(row["miou"]))
    digest = hashlib.sha256((whole / "best.weights.h5").read_bytes()).hexdigest()
    wanted = {"epoch": int(row["epoch"]), "miou": float(row["miou"]), "sha256": digest}
    assert manifest["best"] == best_of(whole, manifest) == wanted
    assert manifest["epochs_done"] == 2 and unfinished(whole, plan) == ""
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "best.weights.h5").write_bytes((run / "last.weights.h5").read_bytes() + b"\0")
    with pytest.raises(Refusal, match=r"is not the file that training wrote.* Restore it"):
        best_of(run, manifest)
    keep_best(load_run(whole)[0], run, 7, 0.25)
    assert best_of(run, read_run(run)[1])["epoch"] == 7
    with pytest.raises(Refusal, match=r"manifest\.json does not know best\.weights\.h5"):
        best_of(run, {**manifest, "best": None})
    (run / "best.weights.h5").unlink()
    with pytest.raises(Refusal, match=r"best\.weights\.h5 is missing"):
        best_of(run, manifest)


@pytest.mark.slow
def test_the_best_epoch_is_not_the_last(thirteen, tmp_path, monkeypatch):
    """mIoU 0.5, 0.75, 0.25: the weights of the second epoch stay, those of the third are last."""
    kept, given = [], iter((0.5, 0.75, 0.25))
    monkeypatch.setattr("train.evaluate", lambda *_: {
        "miou": next(given), "pixel_accuracy": 0.5, "iou": {}, "loss": 1.0})  # fmt: skip

    def noting(name):
        real = getattr(loop, name)

        def noted(model, path, *row):
            kept.append((name, *row[:1], [np.asarray(w) for w in model.weights]))
            real(model, path, *row)

        monkeypatch.setattr(loop, name, noted)

    noting("keep_best")
    noting("save_weights")
    train(small(thirteen, epochs=3), tmp_path / "run")
    last = ("save_weights", kept[-1][-1])
    assert [entry[:2] for entry in kept] == [("keep_best", 1), ("keep_best", 2), last]
    assert read_run(tmp_path / "run")[1]["best"]["epoch"] == 2
    model = load_run(tmp_path / "run")[0]
    assert all(map(np.array_equal, map(np.asarray, model.weights), kept[1][-1]))
    model.load_weights(tmp_path / "run/last.weights.h5")
    assert all(map(np.array_equal, map(np.asarray, model.weights), kept[2][-1]))


def test_a_run_has_one_living_process(whole, thirteen):
    with held(whole), pytest.raises(Refusal, match=r"run is in use by process \d+ \("):
        train(small(thirteen), whole)


def test_what_a_killed_export_left_is_no_obstacle(whole, thirteen, tmp_path, capsys):
    """Its folders are its own; half written files of the training go, those of others stay."""
    run = shutil.copytree(whole, tmp_path / "run")
    kit = run / "export/.part-abcdefgh-float32"
    kit.mkdir(parents=True)
    theirs = [run / "export/.part-abcdefgh-report.html", run / ".part-abcdefgh-label-issues.html"]
    ours = [run / f".part-abcdefgh-{name}" for name in ("history.csv", "best.weights.h5")]
    ours.append(run / "samples/.part-abcdefgh-epoch0005.png")
    for path in (*theirs, *ours):
        path.write_text("half")
    train(small(thirteen), run)
    assert "finished already" in capsys.readouterr().out
    assert kit.exists() and [p.exists() for p in theirs] == [True, True]
    assert not any(path.exists() for path in ours)
