"""Reads tensors and operators from a .tflite without running it."""

import math
import struct
from collections import Counter
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from cli import Refusal

FLOATS = ("float32", "float16")
# With a constant as input they only unpack weights.
UNPACKING = ("DEQUANTIZE", "DENSIFY")


class Tensor(NamedTuple):
    """shape has -1 for a side that the file leaves open; scales is empty if not quantised.

    role: "input" or "output" of the network, "constant" (stored, or unpacked from a stored
    tensor) or "inside". data: the values of a stored constant, also of one that is stored sparse.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    role: str
    data: np.ndarray | None


class Operator(NamedTuple):
    """name: as in the schema (CONV_2D), or a custom operator's own name (FlexLgamma).

    inputs has None for an optional input that is left out. options: named as in the schema
    (strideW). layer: the name of the Keras layer it comes from; "after NAME" if only the layer
    before it is known; else "input" or "output" of the network, or the name of its output tensor.
    """

    name: str
    version: int
    code: int
    custom: bool
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    activation: str
    options: dict
    layer: str

    @property
    def activations(self) -> list[Tensor]:
        """Inputs and outputs at run time: no weights, shapes or axes."""
        return [t for t in self.inputs + self.outputs if t is not None and t.role != "constant"]


# What reading a damaged file raises, from flatbuffers, numpy and our own look-ups.
DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError)


def operators(content: bytes) -> list[Operator]:
    """The operators of a .tflite in execution order. Raises Refusal."""
    model = parse(content)
    names = constants_by_value("BuiltinOperator")
    found = []
    with damage_refused():
        for graph in model.subgraphs:
            tensors = read_tensors(model, graph, names)
            found += [read_operator(model, node, tensors, names) for node in graph.operators]
    return found


def parse(content: bytes):
    """A .tflite as the schema's own objects (ModelT). Raises Refusal."""
    from ai_edge_litert import schema_py_generated as schema

    with damage_refused():
        if content[4:8] != b"TFL3":
            raise ValueError("the identifier TFL3 is missing")
        return schema.ModelT.InitFromPackedBuf(content, 0)


@contextmanager
def damage_refused():
    """Turns the errors that a damaged file causes into a Refusal."""
    try:
        yield
    except DAMAGE as error:
        raise Refusal(f"not a .tflite, or damaged: {error}. Export it again") from error


def constants_by_value(kind: str) -> dict[int, str]:
    """Value to name of an enumeration of the schema."""
    from ai_edge_litert import schema_py_generated as schema

    members = vars(getattr(schema, kind)).items()
    return {value: name for name, value in members if isinstance(value, int)}


def read_tensors(model, graph, names) -> list[Tensor]:
    types = constants_by_value("TensorType")
    inputs, outputs = ints(graph.inputs), ints(graph.outputs)
    tensors = []
    for index, packed in enumerate(graph.tensors):
        data = model.buffers[packed.buffer].data
        stored = data is not None and len(data) > 0
        role = (
            "input" if index in inputs else "output" if index in outputs
            else "constant" if stored else "inside"
        )  # fmt: skip
        tensors.append(read_tensor(packed, types[packed.type].lower(), role, data))
    for node in graph.operators:
        code = model.operatorCodes[node.opcodeIndex]
        if names.get(builtin(code)) in UNPACKING and tensors[node.inputs[0]].role == "constant":
            made = int(node.outputs[0])
            tensors[made] = tensors[made]._replace(role="constant")
    return tensors


def read_tensor(packed, dtype: str, role: str, data) -> Tensor:
    open_shape = packed.shapeSignature
    shape = ints(open_shape if open_shape is not None and len(open_shape) else packed.shape)
    quantised = packed.quantization
    scales = () if quantised is None or quantised.scale is None else quantised.scale
    zeros = () if not len(scales) or quantised.zeroPoint is None else quantised.zeroPoint
    values = None
    if role == "constant" and dtype in np.sctypeDict:
        values = np.asarray(data, np.uint8).view(dtype)
        values = values.reshape(shape) if packed.sparsity is None else dense(values, shape, packed)
    scales, zeros = tuple(float(s) for s in scales), ints(zeros)
    return Tensor(packed.name.decode(), shape, dtype, scales, zeros, role, values)


def dense(values: np.ndarray, shape, packed) -> np.ndarray:
    """The values of a tensor that is stored sparse: level by level, each dense or a list of indices
    in segments; the levels after those of the shape are within blocks."""
    sparsity, places, found = packed.sparsity, np.zeros(1, np.int64), []
    for level in sparsity.dimMetadata:
        if level.format == 0:  # dense
            counts = np.full(len(places), level.denseSize)
            places = (places[:, None] * level.denseSize + np.arange(level.denseSize)).ravel()
            index = np.tile(np.arange(level.denseSize), len(counts))
        else:
            ends = np.asarray(level.arraySegments.values, np.int64)
            counts = ends[places + 1] - ends[places]
            first = np.repeat(ends[places] - np.cumsum(counts) + counts, counts)
            places = first + np.arange(counts.sum())
            index = np.asarray(level.arrayIndices.values, np.int64)[places]
        found = [*(np.repeat(each, counts) for each in found), index]
    at = [found[list(sparsity.traversalOrder).index(axis)] for axis in range(len(found))]
    for axis, inner in zip(ints(sparsity.blockMap), at[len(shape) :], strict=True):
        at[axis] = at[axis] * (inner.max() + 1) + inner
    full = np.zeros(shape, values.dtype)
    full[tuple(at[: len(shape)])] = values[places]
    return full


