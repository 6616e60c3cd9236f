"""The claims of each recipe, on operators made by hand and on real files that break one."""

import numpy as np
import pytest
from tiny_files import changed, file_of, put, values

from export.proof.claims import (
    bias_faults,
    border_faults,
    claim_faults,
    stored_tensors,
    tuning_faults,
    type_faults,
)
from export.recipes import BY_NAME, RECIPES
from export.tflite.inspect import Operator, Tensor
from segnet.compress import FinePlan

UNTRAINED = [recipe.name for recipe in RECIPES if not recipe.training]
FINE = FinePlan(steps=1, epochs=1, learning_rate=0.1, sparsity=0.7, clusters=3)


def tensor(dtype, shape=(1,), scales=(), zeros=(), role="constant", data=None, name="t"):
    return Tensor(name, shape, dtype, tuple(scales), tuple(zeros), role, data)


def operator(name, inputs, outputs=(), layer="conv"):
    return Operator(name, 1, 0, False, tuple(inputs), tuple(outputs), "NONE", {}, layer)


def ends(source, target):
    return [operator("A", [source], [tensor("int8", role="inside")]),
            operator("B", [tensor("int8", role="inside")], [target])]  # fmt: skip


def byte_input(scale=1 / 127.5, zero=127):
    return tensor("uint8", scales=[scale], zeros=[zero], role="input")


@pytest.mark.parametrize("name", UNTRAINED)
def test_each_file_keeps_the_claims_of_its_recipe(name):
    assert claim_faults(file_of(name), BY_NAME[name]) == []


def test_a_file_with_the_claims_of_another_recipe():
    """By layer: the small tensors and the depthwise one of a dynamic file are float."""
    lines = claim_faults(file_of("float32"), BY_NAME["dynamic8"])
    assert lines == ["the weights of wide are float32, but int8 in dynamic8"]
    lines = claim_faults(file_of("dynamic8"), BY_NAME["float32"])
    assert lines == ["the weights of wide are int8, but float32 in float32"]
    lines = claim_faults(file_of("float16"), BY_NAME["float32"])
    layers = ("first", "depth", "wide", "last")
    assert lines == [f"the weights of {n} are float16, but float32 in float32" for n in layers]
    lines = claim_faults(file_of("float32"), BY_NAME["float16"])
    assert lines == [f"the weights of {n} are float32, but float16 in float16" for n in layers]
    assert claim_faults(file_of("int8"), BY_NAME["int8-full"]) == [
        "the output is float32, but int8-full has uint8"
    ]
    assert claim_faults(file_of("float32"), BY_NAME["int8"]) == [
        "the input is float32, but int8 has uint8",
        *(f"the weights of {n} are float32, but int8 in int8" for n in layers),
    ]


def test_layers_that_are_kept_in_float_claim_nothing():
    kept = ("first", "depth", "last")
    assert claim_faults(file_of("float32"), BY_NAME["int8"], kept)[1:] == [
        "the weights of wide are float32, but int8 in int8"
    ]


def test_types_of_input_and_output_by_hand():
    float32, int8 = BY_NAME["float32"], BY_NAME["int8"]
    source, target = tensor("float32", role="input"), tensor("float32", role="output")
    assert border_faults(ends(source, target), float32) == []
    assert border_faults(ends(byte_input(), target), int8) == []
    assert border_faults(ends(source, tensor("int8", role="output")), float32) == [
        "the output is int8, but float32 has float32"
    ]
    assert border_faults([], float32) == [
        "the input is missing, but float32 has float32",
        "the output is missing, but float32 has float32",
    ]
    assert border_faults(ends(byte_input(1.0, 3), target), float32) == [
        "the input is uint8, but float32 has float32"
    ]


@pytest.mark.parametrize(
    ("recipe", "scale", "zero", "shown"),
    [
        ("int8", 1 / 127.5, 127, None),
        ("int8", 1.0005 / 127.5, 127, None),  # rounding
        ("int8", 1.002 / 127.5, 127, "(b - (127,)) * 0.00785882"),
        ("int8", 1 / 127.5, 128, "(b - (128,)) * 0.00784314"),
        ("int8-full", 1 / 255, 0, "(b - (0,)) * 0.00392157"),
        ("qat8", 1 / 127.5, 128, None),
        ("qat8", 1 / 127.5, 127, "(b - (127,)) * 0.00784314"),
    ],
)
def test_what_a_byte_stands_for(recipe, scale, zero, shown):
    target = tensor(BY_NAME[recipe].output, role="output")
    zero_wanted = 128 if recipe == "qat8" else 127
    lines = border_faults(ends(byte_input(scale, zero), target), BY_NAME[recipe])
    assert lines == ([] if shown is None else [
        f"a byte b of the input stands for {shown}, but it must for (b - {zero_wanted}) / 127.5"
    ])  # fmt: skip


