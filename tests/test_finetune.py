"""Fine-tuning for smaller files: reports, exact resume, refusals."""

import os
import re
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import open_terminal, read
from tuning import EPOCHS, ROOT, SIZE, STEPS, batches, evaluate, graph_of, tune, tuned

from cli import Refusal
from segnet.compress import KINDS, FinePlan, rebuilt
from segnet.finetune import fingerprint

__all__ = ["tuned"]  # fixtures


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_reports_and_history(kind, tuned):
    """How many steps are left, a row per epoch in the history; the given graph is not changed."""
    before = fingerprint(graph_of())
    model, folder, (line,) = tuned(kind)
    assert line == f"{kind}: 24 of 24 steps to go"
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + EPOCHS
    assert fingerprint(graph_of()) == before
    trained, given = (g.get_layer("conv1").get_weights()[0] for g in (model, graph_of()))
    assert np.any(trained != given)


class Stop(Exception):
    pass


def stopped_at(step):
    """`batches` that raise Stop before that step."""

    def source(start):
        for number, batch in enumerate(batches(start), start):
            if number == step:
                raise Stop
            yield batch

    return source


@pytest.mark.slow
def test_stopped_and_continued(tuned, tmp_path):
    """The weights are the same to the bit; a finished fine-tuning takes no further step."""
    whole, _, _ = tuned("sparse")
    with pytest.raises(Stop):
        tune("sparse", tmp_path, source=stopped_at(STEPS + 3))
    lines = []
    parts = tune("sparse", tmp_path, say=lines.append)
    assert lines[0].startswith(f"sparse: {2 * STEPS} of {3 * STEPS} steps to go")
    assert all(map(np.array_equal, whole.get_weights(), parts.get_weights()))
    again = tune("sparse", tmp_path, say=lines.append, source=stopped_at(1))
    assert len(lines) == 1
    assert all(map(np.array_equal, whole.get_weights(), again.get_weights()))


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, EPOCHS])
def test_stopped_in_an_evaluation(tuned, tmp_path, epoch):
    """All steps of the last epoch may be taken: its evaluation still decides which is the best."""
    whole, _, _ = tuned("sparse")
    calls = []

    def interrupted(model):
        calls.append(1)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return evaluate(model)

    with pytest.raises(KeyboardInterrupt):
        tune("sparse", tmp_path, judge=interrupted)
    judged = []
    parts = tune("sparse", tmp_path, judge=lambda model: judged.append(1) or evaluate(model))
    assert len(judged) == EPOCHS - epoch + 1
    assert all(map(np.array_equal, whole.get_weights(), parts.get_weights()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_continued(kind, tmp_path):
    code = "import sys, tuning as t; t.tune_and_write(sys.argv[1], t.Path(sys.argv[2]))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    ends = []
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", code, kind, str(tmp_path / name)]
        if name == "parts":
            kill_at(command, environment, STEPS + STEPS // 2)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        with np.load(tmp_path / name / "end.npz") as file:
            ends.append([file[key] for key in file.files])
    assert len(ends[0]) > 20 and all(map(np.array_equal, *ends))


def kill_at(command, environment, step):
    ours, theirs = open_terminal()  # the progress bar is shown on a terminal only
    process = subprocess.Popen(command, env=environment, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen, total = b"", EPOCHS * STEPS
    while chunk := read(ours):
        seen += chunk
        if any(int(n) >= step for n in re.findall(rb"(\d+)/%d \[" % total, seen)):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(ours)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_folder_of_another_plan_or_other_weights(tuned, tmp_path):
    from segnet.finetune import claim

    plan = FinePlan(steps=5, epochs=2, learning_rate=1e-3)
    lines = []
    claim(tmp_path, "qat", graph_of(), plan, lines.append)
    claim(tmp_path, "qat", graph_of(), plan, lines.append)
    other = FinePlan(steps=5, epochs=3, learning_rate=1e-3)
    with pytest.raises(Refusal, match=r"another plan: epochs is 2 there, 3 here\. Remove the"):
        claim(tmp_path, "qat", graph_of(), other, lines.append)
    assert lines == []
    best = tmp_path / "checkpoints" / "best.npz"
    best.parent.mkdir()
    best.write_bytes(b"of the old weights")
    moved = rebuilt(graph_of(), None)
    moved.get_layer("conv1").set_weights([w + 1 for w in moved.get_layer("conv1").get_weights()])
    assert fingerprint(moved) != fingerprint(graph_of())
    claim(tmp_path, "qat", moved, plan, lines.append)
    assert not best.exists() and "starts over" in lines[0]


def test_refusals(tmp_path):
    import tf_keras

    image = tf_keras.Input((*SIZE, 3), name="image")
    x = tf_keras.layers.Conv2D(3, 1, name="one")(image)
    for layer in (
        tf_keras.layers.Rescaling(2.0, name="twice"),
        tf_keras.layers.Conv2D(3, 1, activation="tanh", name="twice"),
    ):
        graph = tf_keras.Model(image, layer(x))
        with pytest.raises(Refusal, match=r"layer twice \(.*does not support quantisation"):
            tune("qat", tmp_path / "run", graph)
        assert not (tmp_path / "run").exists()
    with pytest.raises(Refusal, match=r"no fine-tuning method 'qta'\. Did you mean qat"):
        tune("qta", tmp_path)
    for name, value in (("epochs", 0), ("sparsity", 1.0), ("clusters", 1)):
        with pytest.raises(Refusal, match=f"{name} is {value}; needed"):
            tune("qat", tmp_path, **{name: value})


def test_loss_that_is_not_finite(tmp_path):
    with pytest.raises(Refusal, match=r"the loss became .* at step .* Leave out this recipe"):
        tune("cluster", tmp_path, learning_rate=1e30)


def test_class_weights_reach_the_loss(tmp_path):
    """With weight 0 for class 0, the cross-entropy of masks of class 0 alone is 0."""
    from segnet.finetune import compile_model

    found, masks, _ = next(batches(0))
    losses = []
    for weights in (None, np.array([0.0, 1.0, 1.0])):
        model = rebuilt(graph_of(), None)
        compile_model(model, FinePlan(steps=1, epochs=1, learning_rate=1e-6), weights)
        losses.append(float(model.test_on_batch(found, 0 * masks)))
    assert losses[1] < 1 < losses[0]
