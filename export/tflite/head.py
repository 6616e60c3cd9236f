"""Ends a finished .tflite in softmax or argmax: appends the operators to its flatbuffer.

The weights and the operators before stay as they are, so that what was proven of the logits holds
for the tensor that the head reads.
"""

import numpy as np

from export.tflite.inspect import builtin, constants_by_value, operators, parse
from export.tflite.pack import pack

PROBABILITY = 1 / 256  # the step of a quantised softmax, which the runtime's kernels demand
PADDED = -6e4  # the logit of a class that only fills up; float16 holds it
CHANNELS = 4  # of which GPUs keep as many together
# Operators after the last one that computes: of any file, and of ours.
PASSING = ("CAST", "DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR")
ENDING = ("CAST", "QUANTIZE")
VALUES = {"ARG_MAX": "classes", "SOFTMAX": "probabilities"}


def values_of(content: bytes) -> str:
    """What a .tflite gives: "probabilities", "classes", or "logits" if it ends in neither."""
    last = next((o.name for o in reversed(operators(content)) if o.name not in PASSING), "")
    return VALUES.get(last, "logits")


def head_of(steps: list) -> list:
    """Of the operators of a file, the softmax or argmax that it ends in and what is after it."""
    at = len(steps)
    while at and steps[at - 1].name in ENDING:
        at -= 1
    return steps[at - 1 :] if at and steps[at - 1].name in VALUES else []


def append(content: bytes, output: str, padded: bool = False) -> bytes:
    """The file, which gives logits (1, H, W, C), with another output.

    output: "probabilities", of the logits' type, (1, H, W, C); "classes" int32 or "classes8" uint8,
    (1, H, W), the first of equal logits. padded: the classes are filled up to a multiple of
    CHANNELS, without which GPUs take a class that does not exist where all logits are negative.
    """
    tree = parse(content)
    head = Head(tree)
    if output == "probabilities":
        head.softmax()
    else:
        head.argmax("UINT8" if output == "classes8" else "INT32", padded)
    return pack(tree)


class Head:
    """Appends operators to the only subgraph of `tree`, a ModelT, in place."""

    def __init__(self, tree):
        from ai_edge_litert import schema_py_generated as schema

        self.tree, self.schema = tree, schema
        (self.graph,) = tree.subgraphs
        (self.output,) = (int(each) for each in self.graph.outputs)

    def softmax(self) -> None:
        options = self.schema.SoftmaxOptionsT()
        options.beta = 1.0
        last = self.conversion("QUANTIZE")
        if last is None:
            shape = self.graph.tensors[self.output].shape
            made = self.tensor("softmax", "FLOAT32", shape)
            self.operator("SOFTMAX", 1, [self.output], made, "SoftmaxOptions", options)
            self.end(made)
            return
        self.graph.operators.remove(last)
        (source,), tensor = last.inputs, self.graph.tensors[self.output]
        made = self.tensor("softmax", "INT8", tensor.shape)
        self.graph.tensors[made].quantization = self.quantisation(-128)
        tensor.quantization = self.quantisation(0)
        self.operator("SOFTMAX", 2, [source], made, "SoftmaxOptions", options)
        last.inputs = [made]
        self.graph.operators.append(last)

    def argmax(self, dtype: str, padded: bool) -> None:
        """On the integers of a quantised file: its last conversion is left out."""
        source = self.output
        last = self.conversion("DEQUANTIZE", "QUANTIZE")
        if last is not None:
            self.graph.operators.remove(last)
            (source,) = (int(each) for each in last.inputs)
        tensor = self.graph.tensors[source]
        version = 2 if tensor.type == self.schema.TensorType.INT8 else 1
        shape = list(tensor.shape)
        if padded and shape[-1] % CHANNELS:
            source = self.filled(source, shape)
        options = self.schema.ArgMaxOptionsT()
        options.outputType = self.schema.TensorType.INT32
        made = self.tensor("argmax", "INT32", shape[:-1])
        axis = self.constant("axis", np.int32(len(shape) - 1))
        self.operator("ARG_MAX", version, [source, axis], made, "ArgMaxOptions", options)
        if dtype != "INT32":
            ids, cast = made, self.schema.CastOptionsT()
            cast.inDataType = self.schema.TensorType.INT32
            cast.outDataType = getattr(self.schema.TensorType, dtype)
            made = self.tensor("cast", dtype, shape[:-1])
            self.operator("CAST", 1, [ids], made, "CastOptions", cast)
        self.end(made)

    def filled(self, source: int, shape: list[int]) -> int:
        """The logits with classes that no pixel can have, up to a multiple of CHANNELS."""
        more = -shape[-1] % CHANNELS
        wide = [*shape[:-1], shape[-1] + more]
        zeros, made = (self.tensor(name, "FLOAT32", wide) for name in ("fill_pad", "fill"))
        pads = self.constant("pads", np.int32([[0, 0]] * (len(shape) - 1) + [[0, more]]))
        self.operator("PAD", 1, [source, pads], zeros, "PadOptions", self.schema.PadOptionsT())
        bias = np.zeros((1, 1, 1, wide[-1]), np.float32)
        bias[..., shape[-1] :] = PADDED
        add = self.schema.AddOptionsT()
        self.operator("ADD", 1, [zeros, self.constant("bias", bias)], made, "AddOptions", add)
        return made

    def conversion(self, *names: str):
        """The last operator if it converts the output's type by one of these names, else None."""
        last = self.graph.operators[-1]
        code = builtin(self.tree.operatorCodes[last.opcodeIndex])
        return last if constants_by_value("BuiltinOperator")[code] in names else None

    def tensor(self, name: str, dtype: str, shape) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = f"head/{name}", [int(side) for side in shape]
        tensor.type = getattr(self.schema.TensorType, dtype)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: np.ndarray) -> int:
        values = np.asarray(values)
        made = self.tensor(name, values.dtype.name.upper(), values.shape)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[made].buffer = len(self.tree.buffers)
        self.tree.buffers.append(buffer)
        return made

    def quantisation(self, zero: int):
        found = self.schema.QuantizationParametersT()
        found.scale, found.zeroPoint = np.float32([PROBABILITY]), np.int64([zero])
        return found

    def operator(self, name: str, version: int, inputs, made: int, kind: str, options) -> None:
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, name)
        code.version = version
        step = self.schema.OperatorT()
        step.opcodeIndex, step.inputs, step.outputs = len(self.tree.operatorCodes), inputs, [made]
        step.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
        step.builtinOptions = options
        self.tree.operatorCodes.append(code)
        self.graph.operators.append(step)

    def end(self, made: int) -> None:
        """Makes a tensor the output of the graph and of its signature."""
        self.graph.outputs = [made]
        for signature in self.tree.signatureDefs or ():
            (entry,) = signature.outputs
            entry.tensorIndex = made