def test_a_byte_without_a_scale():
    source, target = tensor("uint8", role="input"), tensor("float32", role="output")
    (line,) = border_faults(ends(source, target), BY_NAME["int8"])
    assert line.startswith("a byte b of the input stands for (b - ()) * nan, ")


def weights(name="CONV_2D", dtype="int8", channels=2, scales=None, zeros=None, count=2048):
    shape = (channels, 1, 1, count // channels)
    if name == "DEPTHWISE_CONV_2D":
        shape = (1, 1, count // channels, channels)
    scales = [0.5] * channels if scales is None else scales
    return tensor(dtype, shape, scales, [0] * channels if zeros is None else zeros)


def step(name="CONV_2D"):
    """Without a bias, so that only the weights are judged."""
    source, kernel = tensor("int8", scales=[0.25], role="inside"), tensor("int8")
    inputs = [kernel, kernel, source] if name == "TRANSPOSE_CONV" else [source, kernel]
    return operator(name, inputs)


KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


@pytest.mark.parametrize("name", KINDS)
def test_scales_of_int8_weights(name):
    int8 = BY_NAME["int8"]
    assert type_faults(step(name), weights(name, channels=4), int8) == []
    rest = "but 4 scales are needed, one a channel, and zero points 0"
    (line,) = type_faults(step(name), weights(name, channels=4, scales=[0.5]), int8)
    assert line == f"the weights of conv have 1 scales and zero points [0], {rest}"
    assert len(type_faults(step(name), weights(name, channels=4, scales=[0.5] * 5), int8)) == 1
    (line,) = type_faults(step(name), weights(name, channels=4, zeros=[0, 1, 2, 9]), int8)
    assert line == f"the weights of conv have 4 scales and zero points [0, 1, 2], {rest}"


@pytest.mark.parametrize(
    ("name", "count", "dtype", "faulty"),
    [
        ("CONV_2D", 1024, "int8", False),
        ("CONV_2D", 1024, "float32", True),
        ("CONV_2D", 1023, "float32", False),
        ("CONV_2D", 1023, "int8", True),
        ("TRANSPOSE_CONV", 1024, "int8", False),
        ("DEPTHWISE_CONV_2D", 1024, "int8", True),
        ("DEPTHWISE_CONV_2D", 1024, "float32", False),
    ],
)
def test_types_of_a_dynamic_file(name, count, dtype, faulty):
    """Depthwise weights and tensors of fewer than 1024 stay in float."""
    found = type_faults(step(name), weights(name, dtype, 1, count=count), BY_NAME["dynamic8"])
    wanted = "int8" if dtype == "float32" else "float32"
    line = f"the weights of conv are {dtype}, but {wanted} in dynamic8"
    assert found == ([line] if faulty else [])


def test_a_dynamic_file_claims_no_bias():
    bias = tensor("float32")
    source = tensor("float32", scales=[0.25], role="inside")
    found = operator("CONV_2D", [source, tensor("int8"), bias])
    assert type_faults(found, weights(), BY_NAME["dynamic8"]) == []
    assert len(type_faults(found, weights(), BY_NAME["int8"])) == 1


def biased(name, bias, source=0.25):
    source, kernel = tensor("int8", scales=[source], role="inside"), tensor("int8", scales=[9])
    inputs = [kernel, kernel, source, bias] if name == "TRANSPOSE_CONV" else [source, kernel, bias]
    return operator(name, inputs)


@pytest.mark.parametrize("name", KINDS)
def test_the_scale_of_a_bias_by_hand(name):
    """0.5 and 2 of the weights times 0.25 of the input."""
    kernel = weights(name, scales=[0.5, 2.0])

    def faults(dtype="int32", scales=(0.125, 0.5), zeros=(0, 0)):
        return bias_faults(biased(name, tensor(dtype, scales=scales, zeros=zeros)), kernel)

    assert faults() == faults(scales=(0.12505, 0.50002)) == []
    for scales in ((0.1252, 0.5), (0.125, 0.51), (0.125,), ()):
        (line,) = faults(scales=scales)
        assert line == "the bias of conv is int32 of another scale than its products"
    assert faults(zeros=(0, 1)) == faults(scales=())
    for dtype in ("int8", "int64"):
        assert len(faults(dtype)) == 1
    assert faults("float32") == ["the bias of conv is float32 of another scale than its products"]
    assert bias_faults(biased(name, None), kernel) == bias_faults(step(name), kernel) == []


def test_small_scales_of_a_bias():
    """Twice 5e-10 is as wrong as twice 0.125."""
    kernel = weights(scales=[2e-6, 2e-6])
    for scale, count in ((5e-10, 0), (1e-9, 1)):
        bias = biased("CONV_2D", tensor("int32", scales=[scale] * 2, zeros=[0, 0]), 2.5e-4)
        assert len(bias_faults(bias, kernel)) == count


def test_one_scale_for_all_channels_of_a_bias():
    bias = tensor("int32", scales=[0.125], zeros=[0])
    assert bias_faults(biased("CONV_2D", bias), weights(scales=[0.5, 0.5])) == []


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ([0] * 7 + [1, 2, 3], None),  # exactly the 70 % that are claimed
        ([0] * 69 + [1] * 31, None),  # one point less is rounding of the layer's size
        ([0] * 68 + [1] * 32, "68.0% of the weights of conv are zero, but 70% are claimed"),
        ([1, 2, 3], "0.0% of the weights of conv are zero, but 70% are claimed"),
    ],
)
def test_zeros_by_hand(stored, line):
    data = np.float32(stored)
    found = tuning_faults(step(), tensor("float32", data.shape, data=data), "sparse", FINE)
    assert found == ([line] if line else [])
    assert tuning_faults(step(), tensor("float32", data.shape, data=data), "qat", FINE) == []


