"""Greedy search for the few layers of an int8 file to keep in float, so that mIoU drops less."""

from collections.abc import Callable

from export.graph.layers import layers_before

MOST = 20  # evaluations; each converts the network again
TRIED = 5  # candidates per round, those that add most error first


def search(
    measure: Callable[[tuple], float], groups: list[tuple], enough: float, say: Callable
) -> tuple:
    """Names of the layers to keep in float, added group by group until mIoU reaches `enough`.

    The search ends earlier if no group helps or after MOST evaluations. measure(layers): mIoU with
    these layers in float. groups: tuples of layers that belong together, most promising first.
    """
    kept, best, left = (), measure(()), MOST - 1
    while best < enough:
        tried = [group for group in groups if not set(group) <= set(kept)][: min(TRIED, left)]
        wider = [(*kept, *(name for name in group if name not in kept)) for group in tried]
        found = {layers: measure(layers) for layers in wider}
        left -= len(found)
        layers = max(found, key=found.get, default=None)
        if layers is None or found[layers] <= best:
            break
        kept, best = layers, found[layers]
        say(f"{', '.join(kept)} in float: mIoU {best:.4f}")
    return kept


def candidates(graph, errors: list[dict]) -> list[tuple]:
    """Groups of a layer with weights and the layers that feed it, most added error first.

    A group has both, because the tensor between two layers is in float only if both layers are,
    and because a channel with a far wider range than the others causes no error in its own tensor,
    only in the next. The first layer is left out: its input is the image's bytes.
    """
    weighted = {layer.name: layer for layer in graph.layers[2:] if layer.weights}
    names = [row["layer"] for row in errors if row["layer"] in weighted]
    return [(*(n for n in feeders(weighted[name]) if n in weighted), name) for name in names]


def feeders(layer) -> list[str]:
    """Names of the nearest layers with weights before `layer`, each once."""
    found = {}
    for other in layers_before(layer):
        found |= dict.fromkeys([other.name] if other.weights else feeders(other))
    return list(found)
