"""The audit of tiny networks for each target, against lines written from the targets' sources.

XNNPACK also runs them, to confirm what the audit expects of it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from target_nets import net, steps
from test_inspect import SHAPE, converted, packed

from cli import Refusal
from export.targets import audit, rules, xnnpack
from export.targets import target as target_module
from export.tflite.inspect import Operator, Tensor
from export.tflite.runtime import Runtime

# The operators of our graphs and similar ones.
ALPHABET = set(
    """CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV DEPTH_TO_SPACE SPACE_TO_DEPTH CONCATENATION ADD MUL
    RELU RELU6 MAX_POOL_2D AVERAGE_POOL_2D MEAN RESIZE_BILINEAR QUANTIZE DEQUANTIZE SOFTMAX LOGISTIC
    TANH HARD_SWISH PAD RESHAPE PRELU NEG SUB STRIDED_SLICE SPLIT FULLY_CONNECTED""".split()
)
UNSUPPORTED = {  # of the alphabet, by target
    "xnnpack": set(),
    "gpu": set(),
    # Core ML's README.md; RESHAPE is supported by Core ML 2 only.
    "coreml": set("DEPTH_TO_SPACE SPACE_TO_DEPTH NEG SUB PRELU SPLIT STRIDED_SLICE".split())
    | {"QUANTIZE", "RESHAPE"},
    "npu": set(),
}


# The converter drops the name of the last layer: without weights it is "after" the one before.
V3 = "TRANSPOSE_CONV ({}): version 3; supported: at most 1"
V4 = "TRANSPOSE_CONV ({}): version 4; supported: at most {}"
INT8 = [  # Core ML: input, output and convolution enc of every int8 file
    "QUANTIZE (input): not supported",
    "CONV_2D (enc): version 3; supported: at most 1",
    "DEQUANTIZE (output): type int8; supported: float32",
]
# (network, kind of file): what each target refuses; a target not named supports all of the file.
EXPECTED = {
    ("plain", "float32"): {},
    ("plain", "float16"): {},
    ("plain", "int8"): {"coreml": INT8},
    ("plain", "dynamic8"): {"coreml": ["CONV_2D (enc): version 5; supported: at most 1"]},
    ("depthwise", "float32"): {},
    ("depthwise", "dynamic8"): {
        "xnnpack": [
            "DEPTHWISE_CONV_2D (depthwiseconv2d): the filter is int8 and the input float32, "
            "but both must have the same type"
        ],
        "coreml": [
            "CONV_2D (enc): version 5; supported: at most 1",
            "DEPTHWISE_CONV_2D (depthwiseconv2d): version 6; supported: at most 2",
        ],
    },
    ("deconv", "sparse"): {
        "gpu": ["DENSIFY (enc): not supported"],
        "coreml": ["DENSIFY (enc): not supported", V3.format("up")],
        "npu": ["DENSIFY (enc): not supported"],
    },
    ("deconv", "float32"): {"coreml": [V3.format("up")]},
    ("deconv without bias", "float32"): {},
    ("deconv with relu", "float32"): {"gpu": [V4.format("up", 3)], "coreml": [V4.format("up", 1)]},
    ("deconv with relu", "int8"): {
        "gpu": [V4.format("up", 3)],
        "coreml": [*INT8[:2], V4.format("up", 1), INT8[2]],
    },
    ("bias after concat", "float32"): {},
    ("relu after concat", "float32"): {"coreml": [V3.format("up"), V3.format("up2")]},
    ("relu after concat", "int8"): {
        "xnnpack": ["RELU (after cat): type int8; supported: float32"],
        "coreml": [
            *INT8[:2],
            V3.format("up"),
            V3.format("up2"),
            "CONCATENATION (cat): version 2; supported: at most 1",
            "RELU (after cat): version 2; supported: at most 1",
            INT8[2],
        ],
    },
    ("depth to space", "float32"): {"coreml": ["DEPTH_TO_SPACE (after enc): not supported"]},
    # All CONV_2D of a file share one version: a single grouped one raises it for all.
    ("groups", "float32"): {
        "coreml": [
            f"CONV_2D ({name}): version 6; supported: at most 1" for name in ("after enc", "enc")
        ],
    },
    ("softmax", "float32"): {},
    ("softmax", "int8"): {
        "xnnpack": ["SOFTMAX (after enc): type int8; supported: float32"],
        "coreml": [*INT8[:2], "SOFTMAX (after enc): version 2; supported: at most 1", INT8[2]],
    },
    ("average", "float32"): {},
    ("average", "int8"): {
        "xnnpack": ["AVERAGE_POOL_2D (after enc): type int8; supported: float32"],
        "coreml": [
            *INT8[:2],
            "AVERAGE_POOL_2D (after enc): version 2; supported: at most 1",
            INT8[2],
        ],
    },
    ("mean", "float32"): {},
    ("mean without sides", "float32"): {
        "coreml": [
            "MEAN (globalaveragepooling2d): it drops the reduced dimensions; keepdims is required",
        ],
    },
    ("resize", "float32"): {
        "coreml": ["RESIZE_BILINEAR (resize): version 3; supported: at most 1"]
    },
    ("every second", "float32"): {
        "xnnpack": ["STRIDED_SLICE (every): the strides are [1, 2, 2, 1], but must all be 1"],
        "coreml": ["STRIDED_SLICE (every): not supported"],
    },
    ("pad", "float32"): {},
    ("pad channels", "float32"): {
        "coreml": ["PAD (pad): it pads batch or channels; supported: height and width"],
    },
    ("six into one", "float32"): {
        "xnnpack": ["CONCATENATION (after part0): 6 inputs; supported: 2 to 5"]
    },
    ("flex", "flex"): {
        target: ["FlexAdjustContrastv2 (flex): custom operators are not supported"]
        for target in audit.TARGETS
    },
}


FAST = {
    ("plain", "float32"), ("deconv with relu", "float32"), ("relu after concat", "int8"),
    ("depth to space", "float32"), ("flex", "flex"),
}  # fmt: skip
FILES = [pytest.param(*key, marks=() if key in FAST else pytest.mark.slow) for key in EXPECTED]


@pytest.mark.parametrize("target", audit.TARGETS)
@pytest.mark.parametrize(("name", "kind"), FILES)
def test_audit(name, kind, target):
    found = audit.audit(net(name, kind), target)
    assert sorted(found) == sorted(EXPECTED[name, kind].get(target, []))


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_xnnpack_itself_agrees(name, kind):
    from export.tflite.runtime import Runtime

    if kind == "flex":
        pytest.skip("LiteRT's wheel cannot load Flex operators")
    found = Runtime(net(name, kind)).partitioning()
    outside = {"QUANTIZE": 1} if kind == "int8" else {}  # of the uint8 input
    delegated = found["partitions"] == 1 and found["outside"] == outside
    assert (audit.audit(net(name, kind), "xnnpack") == []) == delegated


@pytest.mark.slow
def test_five_dimensions_are_too_many_for_the_gpu():
    """Keras repeats rows and columns by RESHAPE to 5 dimensions and TILE, which has no row."""
    lines = audit.audit(net("nearest", "float32"), "gpu")
    assert any(
        line.startswith("RESHAPE") and "5 dimensions; supported: at most 4" in line
        for line in lines
    )
    assert any(line.startswith("TILE") and line.endswith("not supported") for line in lines)


def operator(name, *dtypes, version=1, scales=(), **options):
    """An operator with inputs of these types; the last one is the type of its output."""
    tensors = [Tensor("t", SHAPE, dtype, scales[i : i + 1], (0,), "inside", None)
               for i, dtype in enumerate(dtypes)]  # fmt: skip
    activation = options.pop("activation", "NONE")
    return Operator(
        name, version, 0, False, tuple(tensors[:-1]), tuple(tensors[-1:]), activation, options, ""
    )


@pytest.mark.parametrize(
    ("target", "made", "message"),
    [
        # VisitUnaryNode checks NEG with CheckTensorFloatType.
        ("xnnpack", operator("NEG", "int8", "int8"), "type int8; supported: float32"),
        ("xnnpack", operator("NEG", "float32", "float32"), None),
        # VisitBinaryNode: ratio of scales of ADD in [1/1024, 256), of MUL's product below 256.
        ("xnnpack", operator("ADD", *["int8"] * 3, scales=(1.0, 1.0, 0.01)), None),
        ("xnnpack", operator("ADD", *["int8"] * 3, scales=(1.0, 256.0, 1.0)),
         "the ratio of scales is 256, but must be at least 0.000977 and below 256"),
        ("xnnpack", operator("MUL", *["int8"] * 3, scales=(1.0, 255.0, 1.0)), None),
        ("xnnpack", operator("MUL", *["int8"] * 3, scales=(16.0, 16.0, 1.0)),
         "the ratio of scales is 256, but must be at least 1.53e-05 and below 256"),
        # VisitUnaryNode: QUANTIZE between types that are both signed or both unsigned.
        ("xnnpack", operator("QUANTIZE", "int8", "int8", scales=(1.0, 1.0)), None),
        ("xnnpack", operator("QUANTIZE", "uint8", "int8", scales=(1.0, 1.0)),
         "it converts between uint8 and int8 inside the network"),
        # ConvertActivationToOutputRange has no tanh.
        ("xnnpack", operator("ADD", *["float32"] * 3, activation="TANH"),
         "fused activation TANH; supported: NONE, RELU, RELU_N1_TO_1, RELU6"),
        ("gpu", operator("ADD", *["float32"] * 3, activation="TANH"), None),
        ("gpu", operator("TRANSPOSE_CONV", "float32", "float32", version=3), None),
        ("gpu", operator("TRANSPOSE_CONV", "float32", "float32", version=4),
         "version 4; supported: at most 3"),
        ("gpu", operator("SOFTMAX", "float32", "float32", beta=2.0), "beta is 2, but must be 1"),
        ("gpu", operator("ADD", "int32", "int32", "int32"),
         "type int32; supported: float32, float16, int8, uint8"),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=3), None),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=-1), None),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=1),
         "the axis is 1, but must be the channel axis"),
        ("coreml", operator("MAX_POOL_2D", "float32", "float32", activation="RELU"),
         "fused activation RELU; supported: NONE"),
        ("coreml", operator("DEPTHWISE_CONV_2D", "float32", "float32", version=2), None),  # dilated
        ("npu", operator("SUB", "int8", "int8", "int8"), None),
        ("npu", operator("CUMSUM", "float32", "float32"), "not supported"),
    ],
)  # fmt: skip
def test_one_rule(target, made, message):
    assert target_module.refused(made, audit.TARGETS[target]) == message


@pytest.mark.parametrize(("widest", "supported"), [(51.1, True), (51.2, False)])
def test_sums_are_scaled_by_less_than_256(widest, supported):
    """The output channel with the largest scale counts: 5.0 * 51.2 / 1.0 is 256."""
    made = operator("CONV_2D", "int8", "int8", "int8", scales=(5.0, 1.0, 1.0))
    image, weights = made.inputs
    made = made._replace(inputs=(image, weights._replace(scales=(0.5, widest))))
    assert rules.rescaling(made) == (
        None if supported else
        "its sums would be scaled by 256, but must be by less than 256: its output was almost "
        "zero on the calibration images"
    )  # fmt: skip


def test_xnnpack_cannot_load_a_dead_layer():
    """A bias of -1000 makes the output of ReLU zero; LiteRT only reports that loading failed."""
    layer, _, _ = steps()

    def below(h, bias):
        bias = keras.initializers.Constant(bias)
        return layer.Conv2D(3, 1, activation="relu", bias_initializer=bias, name="below")(h)

    import keras

    image = keras.Input(SHAPE[1:], batch_size=1)
    for bias, dead in ((1.0, []), (-1000.0, ["below"])):
        logits = layer.Conv2D(2, 1, bias_initializer="ones", name="logits")(below(image, bias))
        content = converted(keras.Model(image, logits), "int8")
        assert xnnpack.dead_layers(content) == dead
        if dead:
            with pytest.raises(Refusal, match=r"cannot be loaded: .*; CONV_2D \(below\): its sums"):
                xnnpack.load(content)
        else:
            Runtime(content)


def test_core_ml_broadcasts_channels_or_images():
    def add(first, second):
        made = operator("ADD", "float32", "float32", "float32")
        pair = zip(made.inputs, (first, second), strict=True)
        made = made._replace(inputs=tuple(tensor._replace(shape=shape) for tensor, shape in pair))
        return target_module.refused(made, audit.TARGETS["coreml"])

    assert add((1, 4, 4, 3), (3,)) is add((1, 4, 4, 3), (1, 4, 4, 1)) is None
    assert add((1, 4, 4, 3), (1, 4, 1, 3)) == (
        "it cannot broadcast the shapes (1, 4, 4, 3) and (1, 4, 1, 3)"
    )


@pytest.mark.parametrize("target", audit.TARGETS)
def test_every_operator_of_the_alphabet_has_a_row_or_is_refused_on_purpose(target):
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    rows = audit.TARGETS[target].rows
    names = [row.operator for row in rows]
    assert len(names) == len(set(names)) and all(row.source for row in rows)
    assert set(names) <= set(vars(BuiltinOperator))
    ends = {"ARG_MAX", "CAST"}  # of a file, see test_head
    assert set(names) - {"DENSIFY"} - ends == ALPHABET - UNSUPPORTED[target]


def test_a_flex_operator_is_not_supported():
    tensors = [("x", "FLOAT32", SHAPE, None), ("y", "FLOAT32", SHAPE, None)]
    content = packed(tensors, [("FlexErf", 1, [0], [1])])
    assert audit.audit(content, "npu") == ["FlexErf (input): custom operators are not supported"]


def test_unknown_target():
    with pytest.raises(Refusal, match=r"no target 'gpus'. Did you mean gpu\? Choose from: xnnpack"):
        audit.audit(b"", "gpus")
