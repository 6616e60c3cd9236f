"""Cross-layer equalisation: gives the channels of each tensor of a deploy graph equal ranges.

An int8 tensor has a single scale: a channel with a tenth of the widest one's range uses a tenth of
the 256 levels. ReLU, concatenation and depth to space commute with a positive factor per channel.
So a factor can move from the weights of one layer to those of the next without changing the
network's function (Nagel et al. 2019, "Data-free quantization", section 4.1; they equalise the
ranges of weights, we equalise measured ranges of activations).
"""

import numpy as np

from export.graph.layers import layers_before

UNSCALED = {"Add", "output"}  # need the original values
# Least range of a channel, relative to the widest. A narrower channel is widened by at most
# 1 / LEAST, because larger factors would make the next layer's weights vanish.
LEAST = 1 / 8


def ranges(graph, batch: np.ndarray) -> dict[str, np.ndarray]:
    """Layer to largest magnitude of each output channel, over inputs (N, H, W, 3).

    graph: a deploy graph with an open batch size.
    """
    layers = graph.layers[1:]
    probe = type(graph)(graph.input, [layer.output for layer in layers])
    found = {layer.name: np.zeros(layer.output.shape[-1]) for layer in layers}
    for start in range(0, len(batch), 8):
        for layer, values in zip(
            layers, probe.predict_on_batch(batch[start : start + 8]), strict=True
        ):
            found[layer.name] = np.maximum(found[layer.name], np.abs(values).max((0, 1, 2)))
    return found


def equalise(graph, found: dict[str, np.ndarray]) -> None:
    """Equalises `graph` in place. found: the ranges of its channels, as `ranges` returns."""
    scales = {graph.layers[0].name: np.ones(3)}  # layer -> original value / scaled value
    for layer in graph.layers[1:]:
        sources = [scales[node.name] for node in layers_before(layer)]
        kind = type(layer).__name__
        if kind == "LateBias":
            layer.set_weights([layer.get_weights()[0] / np.float32(sources[0])])
            scales[layer.name] = sources[0]
        elif layer.weights:
            scales[layer.name] = move(layer, sources[0], wanted(layer, found[layer.name]))
        elif kind == "Concatenate":
            scales[layer.name] = np.concatenate(sources)
        elif kind == "DepthToSpace":  # `wanted` gave its four phases equal factors
            scales[layer.name] = sources[0][: len(sources[0]) // 4]
        else:
            scales[layer.name] = sources[0]


def layers_after(layer) -> list:
    return [node.operation for node in layer._outbound_nodes]


def wanted(layer, found: np.ndarray) -> np.ndarray:
    """The factor of each output channel of a layer: its range, relative to the widest."""
    kinds = followers(layer)
    if kinds & UNSCALED or found.max() == 0:
        return np.ones(len(found))
    if "DepthToSpace" in kinds:
        found = np.tile(found.reshape(4, -1).max(0), 4)
    return np.maximum(found / found.max(), LEAST)


def followers(layer) -> set[str]:
    """Types of the layers that receive this layer's channels, directly or through other layers."""
    kinds = set() if layers_after(layer) else {"output"}
    for other in layers_after(layer):
        kind = type(other).__name__
        kinds.add(kind)
        if kind == "LateBias" or (not other.weights and kind not in UNSCALED):
            kinds |= followers(other)
    return kinds


def move(layer, incoming: np.ndarray, outgoing: np.ndarray) -> np.ndarray:
    """Multiplies a layer's weights by the factors of its input, divides by those of its output."""
    kernel, *bias = layer.get_weights()
    kind = type(layer).__name__
    if kind == "DepthwiseConv2D":  # (h, w, channels, 1)
        kernel = kernel * (incoming / outgoing)[:, None]
    elif kind == "Conv2DTranspose":  # (h, w, out, in)
        kernel = kernel * incoming / outgoing[:, None]
    else:  # (h, w, in / groups, out)
        groups = np.repeat(incoming.reshape(layer.groups, -1), len(outgoing) // layer.groups, 0)
        kernel = kernel * groups.T / outgoing
    layer.set_weights([np.float32(kernel), *(np.float32(b / outgoing) for b in bias)])
    return outgoing
