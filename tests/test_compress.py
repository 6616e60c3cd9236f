"""Fine-tuning of the deploy graph: 8 bits, zeros, few distinct weights."""

import gzip
import os
import re
import signal
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import spread_norms

from cli import Refusal
from export.tflite import inspect
from segnet.compress import (
    KINDS,
    LEVEL,
    FinePlan,
    heavy,
    joined,
    rebuilt,
)
from segnet.finetune import finetune, fingerprint

ROOT = Path(__file__).parent.parent
EPOCHS, STEPS, SIZE = 3, 8, (64, 64)
LOWERINGS = [
    "signs+depth_to_space", "mirrored+transpose_conv", "depthwise+depth_to_space", "signs+late_bias"
]  # fmt: skip


@cache
def graph_of(preset="tiny", lowering="signs+depth_to_space", keras=False):
    """The deploy graph of random weights whose batch norms are far from the identity."""
    import tf_keras

    from export.graph import deploy
    from segnet.backend import start
    from segnet.build import build
    from segnet.presets import PRESETS

    k, rows, rng = start(), PRESETS[preset], np.random.default_rng(0)
    k.utils.set_random_seed(0)
    model = build(k, rows, SIZE, 3)
    spread_norms(model, rng)
    lower = deploy.lowering(lowering)
    if keras:
        return deploy.deploy(model, rows, SIZE, 3, lower)
    return deploy.deploy(model, rows, SIZE, 3, lower, k=tf_keras, batch=None)


def images(number, seed):
    return np.random.default_rng(seed).integers(0, 256, (number, *SIZE, 3)).astype(np.uint8)


def batches(start):
    """Images of random bytes; the class is the red third, some pixels are void."""
    for step in range(start, 10**6):
        raw = images(4, step)
        masks = raw[..., 0] // 86
        masks[:, :4] = 255
        yield np.float32(raw / 127.5 - 1), masks


def evaluate(model):
    found, masks = next(batches(10**5))
    share = float((np.asarray(model.predict_on_batch(found)).argmax(-1) == masks).mean())
    return {"miou": share, "pixel_accuracy": share, "iou": {"a": share}}


def tune(kind, folder, graph=None, say=print, source=batches, judge=evaluate, **more):
    plan = FinePlan(**{"steps": STEPS, "epochs": EPOCHS, "learning_rate": 1e-3, "batch": 4, **more})
    return finetune(kind, graph or graph_of(), plan, folder, source, judge, say)


def tune_and_write(kind, folder):
    """What the process does that is killed."""
    np.savez(folder / "end.npz", *tune(kind, folder / "tuned").get_weights())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """kind -> (the fine-tuned model, its folder, what was said), each made when first asked for."""

    @cache
    def made(kind):
        folder, said = tmp_path_factory.mktemp(kind), []
        return tune(kind, folder, say=said.append), folder, said

    return made


def to_file(model, recipe):
    from export.graph.convert import to_tflite
    from export.recipes import BY_NAME

    return to_tflite(model, BY_NAME[recipe])


def test_heavy_layers_by_hand():
    names = heavy(graph_of())
    # tiny: pointwise of 4 encoder rows, 5 deconvolutions, 4 refinements; conv1 is the first.
    assert len(names) == 4 + 5 + 4 and "conv1" not in names and "conv2_pw" in names
    assert not [name for name in names if name.endswith("_dw")]


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_rebuilt_is_the_same_function(lowering):
    """Also of a layer of our own that has weights."""
    graph, image = graph_of(lowering=lowering), np.float32(images(1, 0) / 127.5 - 1)
    again = rebuilt(graph, 1)
    assert again.input_shape == (1, *SIZE, 3)
    assert [layer.name for layer in again.layers] == [layer.name for layer in graph.layers]
    assert np.array_equal(again(image), graph(image))


def test_bytes_fall_on_levels():
    """An image's value of byte b becomes what the file's byte b stands for, with no tie."""
    from segnet.compress import input_layer

    raw = np.arange(256)
    found = input_layer()(-LEVEL / 2)(np.float32(raw / 127.5 - 1))
    assert np.abs(np.asarray(found) - (raw - 128) / 127.5).max() < 1e-6


def test_qat_file(tuned):
    """One partition, no float operator, the Keras model's numbers up to a level."""
    from export.tflite.runtime import Runtime

    model, _, _ = tuned("qat")
    content = to_file(model, "qat8")
    runtime, raw = Runtime(content), images(1, 5)
    found = runtime.partitioning()
    assert found["partitions"] == 1 and found["outside"] == {"QUANTIZE": 1}
    assert found["ops"]["DEQUANTIZE"] == 1
    assert runtime.input["quantization"] == (pytest.approx(1 / 127.5), 128)
    details = runtime.interpreter.get_tensor_details()
    floats = [d["name"] for d in details if d["dtype"] == np.float32]
    assert floats == [runtime.output["name"]]
    wanted = np.asarray(model(np.float32((raw - 128.0) / 127.5)))
    error = np.abs(runtime(np.float32(raw / 127.5 - 1)) - wanted).max()
    assert error < 0.05 * np.abs(wanted).max()


