"""Packing a .tflite, and how it is delegated."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from export.graph.convert import to_tflite
from export.tflite.inspect import parse
from export.tflite.pack import pack
from export.tflite.runtime import Runtime


def test_partitioning_of_a_fully_delegated_file():
    import keras

    x = keras.Input((8, 8, 3), batch_size=1)
    net = keras.Model(x, keras.layers.Conv2D(4, 3, activation="relu")(x))
    found = Runtime(to_tflite(net)).partitioning()
    assert found == {"ops": {"CONV_2D": 1}, "partitions": 1, "outside": {}}


def test_equal_vectors_are_written_once():
    """Two tensors with equal zero points share them; their values are read as before."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT()
    graph, tree.buffers = schema.SubGraphT(), [schema.BufferT()]
    tree.subgraphs, graph.tensors = [graph], []
    for number in (1, 2):
        tensor = schema.TensorT()
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.full(100, number, np.float32)
        tensor.quantization.zeroPoint = np.zeros(100, np.int64)
        graph.tensors.append(tensor)
    builder = flatbuffers.Builder(64)
    builder.Finish(tree.Pack(builder), b"TFL3")
    packed = pack(tree)
    assert len(bytes(builder.Output())) - len(packed) in range(800, 816)
    for number, tensor in enumerate(parse(packed).subgraphs[0].tensors, 1):
        assert (tensor.quantization.scale == number).all()
        assert (tensor.quantization.zeroPoint == np.zeros(100)).all()


def test_data_of_tensors_is_aligned():
    """schema.fbs: Buffer.data has force_align 16. Offsets are relative to the mapped file."""
    import keras
    from ai_edge_litert import schema_py_generated as schema

    x = keras.Input((8, 8, 3), batch_size=1)
    y = keras.layers.Conv2D(5, 3, bias_initializer="normal")(x)
    content = to_tflite(keras.Model(x, keras.layers.Conv2D(3, 3, bias_initializer="normal")(y)))
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    places = [b.DataAsNumpy().ctypes.data - start for b in buffers if not b.DataIsNone()]
    assert len(places) >= 4 and all(place % 16 == 0 for place in places)
