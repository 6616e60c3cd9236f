"""python -m benchmarks.lowering: latency of every lowering and of the plain conversion.

A lowering is one way of writing CReLU and the deconvolutions in TFLite operators.
"""

import cli


def main() -> None:
    parser = cli.parser(
        "python -m benchmarks.lowering",
        "Latency of each lowering (how CReLU and deconvolutions are written in TFLite operators).",
    )
    parser.add_argument("--preset", default="base", metavar="NAME", help="(default base)")
    parser.add_argument(
        "--size", nargs=2, type=int, default=(256, 256), metavar=("H", "W"),
        help="input size in pixels (default 256 256)",
    )  # fmt: skip
    parser.add_argument("--classes", type=int, default=2, metavar="N", help="(default 2)")
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="(default 40)")
    args = parser.parse_args()
    from export.tflite.runtime import Runtime, latency_ms

    files = convert_all(args.preset, tuple(args.size), args.classes)
    runtimes = {key: Runtime(content) for key, content in files.items()}
    times = latency_ms(runtimes, args.rounds)
    print(
        f"{'ms':>8}{'partitions':>12}{'file MB':>9}  "
        f"median of {args.rounds} interleaved rounds, one thread"
    )
    for key, found in times.items():
        partitions = runtimes[key].partitioning()["partitions"]
        print(f"{found['median']:8.2f}{partitions:12}{len(files[key]) / 1e6:9.2f}  {key}")


def convert_all(preset: str, size: tuple[int, int], classes: int) -> dict[str, bytes]:
    """Files with random weights by "RECIPE, LOWERING"; "plain" is the unchanged training graph."""
    import numpy as np

    from export.graph.convert import to_tflite
    from export.graph.deploy import CRELU, DECONV, Lowering, deploy
    from export.recipes import BY_NAME
    from segnet.backend import seed_everything, start
    from segnet.build import build
    from segnet.presets import preset as rows_of

    keras, rows = start(), rows_of(preset)
    seed_everything(0)
    model = build(keras, rows, size, classes)
    randomise_norms(model, np.random.default_rng(0))
    plain = build(keras, rows, size, classes, batch=1)
    plain.set_weights(model.get_weights())
    noise = np.random.default_rng(0).uniform(-1, 1, (4, *size, 3)).astype(np.float32)
    graphs = {"plain": plain}
    for lowering in (Lowering(c, d) for d in DECONV for c in CRELU):
        graphs[lowering.name] = deploy(model, rows, size, classes, lowering)
    return {
        f"{name}, {form}": to_tflite(graph, BY_NAME[name], noise if name == "int8" else None)
        for form, graph in graphs.items()
        for name in ("float32", "dynamic8", "int8")
    }


def randomise_norms(model, rng) -> None:
    """Gives batch norms random parameters, because the converter drops biases that are zero.

    Offsets are positive so that no ReLU is dead: XNNPACK rejects the int8 file of a dead layer.
    """
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            gamma, beta, mean, variance = (
                rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()
            )
            layer.set_weights([gamma, beta, 0 * mean, variance])


if __name__ == "__main__":
    cli.run(main)
