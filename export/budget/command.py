"""python -m export fit and costs."""

import json

import cli
from cli import Refusal
from files import write_json


def show_fit(argv: list[str]) -> None:
    args = fit_options().parse_args(argv)
    from data.dataset import read_dataset
    from export.budget import costs, fit
    from export.recipes import BY_NAME

    cli.one_of(args.recipe, BY_NAME, "recipe")
    fit.check_frame(args.frame, args.costs)
    dataset = read_dataset(args.data)
    table = costs.read_table(args.costs) if args.costs else costs.of_this_machine()
    best, left_out = fit.propose(
        dataset, args.latency_ms, args.recipe, table, args.size, args.frame
    )
    for name, why in left_out.items():
        cli.say(f"{name} is left out: {why}")
    if args.json:
        print(json.dumps([fit.plain(each) for each in best]))
    else:
        print(fit.shown(best, args.data, args.recipe, table["machine"], args.frame))


def fit_options():
    parser = cli.parser(
        "python -m export fit",
        "Proposes a preset, an encoder width and an input size for a latency budget.",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument(
        "--latency-ms", type=float, required=True, metavar="X",
        help="milliseconds that the network alone may take on one thread; with --frame, the way "
        "from a video frame to its overlay",
    )  # fmt: skip
    parser.add_argument(
        "--frame", type=int, nargs=2, metavar=("W", "H"),
        help="width and height of video frames, such as 1280 720: what the kit's Python code takes "
        "besides the network is measured here and counted",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"),
        help="input size in pixels (default: what fits, in the images' aspect ratio)",
    )  # fmt: skip
    parser.add_argument("--recipe", default="float32", metavar="R", help="(default float32)")
    parser.add_argument(
        "--costs", metavar="FILE",
        help="a cost table by python -m export costs, such as a phone's (default: this machine's, "
        "measured once)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def show_costs(argv: list[str]) -> None:
    parser = cli.parser(
        "python -m export costs",
        "Measures how long operators take on this machine, for python -m export fit --costs.\n"
        "For a phone: --probes alone writes small .tflite files to be timed there with\n"
        "benchmark_model, TensorFlow Lite's own tool; --probes with --log makes the table from\n"
        "what it printed (docs/fit.md).",
    )
    parser.add_argument("--out", metavar="FILE", help="where to write the table, JSON")
    parser.add_argument("--probes", metavar="DIR", help="folder of the small .tflite files")
    parser.add_argument("--log", metavar="FILE", help="what benchmark_model printed")
    parser.add_argument("--machine", default="phone", metavar="NAME", help="name of the phone")
    args = parser.parse_args(argv)
    from export.budget import costs
    from export.tflite.runtime import machine

    if args.log and not args.probes:
        raise Refusal("--log needs --probes DIR, the folder of the files that were timed")
    if args.probes and not args.log:
        print(f"{args.probes}: {costs.write_probes(args.probes)} files")
        return
    if not args.out:
        raise Refusal(
            "no output given. Type --out FILE for the table, or --probes DIR for files to time on "
            "a phone"
        )
    samples = costs.read_log(args.log, args.probes) if args.log else costs.measured()
    table = costs.table(args.machine if args.log else machine(), samples)
    write_json(args.out, table)
    print(costs.fit_quality(table, samples))
    print(args.out)
