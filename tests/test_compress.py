"""Graphs prepared for smaller files: what they compute, and the files made of them."""

import gzip
import os
from itertools import product

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from tuning import LOWERINGS, SIZE, graph_of, images, to_file, tune, tuned

from export.tflite import inspect
from segnet.compress import LEVEL, heavy, joined, rebuilt

__all__ = ["tuned"]  # fixtures


def test_heavy_layers_by_hand():
    names = heavy(graph_of())
    # tiny: 4 pointwise of the encoder, 5 deconvolutions, 4 refinements; conv1 is the first layer.
    assert len(names) == 4 + 5 + 4 and "conv1" not in names and "conv2_pw" in names
    assert not [name for name in names if name.endswith("_dw")]


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_rebuilt_graph_computes_the_same_function(lowering):
    """Custom layers with weights included."""
    graph, image = graph_of(lowering=lowering), np.float32(images(1, 0) / 127.5 - 1)
    again = rebuilt(graph, 1)
    assert again.input_shape == (1, *SIZE, 3)
    assert [layer.name for layer in again.layers] == [layer.name for layer in graph.layers]
    assert np.array_equal(again(image), graph(image))


def test_input_bytes_fall_on_quantisation_levels():
    """The value of byte b in an image becomes that of byte b in the file's input tensor."""
    from segnet.compress import input_layer

    raw = np.arange(256)
    found = input_layer()(-LEVEL / 2)(np.float32(raw / 127.5 - 1))
    assert np.abs(np.asarray(found) - (raw - 128) / 127.5).max() < 1e-6


@pytest.mark.slow
def test_qat_file(tuned):
    """One delegate partition, no float operator, and the Keras model's values up to a level."""
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


def test_inputs_of_a_concatenation_alone_share_its_range():
    """course160 projects all skips, base two of three; the encoder also reads those of tiny.

    Only course160 has deconvolutions of kernel 4 before a concatenation, whose border is cropped.
    """
    ups = [{f"deconv{i}", f"deconv{i}_space"} for i in range(1, 5)]
    crops = {f"deconv{i}_crop" for i in range(1, 5)}
    skips = [{f"deconv{i}_skip"} for i in range(1, 5)]
    assert joined(graph_of("course160")) == set().union(*ups, *skips, crops)
    assert joined(graph_of("base")) == set().union(*ups[:3], *skips[:2])
    assert joined(graph_of("tiny")) == set().union(*ups)


@pytest.mark.slow
def test_qat_file_is_compared_with_the_layers_that_tfmot_wraps(tuned):
    """Weight by weight and layer by layer, twice, and the model is as it was."""
    from export.proof.layer_errors import layer_errors
    from export.proof.stored import weight_error
    from export.recipes import BY_NAME

    model, _, _ = tuned("qat")
    content, recipe = to_file(model, "qat8"), BY_NAME["qat8"]
    inputs, before = np.float32(images(2, 5) / 127.5 - 1), model.get_weights()
    for _ in range(2):
        assert weight_error(content, model, recipe)[0] < 0.51
        found = layer_errors(content, model, recipe, inputs)
        assert len(found) > 20 and min(row["snr"] for row in found) > recipe.snr
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.slow
def test_sparse_weights_stay_zero(tuned):
    model, folder, _ = tuned("sparse")
    for name in heavy(graph_of()):
        kernel = model.get_layer(name).get_weights()[0]
        assert np.mean(kernel == 0) == pytest.approx(0.7, abs=0.01)
    assert np.all(model.get_layer("conv1").get_weights()[0] != 0)
    # Pruning ends after 12 of 24 steps, in the second epoch, the first that may be the best.
    from segnet.checkpoint import read_checkpoint

    rows = read_checkpoint(folder)[1]["history"]
    assert read_checkpoint(folder)[1]["best"] == max(row["miou"] for row in rows[1:])


@pytest.mark.slow
def test_sparse_file_is_smaller(tuned):
    from export.tflite.runtime import Runtime

    model, _, _ = tuned("sparse")
    sparse, plain = to_file(model, "sparse"), to_file(model, "float32")
    assert len(plain) > 1.9 * len(sparse)
    image = np.float32(images(1, 1) / 127.5 - 1)
    wanted = Runtime(plain)(image)
    assert np.abs(Runtime(sparse)(image) - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.slow
def test_clustered_weights_are_few_and_compress(tuned):
    model, _, _ = tuned("cluster")
    for name in heavy(graph_of()):
        assert len(np.unique(model.get_layer(name).get_weights()[0])) <= 16
    graph = graph_of()  # untrained: its deconvolutions still repeat values
    zipped = [len(gzip.compress(to_file(m, "clustered"))) for m in (model, rebuilt(graph, 1))]
    fractions = [size / (4 * graph.count_params()) for size in zipped]
    assert fractions[0] < 0.25 < 0.5 < fractions[1]


@pytest.mark.slow
def test_keras_3_still_works(tuned):
    """After tfmot has set TF_USE_LEGACY_KERAS, Keras 3 still builds, trains and converts."""
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
    # With all skips projected, only concatenations read their inputs: nothing is requantised.
    if preset == "course160":
        assert "int8->int8 inside" not in inspect.conversions(content)


@pytest.mark.slow
def test_sparse_files_of_base_are_smaller(tmp_path):
    graph = graph_of("base")
    plain = len(to_file(rebuilt(graph, 1), "float32"))
    model = tune("sparse", tmp_path, graph, steps=2, epochs=1)
    assert plain > 2.1 * len(to_file(model, "sparse"))
    assert plain > 3.2 * len(to_file(model, "sparse16"))
