"""Which few layers of an int8 file to leave in float, so that it loses less: greedy, by mIoU."""

from collections.abc import Callable

import numpy as np

from data.batches import to_input
from data.dataset import Dataset
from data.pictures import read_pair
from export.equalise import before
from segnet.metrics import confusion, scores, to_mask

MOST = 20  # evaluations; each converts the file anew
TRIED = 5  # layers a round, of those that add most error
PICTURES = 32  # of the validation set, seeded; the gate judges the result on all of it


def repair(
    measure: Callable[[tuple], float], suspects: list[tuple], enough: float, say: Callable
) -> tuple:
    """Names of the layers to keep in float: as few as reach `enough`, or the best that was found.

    measure(layers): mIoU with these in float. suspects: groups of layers, the likeliest first.
    """
    kept, best, left = (), measure(()), MOST - 1
    while best < enough:
        tried = [group for group in suspects if not set(group) <= set(kept)][: min(TRIED, left)]
        wider = [(*kept, *(name for name in group if name not in kept)) for group in tried]
        found = {layers: measure(layers) for layers in wider}
        left -= len(found)
        layers = max(found, key=found.get, default=None)
        if layers is None or found[layers] <= best:
            break
        kept, best = layers, found[layers]
        say(f"{', '.join(kept)} in float: mIoU {best:.4f} on {PICTURES} pictures")
    return kept


def suspects(graph, errors: list[dict]) -> list[tuple]:
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


def subset_miou(function, dataset: Dataset, size: tuple[int, int], seed: int = 0) -> float:
    """mIoU of a function from (1, H, W, 3) to logits on PICTURES of the validation set."""
    pairs = dataset.pairs("val")
    matrix = 0
    for index in np.random.default_rng(seed).permutation(len(pairs))[:PICTURES]:
        picture, truth = read_pair(pairs[index], dataset)
        guess = to_mask(function(to_input(picture, size)[None])[0], truth.shape)
        matrix = matrix + confusion(truth, guess, len(dataset.classes))
    return scores(matrix, dataset.classes)["miou"]
