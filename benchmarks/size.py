"""python -m benchmarks.size: start-up time and memory of training on very many images.

Makes a dataset of hard links to a few generated images, starts training `tiny` on it twice, and
prints the seconds until the first step and the resident memory during training.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cli

LINKED = 64  # generated training images; the others are links to them
VAL = 16


def main() -> None:
    parser = cli.parser(
        "python -m benchmarks.size", "Start-up time and memory of training on very many images."
    )
    parser.add_argument(
        "--pairs", type=int, default=200_000, metavar="N",
        help="training images with masks (default 200000)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=int, default=2000, metavar="N",
        help="steps after the second start (default 2000)",
    )  # fmt: skip
    parser.add_argument(
        "--more", nargs="+", default=(), metavar="NAME=VALUE",
        help="flags of train.py, such as class-weights=balanced",
    )  # fmt: skip
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        start = time.perf_counter()
        write_links(folder / "many", args.pairs)
        print(f"{args.pairs} pairs linked in {time.perf_counter() - start:.0f} s")
        more = [word for pair in args.more for word in ("--" + pair).split("=", 1)]
        for name in ("first", "second"):
            steps = args.steps if name == "second" else 1
            print(f"{name} start", flush=True)
            for line in trained(folder / "many", folder / name, steps, more):
                print(f"  {line}", flush=True)


def write_links(folder: Path, count: int) -> None:
    from data.shapes import write_shapes

    write_shapes(folder, train=LINKED, val=VAL)
    for part in ("images", "masks"):
        for number in range(LINKED, count):
            source = folder / "train" / part / f"{number % LINKED:04}.png"
            os.link(source, folder / "train" / part / f"{number:06}.png")


def trained(data: Path, run: Path, steps: int, more: list[str]):
    """Yields lines of measurements. Training is stopped after `steps` steps."""
    watched = [sys.executable, "-c", WATCHED, str(steps), "--data", data, "--run", run]
    plan = "--preset tiny --size 64 64 --batch 8 --weights none".split()
    log, start = Path(f"{run}.txt"), time.perf_counter()
    with (
        open(log, "w") as progress,
        subprocess.Popen(
            [*watched, *plan, *more], text=True, stdout=subprocess.PIPE, stderr=progress
        ) as process,
    ):
        for line in process.stdout:
            step, megabytes, cpu = line.split()
            seconds = time.perf_counter() - start
            yield f"step {step:>5}: {seconds:6.1f} s, {cpu} s CPU, {megabytes} MB resident"
    if process.returncode:
        raise cli.Refusal(f"training failed: {log.read_text()}")


# Runs train.py; prints step, resident MB and CPU seconds at some steps and exits at the last one.
WATCHED = """
import os, sys, time
last = int(sys.argv.pop(1))
sys.argv[0] = "train.py"
import cli, train
from segnet import loop

def report(step):
    pages = int(open("/proc/self/statm").read().split()[1])
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") // 10**6
    print(step, megabytes, round(time.process_time(), 1), flush=True)

original = loop.Loop.say_estimate
def say_estimate(self):
    original(self)
    if self.step in (1, 100, 500) or self.step % 1000 == 0:
        report(self.step)
    if self.step == last:
        sys.exit(0)

loop.Loop.say_estimate = say_estimate
cli.run(train.main)
"""


if __name__ == "__main__":
    cli.run(main)
