"""python -m export: exports a finished run for phones, and scores runs and .tflite files."""

import json
import sys
from pathlib import Path

import cli
from cli import Refusal, Verdict
from export.options import export_options


def main() -> None:
    from export.budget import command as budget
    from export.trial import command as trial
    from export.web import command as web

    verbs = {"score": show_score, "recipes": show_recipes, "verify": show_verify, "try": trial.run,
             "review": show_review, "fit": budget.show_fit, "costs": budget.show_costs,
             "web": web.write, "serve": web.serve}  # fmt: skip
    argv = sys.argv[1:]
    if argv and argv[0] in verbs:
        verbs[argv[0]](argv[1:])
    else:
        export(argv)


def export(argv: list[str]) -> None:
    args = export_options().parse_args(argv)
    from export.make import Choices, export_run

    targets = tuple(args.target.split(","))
    kept = tuple(args.keep_float)
    choices = Choices(
        targets,
        args.lower,
        args.max_drop / 100,
        kept,
        args.repair,
        args.sparsity,
        args.epochs,
        args.output,
    )
    reports, refused = export_run(args.run, args.recipe, choices)
    if args.json:
        print(json.dumps(reports))
    else:
        for name, report in reports.items():
            print(summary(name, report))
        for name in reports:
            print(Path(args.run) / "export" / name / "preview.png")
    if refused:
        raise Verdict("\n".join(refused))


def summary(name: str, report: dict) -> str:
    return (
        f"{name:10} {report['size_bytes'] / 1e6:6.2f} MB {report['latency_ms']:7.2f} ms  "
        f"mIoU {report['miou_tflite']:.4f} (Keras {report['miou_keras']:.4f})  "
        f"pixel agreement {report['pixel_agreement']:.3%}  {report['lowering']}"
    )


def show_recipes(argv: list[str]) -> None:
    about = "Lists the recipes: number formats, pruning and clustering of an exported file."
    cli.parser("python -m export recipes", about).parse_args(argv)
    from export.recipes import RECIPES

    heads = ("recipe", "weights", "activations", "input", "output", "needs")
    line = "{:11}{:9}{:13}{:9}{:9}{:14}{}"
    print(line.format(*heads, "description"))
    for recipe in RECIPES:
        needs = "calibration" if recipe.calibrated else "fine-tuning" if recipe.training else "-"
        print(line.format(*recipe[:5], needs, recipe.meant_for))


def show_verify(argv: list[str]) -> None:
    parser = cli.parser(
        "python -m export verify",
        "Checks on this machine that a kit is intact and gives the expected outputs.",
    )
    parser.add_argument("kit", metavar="KIT", help="runs/NAME/export/RECIPE, or a copy of it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    from export.kit.verify import verify

    found = verify(args.kit)
    if args.json:
        print(json.dumps(found))
    else:
        for check, lines in found.items():
            print(f"{check:12} {'; '.join(lines) or 'ok'}")
    if any(found.values()):
        raise Verdict(f"{args.kit} does not match its contract")


def show_score(argv: list[str]) -> None:
    parser = cli.parser(
        "python -m export score", "Computes mIoU and the IoU of each class on a split of a dataset."
    )
    parser.add_argument("model", metavar="runs/NAME|model.tflite", help="what to score")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--split", default="val", help="val or test (default val)")
    parser.add_argument(
        "--damaged", choices=("refuse", "skip"), default="refuse",
        help="what to do about records of a packed dataset that cannot be read (default refuse)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    from data.dataset import read_dataset
    from export.proof.score import score

    found = score(args.model, read_dataset(args.data, args.damaged), args.split, cli.say)
    if args.json:
        print(json.dumps(found))
        return
    print(f"mIoU {found['miou']:.4f}, pixel accuracy {found['pixel_accuracy']:.4f}")
    for name, value in found["iou"].items():
        print(f"  {name:20} {'absent' if value is None else format(value, '.4f')}")


def review_options():
    parser = cli.parser(
        "python -m export review",
        "Lists the images whose masks are most likely wrong (label issues).",
    )
    parser.add_argument("run", metavar="runs/NAME", help="a finished run, the reviewer")
    parser.add_argument(
        "--data", metavar="DIR", help="dataset folder (default: the one the run was trained on)"
    )
    parser.add_argument("--split", default="val", help="train, val or test (default val)")
    parser.add_argument(
        "--second", metavar="runs/OTHER",
        help="a run trained on other images; each image is then reviewed by the one of the two "
        "that was not trained on it (default: runs/NAME reviews all)",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=int, default=20, metavar="N", help="how many to list (default 20)"
    )
    parser.add_argument(
        "--html", metavar="FILE", help="the page to write (default runs/NAME/label-issues.html)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def show_review(argv: list[str]) -> None:
    args = review_options().parse_args(argv)
    if args.top < 1:
        raise Refusal(f"--top is {args.top}; needed: 1 or more")
    from data.dataset import read_dataset
    from export.review.label_issues import label_issues, read_reviewer, write_page
    from segnet.run import read_run

    plan, _ = read_run(args.run)
    dataset = read_dataset(args.data or plan.data, plan.damaged)
    count = len(dataset.pairs(args.split))
    runs = [args.run, args.second] if args.second else [args.run]
    reviewers = [read_reviewer(run, dataset) for run in runs]
    found = label_issues(dataset, args.split, reviewers)[: args.top]
    page = Path(args.html or Path(args.run) / "label-issues.html")
    write_page(page, dataset, args.split, count, found)
    if args.json:
        print(json.dumps([issue.plain() for issue in found]))
        return
    for issue in found:
        print(f"{issue.score:.3f}  {issue.pair[1]}  {issue.text()}")
    print(page)


if __name__ == "__main__":
    cli.run(main)
