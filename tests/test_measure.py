"""The measurements of a file, by hand, on tiny files and with known functions."""

import gzip
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_files import changed, file_of, images, net, put, values
from tiny_sets import grey, write_set

from export.proof import measure
from export.proof.outputs import RESIZE_TEXTS
from export.recipes import BY_NAME
from export.tflite.metadata import add_metadata

FLOAT32, INT8 = BY_NAME["float32"], BY_NAME["int8"]


def operator(name, layer):
    return SimpleNamespace(name=name, layer=layer)


def test_operators_of_layers_that_are_kept_in_float():
    assert measure.kept(operator("CONV_2D", "conv1"), ("conv1",))
    assert measure.kept(operator("ADD", "after conv1"), ("conv1",))
    assert not measure.kept(operator("CONV_2D", "conv2"), ("conv1",))
    for name in ("QUANTIZE", "DEQUANTIZE"):
        assert measure.kept(operator(name, "conv2"), ("conv1",))
        assert not measure.kept(operator(name, "conv2"), ())


def test_structure_of_a_float_file_that_claims_to_be_int8():
    content = file_of("float32")
    found = measure.structure(content, INT8, ["wide"])
    assert found["size_bytes"] == len(content)
    assert found["gzip_bytes"] == len(gzip.compress(content, mtime=0))
    assert found["versions"] == {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "TRANSPOSE_CONV": 3}
    assert found["float_operators"] == [
        "CONV_2D (first)", "DEPTHWISE_CONV_2D (depth)", "TRANSPOSE_CONV (last)"
    ]  # fmt: skip
    assert [line.split()[3] for line in found["claim_faults"][1:]] == ["first", "depth", "last"]
    assert found["keep_float"] == ["wide"] and found["conversions"] == {}
    assert found["open_shapes"] == found["custom_operators"] == found["dead_layers"] == []


def test_structure_of_an_int8_file():
    found = measure.structure(file_of("int8"), INT8, ())
    assert found["float_operators"] == found["claim_faults"] == found["dead_layers"] == []
    assert found["conversions"] == {"uint8->int8 input": 1, "int8->float32 output": 1}


def test_zeros_that_a_fine_tuned_file_claims():
    fine = SimpleNamespace(sparsity=0.7, clusters=16)
    found = measure.structure(file_of("float32"), BY_NAME["sparse"], (), fine)
    assert len(found["claim_faults"]) == 2


def test_an_operator_list_for_each_target(monkeypatch):
    """A deconvolution with a bias is of version 3; with a ReLU it would be 4."""
    monkeypatch.setattr(measure.run_gpu, "available", lambda content: False)
    content = file_of("float32")
    found = measure.delegation(content, ("xnnpack", "gpu"), images())
    assert found["partitions"] == 1 and found["outside"] == {} and found["target_faults"] == []
    assert found["ops"] == {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "TRANSPOSE_CONV": 1}
    asked = {name: target["asked"] for name, target in found["targets"].items()}
    assert asked == {name: name in ("xnnpack", "gpu") for name in measure.TARGETS}
    list_only = "checked against the operator list"
    how = {name: target["how"] for name, target in found["targets"].items()}
    assert how == {**dict.fromkeys(how, list_only), "xnnpack": f"run here and {list_only}"}


def test_faults_of_targets_that_were_asked_for(monkeypatch):
    monkeypatch.setattr(measure, "TARGETS", {"xnnpack": None, "gpu": None, "npu": None})
    monkeypatch.setattr(measure, "audit", lambda content, name: [f"{name} does not know X"])
    monkeypatch.setattr(measure.xnnpack, "run_faults", lambda content, parts: ["2 partitions"])
    monkeypatch.setattr(measure.run_gpu, "available", lambda content: True)
    monkeypatch.setattr(
        measure.run_gpu,
        "faults",
        lambda content, runtime, images: [f"{len(content)} bytes differ on {len(images)}"],
    )
    found = measure.delegation(file_of("float32"), ("gpu", "xnnpack"), images(3))
    assert found["target_faults"] == [
        "gpu does not know X", f"{len(file_of('float32'))} bytes differ on 3",
        "xnnpack does not know X", "2 partitions"
    ]  # fmt: skip
    assert found["targets"]["npu"] == {
        "how": "checked against the operator list", "asked": False,
        "refused": ["npu does not know X"],
    }  # fmt: skip
    assert found["targets"]["gpu"]["how"].startswith("run here and ")
    # A GPU that nobody asked for is not run.
    found = measure.delegation(file_of("float32"), ("npu",), images(3))
    assert found["target_faults"] == ["npu does not know X"]
    assert found["targets"]["gpu"]["refused"] == ["gpu does not know X"]
    assert not found["targets"]["gpu"]["how"].startswith("run here")


