"""python -m export: a finished run to the phone, and how good a run or a .tflite is."""

import json
import sys
from pathlib import Path

import cli

ABOUT = """A finished run to the phone.

python -m export runs/NAME makes runs/NAME/export/float32, the kit, if the gate lets it pass;
python -m export score MODEL says how good a run or a .tflite is on a split of a dataset."""


def main() -> None:
    if sys.argv[1:2] == ["score"]:
        show_score(sys.argv[2:])
    else:
        export(sys.argv[1:])


def export(words: list[str]) -> None:
    parser = cli.parser("python -m export", ABOUT)
    parser.add_argument("run", metavar="runs/NAME", help="a finished run")
    parser.add_argument("--recipe", default="float32", help="(default float32)")
    parser.add_argument(
        "--lowering", default="auto",
        help="of deconvolutions: depth_to_space, transpose_conv or auto, the faster here",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the report, for a machine")
    words = parser.parse_args(words)
    from export.kit import export_run

    report = export_run(words.run, words.recipe, words.lowering)
    if words.json:
        print(json.dumps(report))
        return
    out = Path(words.run) / "export" / words.recipe
    print(
        f"{out / 'model.tflite'}: {report['size_bytes'] / 1e6:.2f} MB, "
        f"{report['latency_ms']:.2f} ms on one thread here, one XNNPACK partition"
    )
    print(
        f"mIoU {report['miou_tflite']:.4f}, Keras {report['miou_keras']:.4f}; equal pixels "
        f"{report['agreement']:.4%}, "
        f"largest error {report['max_abs_error']:.1e} of the largest logit"
    )
    print(out / "preview.png")


def show_score(words: list[str]) -> None:
    parser = cli.parser("python -m export score", "IoU of a run or a .tflite on a split.")
    parser.add_argument("model", metavar="runs/NAME|model.tflite")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--split", default="val", help="val or test (default val)")
    parser.add_argument("--json", action="store_true", help="for a machine")
    words = parser.parse_args(words)
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
