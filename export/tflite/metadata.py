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
ACTIVATION_SOFTMAX = 2


def add_metadata(model: bytes, labels: list[str]) -> bytes:
    """The .tflite with metadata and labels added. Its input is RGB, float32 in [-1, 1] or uint8."""
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model)
    name_tensors(tree)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(model_metadata())
    entry.name, entry.buffer = "TFLITE_METADATA", len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [*(tree.metadata or []), entry]
    tree.description = "segnet"
    packed = io.BytesIO(pack(tree))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        # ZipInfo's fixed date makes the bytes reproducible.
        archive.writestr(zipfile.ZipInfo("labels.txt"), "".join(f"{name}\n" for name in labels))
    return packed.getvalue()


def name_tensors(tree) -> None:
    """Names input and output "image" and "logits", in the graph and in the signature."""
    (graph,), (signature,) = tree.subgraphs, tree.signatureDefs
    for tensors, entries, name in (
        (graph.inputs, signature.inputs, "image"),
        (graph.outputs, signature.outputs, "logits"),
    ):
        (tensor,), (entry,) = tensors, entries
        graph.tensors[tensor].name = entry.name = name


DAMAGE = (ValueError, TypeError, IndexError, KeyError, struct.error, zipfile.BadZipFile)


def read_metadata(model: bytes) -> dict:
    """labels, mean, std and colour_order, as in the metadata of a .tflite.

    Raises Refusal if the metadata or a part of it is missing.
    """
    try:
        subgraph = subgraph_of(model)
        (image,), (logits,) = tables(subgraph, 2), tables(subgraph, 3)
        (unit,), (labels,) = tables(image, 4), tables(logits, 6)
        content, normal = field(image, 3), field(unit, 1)
        (mean,), (std,) = numbers(normal, 0), numbers(normal, 1)
        colour = number(field(content, 1), 0, flatbuffers.number_types.Int8Flags)
        names = lines_of(model, labels)
    except DAMAGE as error:
        raise Refusal(
            f"the file's metadata is missing or damaged: {error}. Export again"
        ) from error
    order = "RGB" if colour == COLOUR_RGB else f"colour space {colour}"
    return {"labels": names, "mean": mean, "std": std, "colour_order": order}


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


def model_metadata() -> bytes:
    b = flatbuffers.Builder(1024)
    image = table(b, 2, {0: ("int8", COLOUR_RGB)})
    content = table(b, 3, {0: ("uint8", CONTENT_IMAGE), 1: image})
    normal = table(b, 2, {0: floats(b, [MEAN]), 1: floats(b, [STD])})
    unit = table(b, 2, {0: ("uint8", PROCESS_NORMALISE), 1: normal})
    stats = table(b, 2, {0: floats(b, [1.0]), 1: floats(b, [-1.0])})
    source = {0: b.CreateString("image"), 3: content, 4: vector(b, [unit]), 5: stats}
    image_tensor = table(b, 7, source)
    file = {0: b.CreateString("labels.txt"), 2: ("int8", LABELS_PER_CHANNEL)}
    labels = table(b, 5, file)
    logits = {0: b.CreateString("logits"), 6: vector(b, [labels])}
    logits_tensor = table(b, 7, logits)
    custom = {0: b.CreateString("SEGMENTER_METADATA"), 1: b.CreateByteVector(segmenter_options())}
    options = table(b, 2, custom)
    inputs, outputs = vector(b, [image_tensor]), vector(b, [logits_tensor])
    subgraph = table(b, 10, {2: inputs, 3: outputs, 9: vector(b, [options])})
    root = {0: b.CreateString("segnet"), 3: vector(b, [subgraph])}
    b.Finish(table(b, 8, root), b"M001")
    return bytes(b.Output())


def segmenter_options() -> bytes:
    b = flatbuffers.Builder(64)
    b.Finish(table(b, 1, {0: ("int8", ACTIVATION_SOFTMAX)}), b"V001")
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
