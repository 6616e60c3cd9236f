"""Files that end in softmax or argmax: of a file of one tensor, by hand and against numpy."""

import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from export.proof import accuracy as accuracy_module
from export.proof.measure import output_faults
from export.proof.outputs import enlarged, head_error, mask_of, softmax
from export.recipes import OUTPUT_BY_NAME
from export.targets import xnnpack
from export.targets.audit import audit
from export.tflite import head
from export.tflite.inspect import operators, parse
from export.tflite.pack import pack
from export.tflite.runtime import Runtime

SHAPE = (1, 2, 3, 3)
# Two rows of three pixels: ordinary ones, ties of two and of all, and all negative.
LOGITS = np.float32([[[1, 2, 3], [3, 2, 1], [0, 5, 5]], [[4, 4, 4], [-9, -7, -8], [-90, 2, 80]]])
CLASSES = [[2, 0, 1], [0, 1, 2]]
SCALE, ZERO = 0.5, 10  # of the quantised tensors; all LOGITS but the last pixel are whole levels


@cache
def echo(kind="float32"):
    """A .tflite that gives its input back: in float, or with the conversions of an int8 file.

    float32: ADD of zeros. int8: uint8 -> int8 -> float32; int8-full: uint8 -> int8 -> uint8.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree, graph = schema.ModelT(), schema.SubGraphT()
    tree.version, tree.subgraphs, tree.buffers = 3, [graph], [schema.BufferT()]
    tree.operatorCodes, graph.tensors, graph.operators = [], [], []
    tools = head.Head.__new__(head.Head)
    tools.tree, tools.graph, tools.schema = tree, graph, schema

    def tensor(dtype, zero=None):
        made = tools.tensor(f"t{len(graph.tensors)}", dtype, SHAPE)
        if zero is not None:
            found = schema.QuantizationParametersT()
            found.scale, found.zeroPoint = np.float32([SCALE]), np.int64([zero])
            graph.tensors[made].quantization = found
        return made

    if kind == "float32":
        source, result = tensor("FLOAT32"), tensor("FLOAT32")
        zeros, options = tools.constant("zeros", np.float32([0])), schema.AddOptionsT()
        tools.operator("ADD", 1, [source, zeros], result, "AddOptions", options)
    else:
        source, inner = tensor("UINT8", ZERO + 128), tensor("INT8", ZERO)
        result = tensor("FLOAT32") if kind == "int8" else tensor("UINT8", ZERO + 128)
        quantize, dequantize = schema.QuantizeOptionsT(), schema.DequantizeOptionsT()
        tools.operator("QUANTIZE", 1, [source], inner, "QuantizeOptions", quantize)
        if kind == "int8":
            tools.operator("DEQUANTIZE", 2, [inner], result, "DequantizeOptions", dequantize)
        else:
            tools.operator("QUANTIZE", 1, [inner], result, "QuantizeOptions", quantize)
    graph.inputs, graph.outputs = [source], [result]
    return pack(tree)


def run(content, logits=LOGITS):
    """What a file of `echo` with a head gives for logits, in its own type, without its batch."""
    runtime = Runtime(content)
    given = logits[None]
    if runtime.input["dtype"] == np.uint8:
        given = np.clip(np.round(given / SCALE) + ZERO + 128, 0, 255).astype(np.uint8)
    return runtime.run(given)[0]


def seen(kind):
    """The logits as the file has them: clipped to its bytes."""
    low, high = ((-128 - ZERO) * SCALE, (127 - ZERO) * SCALE)
    return LOGITS if kind == "float32" else LOGITS.clip(low, high)


@pytest.mark.parametrize("kind", ["float32", "int8", "int8-full"])
@pytest.mark.parametrize(("output", "dtype"), [("classes", np.int32), ("classes8", np.uint8)])
def test_argmax_by_hand(kind, output, dtype):
    content = head.append(echo(kind), output)
    found = run(content)
    assert found.dtype == dtype and found.tolist() == CLASSES
    names = [step.name for step in operators(content)]
    assert "DEQUANTIZE" not in names and names.count("QUANTIZE") == (kind != "float32")
    assert head.values_of(content) == "classes"
    assert head.values_of(echo(kind)) == "logits"
    assert Runtime(content)(LOGITS[None] if kind == "float32" else 0 * LOGITS[None]).dtype == dtype


def test_padding_fills_up_to_four():
    """Of three classes one more, which no pixel has, even where all logits are far below 0."""
    content = head.append(echo(), "classes", padded=True)
    (step,) = [step for step in operators(content) if step.name == "ARG_MAX"]
    assert step.inputs[0].shape == (1, 2, 3, 4)
    assert run(content).tolist() == CLASSES
    assert run(content, LOGITS - np.float32(1e4)).tolist() == CLASSES
    assert not [line for line in audit(content, "gpu") if "ARG_MAX" in line]
    plain = head.append(echo(), "classes")
    assert [line for line in audit(plain, "gpu") if "3 channels, but a multiple of 4" in line]


def by_math(logits):
    powers = [[[np.exp(float(v)) for v in pixel] for pixel in row] for row in logits]
    return np.array([[[p / sum(pixel) for p in pixel] for pixel in row] for row in powers])


@pytest.mark.parametrize("kind", ["float32", "int8", "int8-full"])
def test_softmax_against_numpy(kind):
    content, wanted = head.append(echo(kind), "probabilities"), by_math(seen(kind))
    found, runtime = run(content), Runtime(content)
    assert head.values_of(content) == "probabilities"
    if kind == "int8-full":
        assert found.dtype == np.uint8 and runtime.output["quantization"] == (1 / 256, 0)
        assert np.abs(found / 256 - wanted).max() <= 1 / 256
    else:
        assert found.dtype == np.float32 and np.abs(found - wanted).max() <= 1e-6
    assert np.abs(softmax(seen(kind)) - wanted).max() < 1e-12
    assert head_error(runtime.decode(found), "probabilities", seen(kind)) <= 1 / 256


def test_what_runs_outside_of_xnnpack():
    """What ends a file only: the same operator inside it is refused."""
    for output in ("classes", "classes8"):
        content = head.append(echo(), output)
        assert xnnpack.run_faults(content, Runtime(content).partitioning()) == []
        assert audit(content, "xnnpack") == []
        assert audit(content, "coreml")
    tree = parse(head.append(echo(), "classes"))
    tools = head.Head(tree)
    made = tools.tensor("float", "FLOAT32", SHAPE[:3])
    cast = tools.schema.CastOptionsT()
    tools.operator("CAST", 1, [tools.output], made, "CastOptions", cast)
    shape = tools.constant("shape", np.int32(SHAPE[:3]))
    last = tools.tensor("last", "FLOAT32", SHAPE[:3])
    options = tools.schema.ReshapeOptionsT()
    tools.operator("RESHAPE", 1, [made, shape], last, "ReshapeOptions", options)
    tools.end(last)
    assert [line for line in audit(pack(tree), "xnnpack") if line.startswith("ARG_MAX")]


# Heads that are broken on purpose, as a change of the schema's objects.


def last_of(tree, name):
    steps = operators(pack(tree))
    (at,) = [i for i, step in enumerate(steps) if step.name == name]
    return tree.subgraphs[0].operators[at]


def wrong_axis(tree):
    step = last_of(tree, "ARG_MAX")
    buffer = tree.buffers[tree.subgraphs[0].tensors[step.inputs[1]].buffer]
    buffer.data = np.frombuffer(np.int32(2).tobytes(), np.uint8)


def smallest(tree):
    from ai_edge_litert import schema_py_generated as schema

    step = last_of(tree, "ARG_MAX")
    code, options = tree.operatorCodes[step.opcodeIndex], schema.ArgMinOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ARG_MIN
    options.outputType = schema.TensorType.INT32
    step.builtinOptionsType, step.builtinOptions = schema.BuiltinOptions.ArgMinOptions, options


def flat(tree):
    last_of(tree, "SOFTMAX").builtinOptions.beta = 0.9


@pytest.mark.parametrize(
    ("output", "break_it", "least"),
    [("classes", wrong_axis, np.inf), ("classes", smallest, 0.5), ("probabilities", flat, 0.01)],
)
def test_a_broken_head_is_seen(output, break_it, least):
    tree = parse(head.append(echo(), output))
    values = OUTPUT_BY_NAME[output].values
    assert head_error(run(pack(tree)), values, LOGITS) <= 1e-6
    break_it(tree)
    content = pack(tree)
    found = run(content) if break_it is not wrong_axis else np.zeros((2, 3, 1))
    assert head_error(found, values, LOGITS) >= least


def test_head_error_by_hand():
    right = np.array(CLASSES)
    assert head_error(right, "classes", LOGITS) == 0.0
    other = right.copy()
    other[0, 2] = 2  # the second of two equal logits
    assert head_error(other, "classes", LOGITS) == pytest.approx(1 / 6)
    values = by_math(LOGITS)
    values[1, 1, 0] += 0.25
    assert head_error(values, "probabilities", LOGITS) == pytest.approx(0.25)
    assert np.isnan(head_error(values * np.nan, "probabilities", LOGITS))
    assert head_error(right[None], "classes", LOGITS) == np.inf


def test_the_error_of_the_head_is_the_largest_of_all_images():
    ended = accuracy_module.Ended(lambda inputs: inputs, "classes")
    logits = np.float32([[[1, 2], [2, 1]]])
    for ids, error in (([[1, 0]], 0.0), ([[1, 1]], 0.5), ([[1, 0]], 0.5)):
        assert ended(np.array([ids]), logits).tolist() == ids
        assert ended.error == error


def test_a_file_that_is_not_what_it_claims():
    content = head.append(echo(), "classes")
    assert output_faults(content, OUTPUT_BY_NAME["classes8"]) == []  # its type is another claim
    assert output_faults(content, OUTPUT_BY_NAME["probabilities"]) == [
        "the file gives classes, but probabilities are claimed"
    ]
    assert output_faults(echo(), OUTPUT_BY_NAME["logits"]) == []


def test_nearest_neighbour_by_hand():
    """Pixel centres: of 2 columns to 5, the third one lies on the border and takes the second."""
    ids = np.int32([[1, 2], [3, 4]])
    assert enlarged(ids, (1, 5)).tolist() == [[3, 3, 4, 4, 4]]
    assert enlarged(ids, (2, 3)).tolist() == [[1, 2, 2], [3, 4, 4]]
    assert enlarged(ids).tolist() == ids.tolist() and enlarged(ids).dtype == np.uint8
    assert mask_of(np.int32([[7]]), "classes", (2, 2)).tolist() == [[7, 7], [7, 7]]
    probabilities = np.float32([[[0.6, 0.4], [0.1, 0.9]]])
    # The means of two pixels' probabilities: 0.475 and 0.525 in the middle ones.
    assert mask_of(probabilities, "probabilities", (1, 4)).tolist() == [[0, 1, 1, 1]]
