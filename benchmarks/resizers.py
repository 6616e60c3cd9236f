"""python -m benchmarks.resizers runs/NAME [runs/NAME...]: the validation mIoU of runs under each
rule by which platforms resize images."""

from pathlib import Path

import cli
from data.dataset import read_dataset
from data.resizing import RULES, WHERE
from export.proof.score import miou_by_rule, open_model
from segnet.run import read_plan


def by_rule(run: Path) -> dict[str, float]:
    """mIoU under each rule, on all validation images of the run's dataset."""
    model, dataset = open_model(run), read_dataset(Path(read_plan(run).data))
    images = len(dataset.pairs("val"))
    return miou_by_rule(
        model.function, dataset, "val", model.size, RULES, images, values=model.values
    )


def main():
    parser = cli.parser("python -m benchmarks.resizers", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="runs/NAME")
    runs = parser.parse_args().runs
    found = {run: by_rule(run) for run in runs}
    print("| run |" + "".join(f" {rule} |" for rule in RULES))
    print("|---|" + "---|" * len(RULES))
    for run, mious in found.items():
        print(f"| {run.name} |" + "".join(f" {mious[rule]:.4f} |" for rule in RULES))
    for rule, where in WHERE.items():
        print(f"{rule}: {where}")


if __name__ == "__main__":
    cli.run(main)
