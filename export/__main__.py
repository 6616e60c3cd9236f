"""python -m export: a finished run to the phone, and how good a run or a .tflite is."""

import json
import sys
from pathlib import Path

import cli
from cli import Refusal, Verdict
from files import write_json

ABOUT = """A finished run to the phone.

python -m export runs/NAME            makes runs/NAME/export/float32, the kit, if the gate agrees
python -m export runs/NAME --recipe all    every recipe, and runs/NAME/export/report.html
python -m export recipes              what recipes there are
python -m export verify KIT           checks a kit on this machine
python -m export score MODEL          how good a run or a .tflite is on a split of a dataset
python -m export suspects runs/NAME   which masks of the dataset are likely wrong
python -m export fit --data DIR --latency-ms X    which network and size to train for a budget
python -m export costs --out FILE     what operators cost here, or on a phone, for fit"""


def main() -> None:
    verbs = {"score": show_score, "recipes": show_recipes, "verify": show_verify,
             "suspects": show_suspects, "fit": show_fit, "costs": show_costs}  # fmt: skip
    words = sys.argv[1:]
    if words and words[0] in verbs:
        verbs[words[0]](words[1:])
    else:
        export(words)


def export(words: list[str]) -> None:
    words = export_options().parse_args(words)
    from export.make import Choices, export_run

    targets = tuple(words.target.split(","))
    kept = tuple(words.keep_float)
    choices = Choices(
        targets, words.lower, words.max_drop / 100, kept, words.repair, words.sparsity, words.epochs
    )
    reports, refused = export_run(words.run, words.recipe, choices)
    if words.json:
        print(json.dumps(reports))
    else:
        for name, report in reports.items():
            print(summary(name, report))
        for name in reports:
            print(Path(words.run) / "export" / name / "preview.png")
    if refused:
        raise Verdict("\n".join(refused))


def export_options():
    parser = cli.parser("python -m export", ABOUT)
    parser.add_argument("run", metavar="runs/NAME", help="a finished run")
    parser.add_argument(
        "--recipe", default="float32", metavar="R[,R...]", help="names or all (default float32)"
    )
    parser.add_argument(
        "--target", default="xnnpack", metavar="T[,T...]",
        help="where the file must run whole: xnnpack, gpu, coreml, npu (default xnnpack)",
    )  # fmt: skip
    parser.add_argument(
        "--lower", default="auto", metavar="NAME",
        help="how CReLU and deconvolutions are written: auto, the fastest here, or its name",
    )  # fmt: skip
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="X",
        help="points of mIoU that a file may lose (default 1.0)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-float", nargs="+", default=(), metavar="LAYER",
        help="layers that int8 and int8-full leave in float",
    )  # fmt: skip
    parser.add_argument(
        "--repair", action="store_true",
        help="find a few such layers by itself, as many as --max-drop demands",
    )  # fmt: skip
    parser.add_argument(
        "--sparsity", type=float, default=0.7, metavar="X",
        help="share of zeros in the layers that sparse recipes prune (default 0.7)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, metavar="N",
        help="of fine-tuning (default: what the recipe is known to need)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the reports, for a machine")
    return parser


def summary(name: str, report: dict) -> str:
    return (
        f"{name:10} {report['size_bytes'] / 1e6:6.2f} MB {report['latency_ms']:7.2f} ms  "
        f"mIoU {report['miou_tflite']:.4f} (Keras {report['miou_keras']:.4f})  "
        f"equal pixels {report['pixel_agreement']:.3%}  {report['lowering']}"
    )


def show_recipes(words: list[str]) -> None:
    parser = cli.parser("python -m export recipes", "What a file can be made of.")
    parser.parse_args(words)
    from export.recipes import RECIPES

    heads = ("recipe", "weights", "activations", "input", "output", "needs")
    line = "{:11}{:9}{:13}{:9}{:9}{:14}{}"
    print(line.format(*heads, "meant for"))
    for recipe in RECIPES:
        needs = "calibration" if recipe.calibrated else "training" if recipe.training else "-"
        print(line.format(*recipe[:5], needs, recipe.meant_for))


def show_verify(words: list[str]) -> None:
    parser = cli.parser("python -m export verify", "Checks a kit on this machine.")
    parser.add_argument("kit", metavar="KIT", help="runs/NAME/export/RECIPE, or a copy of it")
    parser.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args(words)
    from export.proof.verify import verify

    if not Path(words.kit, "contract.json").exists():
        raise Refusal(
            f"{words.kit} is no kit: contract.json is missing. python -m export makes one"
        )
    found = verify(words.kit)
    if words.json:
        print(json.dumps(found))
    else:
        for check, lines in found.items():
            print(f"{check:12} {'; '.join(lines) or 'right'}")
    if any(found.values()):
        raise Verdict(f"{words.kit} is not what its contract says")


