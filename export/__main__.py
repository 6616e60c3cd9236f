"""python -m export: how good a run or a .tflite is."""

import json

import cli


def main() -> None:
    parser = cli.parser("python -m export", "A finished run to the phone.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    score = verbs.add_parser("score", help="IoU of a run or a .tflite on a split")
    score.add_argument("model", metavar="runs/NAME|model.tflite")
    score.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    score.add_argument("--split", default="val", help="val or test (default val)")
    score.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args()
    show_score(words)


def show_score(words) -> None:
    from data.dataset import read_dataset
    from export.score import score

    found = score(words.model, read_dataset(words.data), words.split)
    if words.json:
        print(json.dumps(found))
        return
    print(f"mIoU {found['miou']:.4f}, pixel accuracy {found['pixel_accuracy']:.4f}")
    for name, value in found["iou"].items():
        print(f"  {name:20} {'absent' if value is None else format(value, '.4f')}")


if __name__ == "__main__":
    cli.run(main)