def test_distinct_weights_by_hand():
    for stored, lines in [
        ([1, 2, 2, 3], []),
        ([1, 2, 2, 2], []),
        ([1, 2, 3, 4], ["the weights of conv have 4 values, but 3 are claimed"]),
    ]:
        weights = tensor("float32", (4,), data=np.float32(stored))
        assert tuning_faults(step(), weights, "cluster", FINE) == lines
        assert tuning_faults(step(), weights, "qat", FINE) == []


def test_a_fine_tuned_file_is_judged_by_its_layers():
    """Neither the first layer nor the depthwise ones are pruned; without a plan nothing is."""
    sparse = BY_NAME["sparse"]
    lines = claim_faults(file_of("float32"), sparse, fine=FINE)
    assert [line.partition(" are zero")[0][-4:] for line in lines] == ["wide", "last"]
    assert claim_faults(file_of("float32"), sparse) == []
    clustered = claim_faults(file_of("float32"), BY_NAME["clustered"], fine=FINE)
    assert [line.split()[3] for line in clustered] == ["wide", "last"]


def test_tensors_that_are_unpacked():
    """By the name of what is unpacked to what is stored, also in two steps."""
    half, sparse = tensor("float16", name="half"), tensor("float16", name="sparse")
    full, dense = tensor("float32", name="full"), tensor("float16", name="dense")
    both, other = tensor("float32", name="both"), tensor("int8", role="inside", name="other")
    steps = [
        operator("DEQUANTIZE", [half], [full]), operator("DENSIFY", [sparse], [dense]),
        operator("DEQUANTIZE", [dense], [both]), operator("DEQUANTIZE", [other], [full]),
        operator("RESHAPE", [half], [other]),
    ]  # fmt: skip
    assert stored_tensors(steps) == {"full": half, "dense": sparse, "both": sparse}


def test_scales_of_a_real_file():
    def double(tensor, _):
        tensor.quantization.scale = tensor.quantization.scale * np.float32(2)

    def shift(tensor, _):
        tensor.quantization.zeroPoint = tensor.quantization.zeroPoint + 1

    int8, content = BY_NAME["int8"], file_of("int8")
    other = "of another scale than its products"
    assert claim_faults(changed(content, "wide", double, 2), int8) == [
        f"the bias of wide is int32 {other}"
    ]
    # The scale of the weights of a layer is a factor of that of its bias.
    assert claim_faults(changed(content, "last", double, 1), int8) == [
        f"the bias of last is int32 {other}"
    ]
    (line,) = claim_faults(changed(content, "depth", shift, 1), int8)
    assert line.startswith("the weights of depth have 32 scales and zero points [1], but 32 ")


def test_a_changed_weight_breaks_no_claim():
    """It is for `stored.weight_error` to find."""
    content = changed(file_of("int8"), "wide", values(put(5, 9), np.int8), 1)
    assert claim_faults(content, BY_NAME["int8"]) == []
