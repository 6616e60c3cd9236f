"""python -m benchmarks.opposite FILE: how opposite the filters of a published MobileNet are.

CReLU rests on a finding on other networks: early filters come in pairs of opposite phase
(Shang et al. 2016, arXiv:1603.05201, figure 2). For each convolution of a weights file: the cosine
of each filter with its most opposite partner, and the same of random filters of that shape.
"""

from pathlib import Path

import numpy as np

import cli
from files import write_json

DRAWS = 3  # random layers a shape


def main() -> None:
    parser = cli.parser("python -m benchmarks.opposite", "How opposite pretrained filters are.")
    parser.add_argument("file", type=Path, metavar="FILE", help="keras.applications' .h5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows for a machine")
    words = parser.parse_args()
    from segnet.weights import read_h5

    found = rows(read_h5(words.file))
    if not found:
        raise cli.Refusal(f"{words.file} holds no convolution over channels")
    if words.json:
        write_json(words.json, found)
    print(table(found))


def rows(layers: dict[str, list[np.ndarray]]) -> list[dict]:
    """A row a convolution over channels, in the file's order."""
    generator = np.random.default_rng(0)
    kernels = {
        name: arrays[0] for name, arrays in layers.items()
        if arrays[0].ndim == 4 and arrays[0].shape[-1] > 1
    }  # fmt: skip
    return [
        {"layer": name, "inputs": int(np.prod(kernel.shape[:3])), "filters": kernel.shape[3],
         **described(kernel, generator)}
        for name, kernel in kernels.items()
    ]  # fmt: skip


def described(kernel: np.ndarray, generator) -> dict:
    """cosine: mean over the filters (h, w, inputs, filters); random: the same of normal noise."""
    filters = kernel.reshape(-1, kernel.shape[-1])
    noise = [generator.standard_normal(filters.shape) for _ in range(DRAWS)]
    return {
        "cosine": float(most_opposite(filters).mean()),
        "random": float(np.mean([most_opposite(each).mean() for each in noise])),
    }


def most_opposite(filters: np.ndarray) -> np.ndarray:
    """For each column of (inputs, filters) the least cosine with another one."""
    unit = filters / np.maximum(np.linalg.norm(filters, axis=0), 1e-12)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 1.0)
    return cosines.min(axis=0)


def table(found: list[dict]) -> str:
    """Markdown."""
    head = ("layer", "inputs", "filters", "most opposite", "random")
    lines = [head, ["---"] * len(head)]
    for row in found:
        *names, cosine, random = row.values()
        lines.append((*names, f"{cosine:.2f}", f"{random:.2f}"))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    cli.run(main)
