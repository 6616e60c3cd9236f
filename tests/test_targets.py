"""Each target takes or refuses tiny nets by its published rule, as audit.py and rules.py say.

The lines expected here were written from the sources, not from what the audit says. XNNPACK is
asked itself as well.
"""

import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from test_inspect import SHAPE, converted, packed

from cli import Refusal
from export.targets import audit, rules, xnnpack
from export.targets import target as target_module
from export.tflite.inspect import Operator, Tensor
from export.tflite.runtime import Runtime

# The operators of our graphs and their neighbours.
ALPHABET = set(
    """CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV DEPTH_TO_SPACE SPACE_TO_DEPTH CONCATENATION ADD MUL
    RELU RELU6 MAX_POOL_2D AVERAGE_POOL_2D MEAN RESIZE_BILINEAR QUANTIZE DEQUANTIZE SOFTMAX LOGISTIC
    TANH HARD_SWISH PAD RESHAPE PRELU NEG SUB STRIDED_SLICE SPLIT FULLY_CONNECTED""".split()
)
UNTAKEN = {  # of the alphabet, by each target
    "xnnpack": set(),
    "gpu": set(),
    # Core ML's README.md; RESHAPE by Core ML 2 alone, DEQUANTIZE only of float16 weights.
    "coreml": set("DEPTH_TO_SPACE SPACE_TO_DEPTH NEG SUB PRELU SPLIT STRIDED_SLICE".split())
    | {"QUANTIZE", "RESHAPE"},
    "npu": set(),
}


def steps():
    """The nets' layers, and those that Keras lacks."""
    import keras
    import tensorflow as tf

    class Step(keras.layers.Layer):
        def __init__(self, function, **words):
            super().__init__(**words)
            self.function = function

        def call(self, x):
            return self.function(x)

    return keras.layers, Step, tf


def deconv(h, bias=True, relu=False, name="up"):
    layer, _, _ = steps()
    act = "relu" if relu else None
    return layer.Conv2DTranspose(
        6, 2, 2, use_bias=bias, bias_initializer="ones", activation=act, name=name
    )(h)


def bias_behind_concat(h):
    """One ADD of a constant vector, its ReLU fused, serves the deconvolution behind the concat."""
    layer, step, tf = steps()
    pair = layer.Concatenate(name="cat")([deconv(h, bias=False), deconv(h, bias=False, name="up2")])
    return step(lambda x: tf.nn.relu(x + tf.range(1.0, 13.0)), name="bias")(pair)


def relu_behind_concat(h):
    layer, _, _ = steps()
    pair = layer.Concatenate(name="cat")([deconv(h), deconv(h, name="up2")])
    return layer.ReLU(name="relu")(pair)


def one(name, *words, **more):
    """A Keras layer of this kind behind the first convolution."""
    return lambda h: getattr(steps()[0], name)(*words, name=name.lower(), **more)(h)


def step(name, function):
    """A layer that calls function(tf, x)."""
    return lambda h: steps()[1](lambda x: function(steps()[2], x), name=name)(h)