def test_what_a_concatenation_alone_reads_has_its_range():
    """course160 projects its skips, base two of three; tiny's are read by the encoder too. Of the
    three only course160 has deconvolutions of kernel 4 there, whose border is cut off."""
    ups = [{f"deconv{i}", f"deconv{i}_space"} for i in range(1, 5)]
    crops = {f"deconv{i}_crop" for i in range(1, 5)}
    skips = [{f"deconv{i}_skip"} for i in range(1, 5)]
    assert joined(graph_of("course160")) == set().union(*ups, *skips, crops)
    assert joined(graph_of("base")) == set().union(*ups[:3], *skips[:2])
    assert joined(graph_of("tiny")) == set().union(*ups)


def test_sparse_keeps_zeros(tuned):
    model, folder, _ = tuned("sparse")
    for name in heavy(graph_of()):
        kernel = model.get_layer(name).get_weights()[0]
        assert np.mean(kernel == 0) == pytest.approx(0.7, abs=0.01)
    assert np.all(model.get_layer("conv1").get_weights()[0] != 0)
    # Half of 24 steps is in the second epoch: only from there on are all zeros made.
    from segnet.run import read_checkpoint

    rows = read_checkpoint(folder)[1]["history"]
    assert read_checkpoint(folder)[1]["best"] == max(row["miou"] for row in rows[1:])