def show_score(words: list[str]) -> None:
    parser = cli.parser("python -m export score", "IoU of a run or a .tflite on a split.")
    parser.add_argument("model", metavar="runs/NAME|model.tflite")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--split", default="val", help="val or test (default val)")
    parser.add_argument(
        "--damaged", choices=("refuse", "skip"), default="refuse",
        help="records of a packed dataset that cannot be read (default refuse)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args(words)
    from data.dataset import read_dataset
    from export.proof.score import score

    found = score(words.model, read_dataset(words.data, words.damaged), words.split)
    if words.json:
        print(json.dumps(found))
        return
    print(f"mIoU {found['miou']:.4f}, pixel accuracy {found['pixel_accuracy']:.4f}")
    for name, value in found["iou"].items():
        print(f"  {name:20} {'absent' if value is None else format(value, '.4f')}")


def show_suspects(words: list[str]) -> None:
    parser = cli.parser(
        "python -m export suspects", "The masks that a run disagrees with most, in images."
    )
    parser.add_argument("run", metavar="runs/NAME", help="a finished run")
    parser.add_argument(
        "--data", metavar="DIR", help="dataset folder (default: what the run was trained on)"
    )
    parser.add_argument("--split", default="val", help="train, val or test (default val)")
    parser.add_argument(
        "--second", metavar="runs/OTHER",
        help="judges the images that runs/NAME was trained on and this run was not",
    )  # fmt: skip
    parser.add_argument("--top", type=int, default=20, metavar="N", help="how many (default 20)")
    parser.add_argument("--html", metavar="FILE", help="the page (default runs/NAME/suspects.html)")
    parser.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args(words)
    if words.top < 1:
        raise Refusal(f"--top is {words.top}; needed: 1 or more")
    from data.dataset import read_dataset
    from export.review.label_issues import read_judge, suspects, write_page
    from segnet.run import read_run

    plan, _ = read_run(words.run)
    dataset = read_dataset(words.data or plan.data, plan.damaged)
    looked_at = len(dataset.pairs(words.split))
    runs = [words.run, words.second] if words.second else [words.run]
    found = suspects(dataset, words.split, [read_judge(run, dataset) for run in runs])[: words.top]
    page = Path(words.html or Path(words.run) / "suspects.html")
    write_page(page, dataset, words.split, looked_at, found)
    if words.json:
        print(json.dumps([one.plain() for one in found]))
        return
    for one in found:
        print(f"{one.score:.3f}  {one.pair[1]}  {one.said()}")
    print(page)


def show_fit(words: list[str]) -> None:
    parser = cli.parser(
        "python -m export fit", "Which preset, encoder width and input size a budget allows."
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument(
        "--latency-ms", type=float, required=True, metavar="X",
        help="of the network alone, on one thread",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"),
        help="pixels (default: what fits, in the images' ratio)",
    )  # fmt: skip
    parser.add_argument(
        "--recipe", default="float32", metavar="R", help="of the file (default float32)"
    )
    parser.add_argument(
        "--costs", metavar="FILE",
        help="a phone's, by python -m export costs (default: this machine's, measured once)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args(words)
    from data.dataset import read_dataset
    from export.budget import costs, fit
    from export.recipes import BY_NAME

    cli.one_of(words.recipe, BY_NAME, "recipe")
    dataset = read_dataset(words.data)
    table = costs.read_table(words.costs) if words.costs else costs.of_this_machine()
    best, left_out = fit.propose(dataset, words.latency_ms, words.recipe, table, words.size)
    for name, why in left_out.items():
        cli.say(f"{name} is left out: {why}")
    if words.json:
        print(json.dumps([fit.plain(each) for each in best]))
    else:
        print(fit.shown(best, words.data, words.recipe, table["machine"]))


def show_costs(words: list[str]) -> None:
    parser = cli.parser(
        "python -m export costs",
        "What operators cost: measured here; or --probes alone writes files for a phone's "
        "benchmark_model, and --probes with --log reads what it printed.",
    )
    parser.add_argument("--out", metavar="FILE", help="the table, JSON")
    parser.add_argument("--probes", metavar="DIR", help="folder of the probe files")
    parser.add_argument("--log", metavar="FILE", help="what benchmark_model printed")
    parser.add_argument("--machine", default="phone", metavar="NAME", help="of the log")
    words = parser.parse_args(words)
    from export.budget import costs
    from export.tflite.runtime import machine

    if words.log and not words.probes:
        raise Refusal("--log needs --probes DIR, the files that were timed")
    if words.probes and not words.log:
        print(f"{words.probes}: {costs.write_probes(words.probes)} files")
        return
    if not words.out:
        raise Refusal("where to? Type --out FILE, or --probes DIR for files to time on a phone")
    here = words.machine if words.log else machine()
    samples = costs.read_log(words.log, words.probes) if words.log else costs.measured()
    table = costs.table(here, samples)
    write_json(words.out, table)
    for recipe, off in table["errors"].items():
        print(f"{recipe}: {len(samples[recipe])} files, fitted within {off['median']:.1%} in the "
              f"median, {off['worst']:.1%} at worst")  # fmt: skip
    print(words.out)


if __name__ == "__main__":
    cli.run(main)