NETS = {
    "plain": lambda h: h,
    "deconv": deconv,
    "deconv without bias": lambda h: deconv(h, bias=False),
    "deconv with relu": lambda h: deconv(h, relu=True),
    "bias behind concat": bias_behind_concat,
    "relu behind concat": relu_behind_concat,
    "depth to space": step("space", lambda tf, x: tf.nn.depth_to_space(x, 2)),
    "groups": one("Conv2D", 8, 1, groups=2),
    "depthwise": one("DepthwiseConv2D", 5),
    "softmax": one("Softmax"),
    "average": one("AveragePooling2D", 2),
    "mean": one("GlobalAveragePooling2D", keepdims=True),
    "mean without sides": one("GlobalAveragePooling2D"),
    "resize": step("resize", lambda tf, x: tf.image.resize(x, (16, 16))),
    "nearest": one("UpSampling2D", 2),
    "every second": step("every", lambda tf, x: x[:, ::2, ::2]),
    "pad": one("ZeroPadding2D", 1),
    "pad channels": step("pad", lambda tf, x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, 2]])),
    "six into one": lambda h: steps()[0].Concatenate(name="cat")(
        [steps()[0].Conv2D(1, 1, name=f"part{i}")(h) for i in range(6)]
    ),
    "flex": step("flex", lambda tf, x: tf.raw_ops.AdjustContrastv2(images=x, contrast_factor=2.0)),
}
# The converter forgets the name of a last layer: without weights it is "behind" the one before.
V3, V4 = "TRANSPOSE_CONV ({}): version 3, at most 1", "TRANSPOSE_CONV ({}): version 4, at most {}"
INT8 = [  # what Core ML says of every int8 file's border and of convolution enc
    "QUANTIZE (input): not taken",
    "CONV_2D (enc): version 3, at most 1",
    "DEQUANTIZE (output): int8, only float32",
]
# (net, kind of file): what each target refuses; a target that is not named takes the file whole.
EXPECTED = {
    ("plain", "float32"): {},
    ("plain", "float16"): {},
    ("plain", "int8"): {"coreml": INT8},
    ("plain", "dynamic8"): {"coreml": ["CONV_2D (enc): version 5, at most 1"]},
    ("depthwise", "float32"): {},
    ("depthwise", "dynamic8"): {
        "xnnpack": [
            "DEPTHWISE_CONV_2D (depthwiseconv2d): a filter of int8 for an input of float32, "
            "only of the same type"
        ],
        "coreml": [
            "CONV_2D (enc): version 5, at most 1",
            "DEPTHWISE_CONV_2D (depthwiseconv2d): version 6, at most 2",
        ],
    },
    ("deconv", "sparse"): {
        "gpu": ["DENSIFY (enc): not taken"],
        "coreml": ["DENSIFY (enc): not taken", V3.format("up")],
        "npu": ["DENSIFY (enc): not taken"],
    },
    ("deconv", "float32"): {"coreml": [V3.format("up")]},
    ("deconv without bias", "float32"): {},
    ("deconv with relu", "float32"): {"gpu": [V4.format("up", 3)], "coreml": [V4.format("up", 1)]},
    ("deconv with relu", "int8"): {
        "gpu": [V4.format("up", 3)],
        "coreml": [*INT8[:2], V4.format("up", 1), INT8[2]],
    },
    ("bias behind concat", "float32"): {},
    ("relu behind concat", "float32"): {"coreml": [V3.format("up"), V3.format("up2")]},
    ("relu behind concat", "int8"): {
        "xnnpack": ["RELU (behind cat): int8, only float32"],
        "coreml": [
            *INT8[:2],
            V3.format("up"),
            V3.format("up2"),
            "CONCATENATION (cat): version 2, at most 1",
            "RELU (behind cat): version 2, at most 1",
            INT8[2],
        ],
    },
    ("depth to space", "float32"): {"coreml": ["DEPTH_TO_SPACE (behind enc): not taken"]},
    # All CONV_2D of a file share one version: a single grouped one spoils the others.
    ("groups", "float32"): {
        "coreml": [f"CONV_2D ({name}): version 6, at most 1" for name in ("behind enc", "enc")],
    },
    ("softmax", "float32"): {},
    ("softmax", "int8"): {
        "xnnpack": ["SOFTMAX (behind enc): int8, only float32"],
        "coreml": [*INT8[:2], "SOFTMAX (behind enc): version 2, at most 1", INT8[2]],
    },
    ("average", "float32"): {},
    ("average", "int8"): {
        "xnnpack": ["AVERAGE_POOL_2D (behind enc): int8, only float32"],
        "coreml": [*INT8[:2], "AVERAGE_POOL_2D (behind enc): version 2, at most 1", INT8[2]],
    },
    ("mean", "float32"): {},
    ("mean without sides", "float32"): {
        "coreml": [
            "MEAN (globalaveragepooling2d): it drops the reduced sides, only keepdims",
        ],
    },
    ("resize", "float32"): {"coreml": ["RESIZE_BILINEAR (resize): version 3, at most 1"]},
    ("every second", "float32"): {
        "xnnpack": ["STRIDED_SLICE (every): steps [1, 2, 2, 1], only 1"],
        "coreml": ["STRIDED_SLICE (every): not taken"],
    },
    ("pad", "float32"): {},
    ("pad channels", "float32"): {
        "coreml": ["PAD (pad): padding of batch or channels, only of height and width"],
    },
    ("six into one", "float32"): {"xnnpack": ["CONCATENATION (behind part0): 6 inputs, 2 to 5"]},
    ("flex", "flex"): {
        target: ["FlexAdjustContrastv2 (flex): a custom operator"] for target in audit.TARGETS
    },
}


