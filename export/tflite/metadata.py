"""Writes and reads TFLite metadata, which MediaPipe and Android's model binding use.

The tables are those of metadata_schema.fbs and image_segmenter_metadata_schema.fbs; here a table
is {field number: value}. labels.txt is an uncompressed zip entry after the flatbuffer.
"""

import io
import struct
import zipfile
from contextlib import suppress

import flatbuffers
from flatbuffers.table import Table

from cli import Refusal
from data.batches import MEAN, STD
from export.tflite.pack import pack

# Field numbers and enum values of metadata_schema.fbs.
CONTENT_IMAGE = 2  # ContentProperties union: ImageProperties
COLOUR_RGB = 1
PROCESS_NORMALISE = 1  # ProcessUnitOptions union: NormalizationOptions
LABELS_PER_CHANNEL = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
LABELS_PER_VALUE = 3  # AssociatedFileType.TENSOR_VALUE_LABELS
# By the values of the output: what MediaPipe applies to them, and its number. MediaPipe would
# misread classes: it gets no options of a segmenter.
ACTIVATIONS = {"logits": "softmax", "probabilities": "none", "classes": None}
NUMBERS = {"none": 0, "sigmoid": 1, "softmax": 2}
OPTIONS = "SEGMENTER_METADATA"


def add_metadata(model: bytes, labels: list[str], values: str = "logits") -> bytes:
    """The .tflite with metadata and labels added. Its input is RGB, float32 in [-1, 1] or uint8.

    values: what it gives, "logits", "probabilities" or "classes".
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model)
    name_tensors(tree, values)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(model_metadata(values))
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    tree.description = "segnet"
    packed = io.BytesIO(pack(tree))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        # ZipInfo's fixed date makes the bytes reproducible.
        archive.writestr(zipfile.ZipInfo("labels.txt"), "".join(f"{name}\n" for name in labels))
    return packed.getvalue()


def name_tensors(tree, values: str) -> None:
    """Names input and output "image" and `values`, in the graph and in the signature."""
    (graph,), (signature,) = tree.subgraphs, tree.signatureDefs
    for tensors, entries, name in (
        (graph.inputs, signature.inputs, "image"),
        (graph.outputs, signature.outputs, values),
    ):
        (tensor,), (entry,) = tensors, entries
        graph.tensors[tensor].name = entry.name = name


DAMAGE = (ValueError, TypeError, IndexError, KeyError, struct.error, zipfile.BadZipFile)


def read_metadata(model: bytes) -> dict:
    """labels, mean, std, colour_order and activation, as in the metadata of a .tflite.

    activation: None without the options of a segmenter.
    Raises Refusal if the metadata or a part of it is missing.
    """
    try:
        subgraph = subgraph_of(model)
        (image,), (logits,) = tables(subgraph, 2), tables(subgraph, 3)
        (unit,), (labels,) = tables(image, 4), tables(logits, 6)
        content, normal = field(image, 3), field(unit, 1)
        (mean,), (std,) = numbers(normal, 0), numbers(normal, 1)
        colour = number(field(content, 1), 0, flatbuffers.number_types.Int8Flags)
        names, activation = lines_of(model, labels), activation_of(subgraph)
    except DAMAGE as error:
        raise Refusal(
            f"the file's metadata is missing or damaged: {error}. Export again"
        ) from error
    order = "RGB" if colour == COLOUR_RGB else f"colour space {colour}"
    return {
        "labels": names, "mean": mean, "std": std, "colour_order": order, "activation": activation,
    }  # fmt: skip


def read_loosely(model: bytes) -> dict:
    """labels, mean and std of any .tflite, of anybody; None where its metadata do not tell them.

    mean, std: lists of one value, or of one a channel.
    """
    found = dict.fromkeys(("labels", "mean", "std"))
    with suppress(*DAMAGE):
        subgraph = subgraph_of(model)
        with suppress(*DAMAGE):
            for unit in tables(tables(subgraph, 2)[0], 4):
                if number(unit, 0, flatbuffers.number_types.Uint8Flags) == PROCESS_NORMALISE:
                    normal = field(unit, 1)
                    found |= {"mean": numbers(normal, 0), "std": numbers(normal, 1)}
        with suppress(*DAMAGE):
            found["labels"] = lines_of(model, tables(tables(subgraph, 3)[0], 6)[0])
    return found


def subgraph_of(model: bytes) -> Table:
    """The metadata of the only subgraph. Raises one of DAMAGE."""
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model)
    (entry,) = [e for e in tree.metadata or [] if e.name == b"TFLITE_METADATA"]
    raw = bytes(tree.buffers[entry.buffer].data)
    if raw[4:8] != b"M001":
        raise ValueError("the identifier M001 is missing")
    root = Table(raw, flatbuffers.encode.Get(flatbuffers.packer.uoffset, raw, 0))
    (subgraph,) = tables(root, 3)
    return subgraph


def lines_of(model: bytes, file: Table) -> list[str]:
    """The lines of a file that is packed with the model."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return archive.read(string(file, 0)).decode().removesuffix("\n").split("\n")


