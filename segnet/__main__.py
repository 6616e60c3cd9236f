"""python -m segnet: what the networks cost."""

import json

import cli


def main() -> None:
    parser = cli.parser("python -m segnet", "The networks and what they cost.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    cost = verbs.add_parser("cost", help="parameters, multiply-accumulates, activation bytes")
    cost.add_argument("--preset", default="base", help="name of a preset (default base)")
    cost.add_argument("--width", type=float, default=0.0, metavar="X", help="of the encoder")
    cost.add_argument("--size", type=int, nargs=2, required=True, metavar=("H", "W"), help="pixels")
    cost.add_argument("--classes", type=int, required=True, help="number of classes, 2 or more")
    cost.add_argument("--json", action="store_true", help="for a machine")
    verbs.add_parser("presets", help="names and sources of the presets")
    words = parser.parse_args()
    if words.verb == "presets":
        presets()
    else:
        show_cost(words)


def presets() -> None:
    from segnet.presets import PRESETS
    from segnet.variants import VARIANTS

    show_presets(PRESETS)
    print("\nvariants of base, with the articles' blocks")
    show_presets(VARIANTS)


def show_presets(table: dict) -> None:
    for name, preset in table.items():
        print(f"{name:34}stride {preset.stride:3}  {preset.source}")


def show_cost(words) -> None:
    from segnet import cost
    from segnet.presets import preset

    network = preset(words.preset, words.width)
    costs = cost.stages(network, tuple(words.size), words.classes)
    whole = cost.total(costs)
    if words.json:
        stages = [{"name": name, **stage._asdict()} for name, stage in costs.items()]
        head = {"preset": words.preset, "size": words.size, "classes": words.classes}
        print(json.dumps({**head, **whole._asdict(), "stages": stages}))
        return
    print(f"{'stage':12}{'parameters':>12}{'MMAC':>10}{'activations kB':>16}")
    for name, stage in [*costs.items(), ("all", whole)]:
        kilobytes = stage.activation_bytes / 1e3
        print(f"{name:12}{stage.parameters:12,}{stage.macs / 1e6:10.1f}{kilobytes:16,.0f}")


if __name__ == "__main__":
    cli.run(main)
