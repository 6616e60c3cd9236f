"""python -m benchmarks.opposite FILE: whether the filters of a MobileNet form opposite pairs.

CReLU is motivated by a finding on other networks: filters of early layers form pairs of opposite
phase (Shang et al. 2016, arXiv:1603.05201, figure 2). For each convolution in a weights file this
prints the cosine similarity of the filters with their most opposite filter, on average, and the
same for random filters of that shape.
"""

from pathlib import Path

import numpy as np

import cli
from files import write_json

DRAWS = 3  # random layers per shape


def main() -> None:
    parser = cli.parser(
        "python -m benchmarks.opposite",
        "Cosine similarity of each pretrained filter with its most opposite one.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=".h5 weights of keras.applications")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    args = parser.parse_args()
    from segnet.weights import read_h5

    found = rows(read_h5(args.file))
    if not found:
        raise cli.Refusal(
            f"{args.file} has no convolution over channels. "
            "Pass a .h5 file of an encoder of keras.applications"
        )
    if args.json:
        write_json(args.json, found)
    print(table(found))


def rows(layers: dict[str, list[np.ndarray]]) -> list[dict]:
    """One row per convolution over channels (depthwise ones are left out), in file order."""
    generator = np.random.default_rng(0)
    kernels = {
        name: arrays[0] for name, arrays in layers.items()
        if arrays[0].ndim == 4 and arrays[0].shape[-1] > 1
    }  # fmt: skip
    return [
        {"layer": name, "inputs": int(np.prod(kernel.shape[:3])), "filters": kernel.shape[3],
         **similarity(kernel, generator)}
        for name, kernel in kernels.items()
    ]  # fmt: skip


def similarity(kernel: np.ndarray, generator) -> dict:
    """Mean of `most_opposite` over a kernel (h, w, inputs, filters), and over normal noise."""
    filters = kernel.reshape(-1, kernel.shape[-1])
    noise = [generator.standard_normal(filters.shape) for _ in range(DRAWS)]
    return {
        "cosine": float(most_opposite(filters).mean()),
        "random": float(np.mean([most_opposite(each).mean() for each in noise])),
    }


def most_opposite(filters: np.ndarray) -> np.ndarray:
    """For each column of (inputs, filters) the lowest cosine similarity with another column."""
    unit = filters / np.maximum(np.linalg.norm(filters, axis=0), 1e-12)
    cosines = unit.T @ unit
    np.fill_diagonal(cosines, 1.0)
    return cosines.min(axis=0)


def table(found: list[dict]) -> str:
    """Markdown."""
    head = ("layer", "inputs", "filters", "cosine", "cosine of random filters")
    lines = [head, ["---"] * len(head)]
    for row in found:
        *first, cosine, random = row.values()
        lines.append((*first, f"{cosine:.2f}", f"{random:.2f}"))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    cli.run(main)