def test_sparse_is_stored_sparse(tuned):
    from export.tflite.runtime import Runtime

    model, _, _ = tuned("sparse")
    sparse, plain = to_file(model, "sparse"), to_file(model, "float32")
    assert len(plain) > 1.9 * len(sparse)
    image = np.float32(images(1, 1) / 127.5 - 1)
    wanted = Runtime(plain)(image)
    assert np.abs(Runtime(sparse)(image) - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.slow
def test_clusters_are_few(tuned):
    model, _, _ = tuned("cluster")
    for name in heavy(graph_of()):
        assert len(np.unique(model.get_layer(name).get_weights()[0])) <= 16
    graph = graph_of()  # untrained, so that its smooth deconvolutions repeat values
    zipped = [len(gzip.compress(to_file(m, "clustered"))) for m in (model, rebuilt(graph, 1))]
    shares = [size / (4 * graph.count_params()) for size in zipped]
    assert shares[0] < 0.25 < 0.5 < shares[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_and_kept(kind, tuned):
    """The time beforehand, a row an epoch; the given graph is left as it was."""
    before = fingerprint(graph_of())
    model, folder, said = tuned(kind)
    (line,) = said
    assert re.fullmatch(rf"{kind}: 24 of 24 steps to go, takes about \d+ min", line)
    assert len((folder / "history.csv").read_text().splitlines()) == 1 + EPOCHS
    assert fingerprint(graph_of()) == before
    trained, given = (g.get_layer("conv1").get_weights()[0] for g in (model, graph_of()))
    assert np.any(trained != given)


class Stop(Exception):
    pass


def stopped_at(step):
    """`batches` that end with Stop before that step."""

    def source(start):
        for number, batch in enumerate(batches(start), start):
            if number == step:
                raise Stop
            yield batch

    return source


def test_stopped_and_continued(tuned, tmp_path):
    """The same weights to the bit; a finished one takes no step."""
    whole, _, _ = tuned("sparse")
    with pytest.raises(Stop):
        tune("sparse", tmp_path, source=stopped_at(STEPS + 3))
    said = []
    parts = tune("sparse", tmp_path, say=said.append)
    assert said[0].startswith(f"sparse: {2 * STEPS} of {3 * STEPS} steps to go")
    assert all(map(np.array_equal, whole.get_weights(), parts.get_weights()))
    again = tune("sparse", tmp_path, say=said.append, source=stopped_at(1))
    assert len(said) == 1
    assert all(map(np.array_equal, whole.get_weights(), again.get_weights()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_continued(kind, tmp_path):
    words = "import test_compress as t; t.tune_and_write(t.sys.argv[1], t.Path(t.sys.argv[2]))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    ends = []
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", words, kind, str(tmp_path / name)]
        if name == "parts":
            kill_at(command, environment, STEPS + STEPS // 2)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        with np.load(tmp_path / name / "end.npz") as file:
            ends.append([file[key] for key in file.files])
    assert len(ends[0]) > 20 and all(map(np.array_equal, *ends))


def kill_at(command, environment, step):
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    seen, total = b"", EPOCHS * STEPS
    while chunk := os.read(process.stderr.fileno(), 4096):
        seen += chunk
        if any(int(n) >= step for n in re.findall(rb"(\d+)/%d \[" % total, seen)):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_another_plan_and_other_weights(tuned, tmp_path):
    from segnet.finetune import claim

    plan = FinePlan(steps=5, epochs=2, learning_rate=1e-3)
    said = []
    claim(tmp_path, "qat", graph_of(), plan, said.append)
    claim(tmp_path, "qat", graph_of(), plan, said.append)
    other = FinePlan(steps=5, epochs=3, learning_rate=1e-3)
    with pytest.raises(Refusal, match=r"another plan: epochs is 2 there, 3 here\. Remove the"):
        claim(tmp_path, "qat", graph_of(), other, said.append)
    assert said == []
    best = tmp_path / "checkpoints" / "best.npz"
    best.parent.mkdir()
    best.write_bytes(b"of the old weights")
    moved = rebuilt(graph_of(), None)
    moved.get_layer("conv1").set_weights([w + 1 for w in moved.get_layer("conv1").get_weights()])
    assert fingerprint(moved) != fingerprint(graph_of())
    claim(tmp_path, "qat", moved, plan, said.append)
    assert not best.exists() and "begins anew" in said[0]


def test_refusals(tmp_path):
    import tf_keras

    image = tf_keras.Input((*SIZE, 3), name="image")
    x = tf_keras.layers.Conv2D(3, 1, name="one")(image)
    for layer in (
        tf_keras.layers.Rescaling(2.0, name="twice"),
        tf_keras.layers.Conv2D(3, 1, activation="tanh", name="twice"),
    ):
        graph = tf_keras.Model(image, layer(x))
        with pytest.raises(Refusal, match=r"layer twice \(.*cannot be trained for 8 bits"):
            tune("qat", tmp_path / "run", graph)
        assert not (tmp_path / "run").exists()
    with pytest.raises(Refusal, match=r"no fine-tuning 'qta'\. Did you mean qat"):
        tune("qta", tmp_path)
    for name, value in (("epochs", 0), ("sparsity", 1.0), ("clusters", 1)):
        with pytest.raises(Refusal, match=f"{name} is {value}; needed"):
            tune("qat", tmp_path, **{name: value})


def test_loss_that_is_no_number(tmp_path):
    with pytest.raises(Refusal, match=r"the loss became .* at step .* Leave this recipe out"):
        tune("cluster", tmp_path, learning_rate=1e30)


def test_class_weights_reach_the_loss(tmp_path):
    """A class that counts nothing teaches nothing: all of class 0, the cross entropy is 0."""
    from segnet.finetune import compile_model

    found, masks = next(batches(0))
    losses = []
    for weights in (None, np.array([0.0, 1.0, 1.0])):
        model = rebuilt(graph_of(), None)
        compile_model(model, FinePlan(steps=1, epochs=1, learning_rate=1e-6), weights)
        losses.append(float(model.test_on_batch(found, 0 * masks)))
    assert losses[1] < 1 < losses[0]


def test_keras_3_is_left_alone(tuned):
    """After tfmot set TF_USE_LEGACY_KERAS, Keras 3 still builds, trains and converts."""
    import keras

    from export.tflite.runtime import Runtime

    tuned("qat")
    assert os.environ["TF_USE_LEGACY_KERAS"] == "1" and keras.__version__.startswith("3.")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    assert np.isfinite(model.train_on_batch(np.ones((1, 2)), np.ones((1, 1))))
    graph, image = graph_of(keras=True), np.float32(images(1, 3) / 127.5 - 1)
    wanted = np.asarray(graph(image))
    assert np.abs(Runtime(to_file(graph, "float32"))(image) - wanted).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "lowering"),
    [*product(["tiny", "base"], LOWERINGS), ("course160", LOWERINGS[0])],
)
def test_qat_of_every_lowering(preset, lowering, tmp_path):
    from export.tflite.runtime import Runtime

    model = tune("qat", tmp_path, graph_of(preset, lowering), steps=1, epochs=1)
    content = to_file(model, "qat8")
    found = Runtime(content).partitioning()
    assert found["partitions"] == 1 and found["outside"] == {"QUANTIZE": 1}
    assert found["ops"]["DEQUANTIZE"] == 1
    # Only where all skips have a projection, which gives them a range of their own.
    if preset == "course160":
        assert "int8->int8 inside" not in inspect.conversions(content)


@pytest.mark.slow
def test_sizes_of_base(tmp_path):
    graph = graph_of("base")
    plain = len(to_file(rebuilt(graph, 1), "float32"))
    model = tune("sparse", tmp_path, graph, steps=2, epochs=1)
    assert plain > 2.1 * len(to_file(model, "sparse"))
    assert plain > 3.2 * len(to_file(model, "sparse16"))