@cache
def net(name, kind):
    """A net behind a 3x3 convolution enc; of many weights where few would be left in float."""
    import keras

    keras.utils.set_random_seed(0)
    channels, out = (32, 64) if kind in ("dynamic8", "sparse") else (4, 4)
    x = keras.Input((8, 8, channels), batch_size=1, name="image")
    first = keras.layers.Conv2D(out, 3, padding="same", activation="relu", name="enc")
    model = keras.Model(x, NETS[name](first(x)))
    if kind == "sparse":
        kernel, bias = first.get_weights()
        first.set_weights([np.where(np.abs(kernel) < 0.9 * np.abs(kernel).max(), 0, kernel), bias])
    return converted(model, kind)


FAST = {
    ("plain", "float32"), ("deconv with relu", "float32"), ("relu behind concat", "int8"),
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
        pytest.skip("LiteRT's wheel cannot load it at all")
    parts = Runtime(net(name, kind)).partitioning()
    border = {"QUANTIZE": 1} if kind == "int8" else {}
    ran_whole = parts["partitions"] == 1 and parts["outside"] == border
    assert (audit.audit(net(name, kind), "xnnpack") == []) == ran_whole


@pytest.mark.slow
def test_five_dimensions_are_too_many_for_the_gpu():
    """Keras repeats rows and columns by RESHAPE to 5-D and TILE, for which there is no row."""
    lines = audit.audit(net("nearest", "float32"), "gpu")
    assert any(line.startswith("RESHAPE") and "5 dimensions, at most 4" in line for line in lines)
    assert any(line.startswith("TILE") and line.endswith("not taken") for line in lines)


def operator(name, *dtypes, version=1, scales=(), **options):
    """An operator of activations of these types, the last one coming out."""
    tensors = [Tensor("t", SHAPE, dtype, scales[i : i + 1], (0,), "inside", None)
               for i, dtype in enumerate(dtypes)]  # fmt: skip
    activation = options.pop("activation", "NONE")
    return Operator(
        name, version, 0, False, tuple(tensors[:-1]), tuple(tensors[-1:]), activation, options, ""
    )


@pytest.mark.parametrize(
    ("target", "made", "why"),
    [
        # VisitUnaryNode checks NEG with CheckTensorFloatType.
        ("xnnpack", operator("NEG", "int8", "int8"), "int8, only float32"),
        ("xnnpack", operator("NEG", "float32", "float32"), None),
        # VisitBinaryNode: scales of ADD within [1/1024, 256), the product of MUL's below 256.
        ("xnnpack", operator("ADD", *["int8"] * 3, scales=(1.0, 1.0, 0.01)), None),
        ("xnnpack", operator("ADD", *["int8"] * 3, scales=(1.0, 256.0, 1.0)),
         "scales in the ratio 256, at least 0.000977 and below 256"),
        ("xnnpack", operator("MUL", *["int8"] * 3, scales=(1.0, 255.0, 1.0)), None),
        ("xnnpack", operator("MUL", *["int8"] * 3, scales=(16.0, 16.0, 1.0)),
         "scales in the ratio 256, at least 1.53e-05 and below 256"),
        # VisitUnaryNode: QUANTIZE between types of one signedness.
        ("xnnpack", operator("QUANTIZE", "int8", "int8", scales=(1.0, 1.0)), None),
        ("xnnpack", operator("QUANTIZE", "uint8", "int8", scales=(1.0, 1.0)),
         "uint8 and int8 inside the network"),
        # ConvertActivationToOutputRange knows no tanh.
        ("xnnpack", operator("ADD", *["float32"] * 3, activation="TANH"),
         "TANH fused into it, only NONE, RELU, RELU_N1_TO_1, RELU6"),
        ("gpu", operator("ADD", *["float32"] * 3, activation="TANH"), None),
        ("gpu", operator("TRANSPOSE_CONV", "float32", "float32", version=3), None),
        ("gpu", operator("TRANSPOSE_CONV", "float32", "float32", version=4),
         "version 4, at most 3"),
        ("gpu", operator("SOFTMAX", "float32", "float32", beta=2.0), "beta 2, only 1"),
        ("gpu", operator("ADD", "int32", "int32", "int32"),
         "int32, only float32 or float16 or int8 or uint8"),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=3), None),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=-1), None),
        ("coreml", operator("CONCATENATION", *["float32"] * 3, axis=1),
         "along axis 1, only channels"),
        ("coreml", operator("MAX_POOL_2D", "float32", "float32", activation="RELU"),
         "RELU fused into it, only NONE"),
        ("coreml", operator("DEPTHWISE_CONV_2D", "float32", "float32", version=2), None),  # dilated
        ("npu", operator("SUB", "int8", "int8", "int8"), None),
        ("npu", operator("CUMSUM", "float32", "float32"), "not taken"),
    ],
)  # fmt: skip
def test_one_rule(target, made, why):
    assert target_module.refused(made, audit.TARGETS[target]) == why