def test_a_file_that_any_gpu_supports():
    runtime = measure.Runtime(measure.one_convolution())
    assert runtime.input["shape"].tolist() == [1, 8, 8, 3]
    assert runtime.partitioning()["ops"] == {"CONV_2D": 1}
    assert measure.inspect.open_shapes(measure.one_convolution()) == []


def test_error_of_a_graph_by_hand():
    """The largest difference is 0.5 in the second image, and the largest logit 8 in the first."""
    inputs = np.zeros((2, 1, 1, 3), np.float32)
    inputs[1] = 1
    before = {0.0: [[[[2.0, -8.0]]]], 1.0: [[[[1.0, 1.0]]]]}
    after = {0.0: [[[[2.25, -8.0]]]], 1.0: [[[[1.0, 0.5]]]]}

    def function(table):
        return lambda image: table[float(image[0, 0, 0, 0])]

    assert measure.graph_error(function(after), function(before), inputs) == 0.5 / 8
    assert measure.graph_error(function(before), function(before), inputs) == 0.0
    zero = {0.0: [[[[0.0, 0.0]]]], 1.0: [[[[0.0, 0.0]]]]}
    assert measure.graph_error(function(zero), function(zero), inputs) == math.inf


def test_the_worst_of_the_layers():
    found = measure.layers(file_of("int8"), net(), INT8, images())
    assert 0 < found["weight_error"] < 0.51 and found["clipped"] < 0.01
    content = changed(file_of("int8"), "wide", values(put(3, 90000), np.int32), 2)
    worse = measure.layers(content, net(), INT8, images())
    assert worse["weight_error"] == pytest.approx(90000, rel=1e-3)
    assert worse["weight_error_worst"] == worse["layer_errors"][0]["layer"] == "wide"
    ratios = {each["layer"]: each["snr"] for each in worse["layer_errors"]}
    assert set(ratios) == {"first", "depth", "wide", "last", "output"}
    assert worse["layer_snr"] == ratios[worse["layer_snr_worst"]] == min(ratios.values())
    assert measure.layers(file_of("float32"), net(), FLOAT32, images())["clipped"] is None


def test_figures_of_layers_by_hand(monkeypatch):
    rows = [{"layer": f"conv{n}", "snr": 50.0 - n % 7, "clipped": n / 100} for n in range(13)]
    monkeypatch.setattr(measure, "layer_errors", lambda *given: rows)
    monkeypatch.setattr(measure, "weight_error", lambda *given: (0.25, "conv2"))
    found = measure.layers(b"", None, INT8, None)
    assert found == {
        "weight_error": 0.25, "weight_error_worst": "conv2", "layer_snr": 44.0,
        "layer_snr_worst": "conv6", "clipped": 0.12, "layer_errors": rows[:10],
    }  # fmt: skip
    rows[5]["snr"] = math.nan
    assert math.isnan(measure.layers(b"", None, INT8, None)["layer_snr"])


def twice_and_less():
    """Layers of 2x - 1 and a ReLU: in [-1, 1] the largest magnitude is 3, of the first."""
    image = keras.Input((1, 2, 3), batch_size=1)
    x = keras.layers.Rescaling(2.0, -1.0)(image)
    return keras.Model(image, keras.layers.ReLU()(x))


def test_largest_activation_by_hand():
    graph = twice_and_less()
    for inputs, wanted in (([[0.5, 1.0], [0.25, 0]], 1.0), ([[-1.0, 0], [1.0, 1]], 3.0)):
        batch = np.float32(inputs)[:, None, :, None].repeat(3, -1)
        assert measure.largest_activation(graph, batch) == wanted
    image = keras.Input((1, 2, 3), batch_size=1)
    small = keras.Model(image, keras.layers.ReLU()(keras.layers.Rescaling(0.25)(image)))
    assert measure.largest_activation(small, batch) == 0.25  # the input itself is no activation
    assert math.isnan(measure.largest_activation(graph, [np.full((1, 2, 3), np.nan, np.float32)]))


@pytest.mark.parametrize(
    ("recipe", "targets", "all_images"),
    [("float32", ("xnnpack",), False), ("float32", ("xnnpack", "gpu"), True),
     ("float16", ("xnnpack",), True), ("int8", ("xnnpack",), False)],
)  # fmt: skip
def test_images_of_the_largest_activation(tmp_path, recipe, targets, all_images):
    """The sample is of 1, whose activation is 1; one image has -0.2, of which it is 1.4."""
    pairs = [(grey([[value, 255]]), [[0, 0]]) for value in (255, 102, 255)]
    dataset = write_set(tmp_path / "set", ["a"], test=pairs, val=pairs[:1])
    trained = SimpleNamespace(
        dataset=dataset, judge="test", plan=SimpleNamespace(size=(1, 2)),
        samples=np.ones((2, 1, 2, 3), np.float32),
    )  # fmt: skip
    found = measure.range_figures(twice_and_less(), BY_NAME[recipe], trained, targets)
    # A byte of 255 is (255 - 127) / 127.5 to an int8 file.
    one = 2 * 128 / 127.5 - 1 if recipe == "int8" else 1.0
    assert found["largest_activation"] == pytest.approx(1.4 if all_images else one)
    assert found["largest_activation_images"] == (3 if all_images else 2)
    assert found["fp16_safe"] is True


