"""python -m segnet: lists the networks and counts what they cost."""

import json

import cli


def main() -> None:
    parser = cli.parser("python -m segnet", "Lists the networks and counts what they cost.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    cost = verbs.add_parser("cost", help="parameters, multiply-accumulates, activation bytes")
    cost.add_argument("--preset", default="base", help="name of a preset (default base)")
    cost.add_argument(
        "--width", type=float, default=0.0, metavar="X",
        help="width multiplier of the encoder (default: the preset's own)",
    )  # fmt: skip
    cost.add_argument(
        "--size", type=int, nargs=2, required=True, metavar=("H", "W"), help="input size in pixels"
    )
    cost.add_argument("--classes", type=int, required=True, help="number of classes, 2 or more")
    cost.add_argument("--json", action="store_true", help="print JSON")
    verbs.add_parser(
        "presets",
        help="names, strides (input pixels per encoder output pixel, a side), origins",
    )
    args = parser.parse_args()
    if args.verb == "presets":
        presets()
    else:
        show_cost(args)


def presets() -> None:
    from segnet.presets import PRESETS
    from segnet.variants import VARIANTS

    show_presets(PRESETS)
    print(
        "\nvariants of base; blocks from the literature replace its block of stride 32, "
        "in base_early_* they are added at stride 4"
    )
    show_presets(VARIANTS)


def show_presets(table: dict) -> None:
    for name, preset in table.items():
        print(f"{name:34}stride {preset.stride:3}  {preset.source}")


def show_cost(args) -> None:
    from segnet import cost
    from segnet.presets import preset

    network = preset(args.preset, args.width)
    costs = cost.stages(network, tuple(args.size), args.classes)
    whole = cost.total(costs)
    if args.json:
        stages = [{"name": name, **stage._asdict()} for name, stage in costs.items()]
        head = {"preset": args.preset, "size": args.size, "classes": args.classes}
        print(json.dumps({**head, **whole._asdict(), "stages": stages}))
        return
    print(f"{'stage':12}{'parameters':>12}{'MMAC':>10}{'activations kB':>16}")
    for name, stage in [*costs.items(), ("total", whole)]:
        kilobytes = stage.activation_bytes / 1e3
        print(f"{name:12}{stage.parameters:12,}{stage.macs / 1e6:10.1f}{kilobytes:16,.0f}")


if __name__ == "__main__":
    cli.run(main)