def place(table: Table, slot: int) -> int:
    """Position of field `slot`. Raises KeyError if the table has none."""
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        raise KeyError(f"field {slot}")
    return table.Pos + offset


def field(table: Table, slot: int) -> Table:
    return Table(table.Bytes, table.Indirect(place(table, slot)))


def number(table: Table, slot: int, kind):
    return table.Get(kind, place(table, slot))


def string(table: Table, slot: int) -> str:
    return table.String(place(table, slot)).decode()


def tables(table: Table, slot: int) -> list[Table]:
    start = table.Vector(place(table, slot) - table.Pos)
    count = table.VectorLen(place(table, slot) - table.Pos)
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]


def numbers(table: Table, slot: int) -> list[float]:
    start = table.Vector(place(table, slot) - table.Pos)
    count = table.VectorLen(place(table, slot) - table.Pos)
    kind = flatbuffers.number_types.Float32Flags
    return [table.Get(kind, start + 4 * i) for i in range(count)]


def activation_of(subgraph: Table) -> str | None:
    """What the options of a segmenter name, by which MediaPipe gives confidences."""
    try:
        options = [table for table in tables(subgraph, 9) if string(table, 0) == OPTIONS]
    except KeyError:
        return None
    if not options:
        return None
    place_of = place(options[0], 1) - options[0].Pos
    start, length = options[0].Vector(place_of), options[0].VectorLen(place_of)
    raw = options[0].Bytes[start : start + length]
    root = Table(raw, flatbuffers.encode.Get(flatbuffers.packer.uoffset, raw, 0))
    try:
        code = number(root, 0, flatbuffers.number_types.Int8Flags)
    except KeyError:  # the default is not stored
        code = 0
    return {value: name for name, value in NUMBERS.items()}.get(code, f"activation {code}")


def model_metadata(values: str) -> bytes:
    b = flatbuffers.Builder(1024)
    image = table(b, 2, {0: ("int8", COLOUR_RGB)})
    content = table(b, 3, {0: ("uint8", CONTENT_IMAGE), 1: image})
    normal = table(b, 2, {0: floats(b, [MEAN]), 1: floats(b, [STD])})
    unit = table(b, 2, {0: ("uint8", PROCESS_NORMALISE), 1: normal})
    stats = table(b, 2, {0: floats(b, [1.0]), 1: floats(b, [-1.0])})
    source = {0: b.CreateString("image"), 3: content, 4: vector(b, [unit]), 5: stats}
    image_tensor = table(b, 7, source)
    kind = LABELS_PER_VALUE if values == "classes" else LABELS_PER_CHANNEL
    file = {0: b.CreateString("labels.txt"), 2: ("int8", kind)}
    labels = table(b, 5, file)
    target = {0: b.CreateString(values), 6: vector(b, [labels])}
    target_tensor = table(b, 7, target)
    options = custom_metadata(b, values)
    inputs, outputs = vector(b, [image_tensor]), vector(b, [target_tensor])
    more = {9: vector(b, options)} if options else {}
    subgraph = table(b, 10, {2: inputs, 3: outputs, **more})
    root = {0: b.CreateString("segnet"), 3: vector(b, [subgraph])}
    b.Finish(table(b, 8, root), b"M001")
    return bytes(b.Output())


def custom_metadata(b: flatbuffers.Builder, values: str) -> list[int]:
    """The options of a segmenter, for values that MediaPipe can read."""
    if (activation := ACTIVATIONS[values]) is None:
        return []
    raw = segmenter_options(NUMBERS[activation])
    custom = {0: b.CreateString(OPTIONS), 1: b.CreateByteVector(raw)}
    return [table(b, 2, custom)]


def segmenter_options(activation: int) -> bytes:
    b = flatbuffers.Builder(64)
    b.Finish(table(b, 1, {0: ("int8", activation)}), b"V001")
    return bytes(b.Output())


def table(b: flatbuffers.Builder, slots: int, fields: dict) -> int:
    """A table from {slot: offset or (kind, number)}."""
    b.StartObject(slots)
    for slot, value in fields.items():
        if isinstance(value, tuple):
            kind, number = value
            {"int8": b.PrependInt8Slot, "uint8": b.PrependUint8Slot}[kind](slot, number, 0)
        else:
            b.PrependUOffsetTRelativeSlot(slot, value, 0)
    return b.EndObject()


def vector(b: flatbuffers.Builder, offsets: list[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()


def floats(b: flatbuffers.Builder, values: list[float]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return b.EndVector()