@pytest.mark.parametrize(("factor", "safe"), [(65504.0, True), (65536.0, False)])
def test_the_largest_float16(factor, safe):
    image = keras.Input((1, 1, 3), batch_size=1)
    graph = keras.Model(image, keras.layers.ReLU()(keras.layers.Rescaling(factor)(image)))
    samples = np.ones((1, 1, 1, 3), np.float32)
    trained = SimpleNamespace(
        dataset=SimpleNamespace(pairs=lambda split: []), judge="val",
        plan=SimpleNamespace(size=(1, 1)), samples=samples,
    )  # fmt: skip
    found = measure.range_figures(graph, FLOAT32, trained, ())
    assert found["largest_activation"] == factor and found["fp16_safe"] is safe


def contract(**changes):
    return {
        "input": {"shape": [1, 4, 4, 3], "dtype": "float32"}, "mean": 127.5, "std": 127.5,
        "colour_order": "RGB", "resize": RESIZE_TEXTS["logits"], "labels": ["a", "b", "c"],
        "output": {"values": "logits"}, **changes,
    }  # fmt: skip


def test_a_program_that_follows_the_contract():
    names = ["a", "b", "c"]
    content = add_metadata(file_of("float32"), names)
    photo = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    found = measure.contract_figures(contract(), content, names, photo)
    assert found == {"contract_agreement": 1.0, "metadata_faults": []}
    # With all labels another, no pixel agrees.
    turned = measure.contract_figures(contract(labels=["b", "c", "a"]), content, names, photo)
    assert turned["contract_agreement"] == 0.0 and len(turned["metadata_faults"]) == 1
    swapped = measure.contract_figures(contract(colour_order="BGR"), content, names, photo)
    assert 0 < swapped["contract_agreement"] < 1


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ({"channel order": 0.001, "range": 0.0009, "resize rule": 0.5, "label order": 1.0}, 2),
        ({"channel order": 0.0, "resize rule": 0.0, "label order": 1.0}, 0),
    ],
)
def test_mistakes_that_can_be_seen(shown, seen):
    """That of the labels shows in any prediction and proves nothing."""
    assert measure.mistake_figures(shown) == {"mistakes": shown, "mistakes_seen": seen}


def test_error_of_calibration_images_by_hand(tmp_path):
    """One image is the contract's; of the other one, a pixel is 5 levels lower, one 15 higher."""
    pairs = []
    for number, levels in enumerate(([[100, 200]], [[50, 100]])):
        Image.fromarray(grey(levels)).save(tmp_path / f"{number}.png")
        pairs.append((tmp_path / f"{number}.png", None))
    inputs = (np.float32([grey([[100, 200]]), grey([[45, 115]])]) - 127.5) / 127.5
    made = contract(input={"shape": [1, 1, 2, 3], "dtype": "uint8"})
    assert measure.calibration_error(made, pairs, inputs) == pytest.approx(10, rel=1e-5)
    assert measure.calibration_error(made, pairs[::-1], inputs[::-1]) == pytest.approx(10, rel=1e-5)
    assert measure.calibration_error(made, pairs[:1], inputs[:1]) < 1e-4
    with pytest.raises(ValueError, match="zip"):
        measure.calibration_error(made, pairs, inputs[:1])


def test_speed(monkeypatch):
    """The ratio is that of the medians of the file and of the float32 one."""
    times = {"file": {"median": 3.0, "p90": 4.0}, "float32": {"median": 6.0, "p90": 7.0}}
    seen = []

    def latency_ms(pair):
        seen.append(dict(pair))
        return times

    monkeypatch.setattr(measure, "Runtime", lambda content, threads: (content, threads))
    monkeypatch.setattr(measure, "latency_ms", latency_ms)
    monkeypatch.setattr(measure.profile, "profile", lambda content: {"profile of": content})
    monkeypatch.setattr(measure, "machine", lambda: "a processor")
    monkeypatch.setattr(measure.os, "cpu_count", lambda: 4)
    found = measure.speed(b"new", b"old")
    assert seen == [{"file": (b"new", n), "float32": (b"old", n)} for n in (1, 4)]
    assert found["machine"] == "a processor"
    assert found["latency_ms"] == 3.0 and found["time_by_operator"] == {"profile of": b"new"}
    each = {"median": 3.0, "p90": 4.0, "ratio": 0.5}
    assert found["latency"] == {"one thread": each, "4 threads": each}
    monkeypatch.setattr(measure.os, "cpu_count", lambda: 1)
    assert set(measure.speed(b"new", b"old")["latency"]) == {"one thread"}