def read_operator(model, node, tensors, names) -> Operator:
    code = model.operatorCodes[node.opcodeIndex]
    name = names.get(builtin(code), f"operator {builtin(code)}")
    custom = name == "CUSTOM"
    inputs = tuple(tensors[i] if i >= 0 else None for i in ints(node.inputs))
    outputs = tuple(tensors[i] for i in ints(node.outputs))
    options = vars(node.builtinOptions) if node.builtinOptions else {}
    fused = constants_by_value("ActivationFunctionType")
    return Operator(
        code.customCode.decode() if custom else name,
        code.version, builtin(code), custom, inputs, outputs,
        fused[options.get("fusedActivationFunction", 0)], options, layer_of(inputs, outputs),
    )  # fmt: skip


def builtin(code) -> int:
    """The operator code. Old files have it in a second, one-byte field; the larger one counts."""
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def ints(values) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def layer_of(inputs, outputs) -> str:
    """The Keras layer that an output or a weight is named after, or "after" the layer before."""
    given = [tensor for tensor in inputs if tensor is not None]
    weights = [tensor for tensor in given if tensor.role == "constant"]
    rest = [tensor for tensor in given if tensor.role != "constant"]
    for prefix, tensors in (("", (*outputs, *weights)), ("after ", rest)):
        for tensor in tensors:
            parts = tensor.name.split(";")[0].split("/")
            if len(parts) > 2:
                return prefix + keras_name(*parts[:2])
    roles = [tensor.role for tensor in (*rest, *outputs)]
    return next((role for role in roles if role in ("input", "output")), outputs[0].name)


def keras_name(root: str, layer: str) -> str:
    """Without the _1 of Keras 3: it exports a second trace, in which every scope ends in _1."""
    if root.endswith("_1"):
        layer = layer.removesuffix("_1")
    return layer.removeprefix("quant_")  # tfmot's wrapper of a layer


def conversions(content: bytes) -> dict[str, int]:
    """Counts of QUANTIZE and DEQUANTIZE by types and place, as {"uint8->int8 input": 1}.

    Places: input or output of the network, inside, weights (unpacked when the file is loaded).
    """
    kinds = Counter()
    for operator in operators(content):
        if operator.name in ("QUANTIZE", "DEQUANTIZE"):
            source, target = operator.inputs[0], operator.outputs[0]
            kinds[f"{source.dtype}->{target.dtype} {place(operator)}"] += 1
    return dict(kinds)


def place(operator: Operator) -> str:
    """The place of a conversion: "input", "output", "inside" or "weights"."""
    source, target = operator.inputs[0], operator.outputs[0]
    if source.role == "constant":
        return "weights"
    if source.role == "input":
        return "input"
    return "output" if target.role == "output" else "inside"


def float_operators(content: bytes) -> list[Operator]:
    """Operators that compute in float, except QUANTIZE at the input and DEQUANTIZE at the output.

    An int8 file should have none; in a float file it is all of them.
    """
    return [
        operator
        for operator in operators(content)
        if any(tensor.dtype in FLOATS for tensor in operator.activations)
        and not (operator.name == "QUANTIZE" and place(operator) == "input")
        and not (operator.name == "DEQUANTIZE" and place(operator) == "output")
    ]


def open_shapes(content: bytes) -> list[str]:
    """Names of the tensors with an open side; phone runtimes need fixed shapes."""
    tensors = (t for o in operators(content) for t in (*o.inputs, *o.outputs) if t is not None)
    return list(dict.fromkeys(t.name for t in tensors if any(side < 1 for side in t.shape)))


def custom_operators(content: bytes) -> list[str]:
    """Names of the custom operators, Flex included, which an app would have to provide."""
    return list(dict.fromkeys(o.name for o in operators(content) if o.custom))


def macs(content: bytes) -> int:
    """Multiply-accumulates of one image, from the shapes of weights and activations alone.

    Kernel area x Cin / groups x Cout per output pixel of a convolution and per input pixel of a
    deconvolution, as `segnet.cost` counts; nothing else counts.
    """
    return sum(operator_macs(operator) for operator in operators(content))


def operator_macs(operator: Operator) -> int:
    """inputs[1] of each counted operator is its weights; convolution: (out, h, w, in / groups)."""
    if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        swept = operator.outputs[0]
    elif operator.name == "TRANSPOSE_CONV":  # inputs: its output's shape, weights, image
        swept = operator.inputs[2]
    elif operator.name == "Convolution2DTransposeBias":  # MediaPipe's; inputs: image, weights, bias
        swept = operator.inputs[0]
    elif operator.name == "FULLY_CONNECTED":  # weights (out, in)
        return size(operator.inputs[0]) * operator.inputs[1].shape[0]
    else:
        return 0
    return size(operator.inputs[1]) * size(swept) // swept.shape[-1]


def size(tensor: Tensor) -> int:
    """Number of elements; an open side, such as the batch, counts as 1."""
    return math.prod(max(side, 1) for side in tensor.shape)


def largest_weight(content: bytes) -> float:
    """The largest magnitude of a stored float constant; the largest finite float16 is 65,504."""
    data = (t.data for o in operators(content) for t in o.inputs if t is not None)
    found = [np.abs(v).max() for v in data if v is not None and v.dtype.kind == "f" and v.size]
    return float(max(found, default=0.0))
