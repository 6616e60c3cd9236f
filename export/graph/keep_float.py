"""Which few layers of an int8 file to leave in float, so that it loses less: greedy, by mIoU."""

from collections.abc import Callable

from export.graph.equalise import before

MOST = 20  # evaluations; each converts the file anew
TRIED = 5  # layers a round, of those that add most error


def search(
    measure: Callable[[tuple], float], groups: list[tuple], enough: float, say: Callable
) -> tuple:
    """Names of the layers to keep in float: as few as reach `enough`, or the best that was found.

    measure(layers): mIoU with these in float. groups: of layers, the likeliest first.
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
    """Layers with weights behind those that feed them, by the error that the former add.

    Both, because a tensor between two layers is in float only if both are; and a channel that is
    far wider than the others shows no error in its own tensor, only behind it. The first layer is
    left out, it takes bytes.
    """
    weighty = {layer.name: layer for layer in graph.layers[2:] if layer.weights}
    names = [row["layer"] for row in errors if row["layer"] in weighty]
    return [(*(n for n in givers(weighty[name]) if n in weighty), name) for name in names]


def givers(layer) -> list[str]:
    """Names of the layers with weights whose outputs come into `layer`, each once."""
    found = {}
    for other in before(layer):
        found |= dict.fromkeys([other.name] if other.weights else givers(other))
    return list(found)