@pytest.mark.parametrize(("widest", "taken"), [(51.1, True), (51.2, False)])
def test_sums_are_rescaled_by_less_than_256(widest, taken):
    """The widest of two output channels counts: 5.0 * 51.2 / 1.0 is 256."""
    made = operator("CONV_2D", "int8", "int8", "int8", scales=(5.0, 1.0, 1.0))
    image, weights = made.inputs
    made = made._replace(inputs=(image, weights._replace(scales=(0.5, widest))))
    assert rules.rescaling(made) == (
        None if taken else
        "its sums are rescaled by 256, only by less than 256: on the calibration images it gave "
        "next to nothing"
    )  # fmt: skip


def test_xnnpack_cannot_load_a_dead_layer():
    """Its bias of -1000 leaves ReLU nothing; the runtime says no more than that it failed."""
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
        "shapes (1, 4, 4, 3) and (1, 4, 1, 3) do not broadcast there"
    )


@pytest.mark.parametrize("target", audit.TARGETS)
def test_every_operator_of_the_alphabet_has_a_row_or_is_refused_on_purpose(target):
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    rows = audit.TARGETS[target].rows
    names = [row.operator for row in rows]
    assert len(names) == len(set(names)) and all(row.source for row in rows)
    assert set(names) <= set(vars(BuiltinOperator))
    assert set(names) - {"DENSIFY"} == ALPHABET - UNTAKEN[target]


def test_a_flex_operator_is_no_builtin():
    tensors = [("x", "FLOAT32", SHAPE, None), ("y", "FLOAT32", SHAPE, None)]
    content = packed(tensors, [("FlexErf", 1, [0], [1])])
    assert audit.audit(content, "npu") == ["FlexErf (input): a custom operator"]


def test_unknown_target():
    with pytest.raises(Refusal, match=r"no target 'gpus'. Did you mean gpu\? There are: xnnpack"):
        audit.audit(b"", "gpus")
