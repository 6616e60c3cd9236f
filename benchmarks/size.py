"""python -m benchmarks.size: starts and memory of a training on very many images.

Makes a folder of hard links to a few generated images, trains `tiny` on it, twice from the
start, and prints seconds until the first step and resident memory as the steps go.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cli

LINKED = 64  # images that the others are links to
VAL = 16


def main() -> None:
    parser = cli.parser("python -m benchmarks.size", "Starts and memory with very many images.")
    parser.add_argument("--pairs", type=int, default=200_000, metavar="N", help="(default 200000)")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="(default 2000)")
    parser.add_argument(
        "--more", nargs="+", default=(), metavar="WORD", help="NAME=VALUE of a plan"
    )
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        start = time.perf_counter()
        write_links(folder / "many", words.pairs)
        print(f"{words.pairs} pairs linked in {time.perf_counter() - start:.0f} s")
        more = [word for pair in words.more for word in ("--" + pair).split("=", 1)]
        for name in ("first", "second"):
            steps = words.steps if name == "second" else 1
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
    """Lines of what was measured; the training is stopped at `steps`."""
    watched = [sys.executable, "-c", WATCHED, str(steps), "--data", data, "--run", run]
    plan = "--preset tiny --size 64 64 --batch 8 --weights none".split()
    said, start = Path(f"{run}.txt"), time.perf_counter()
    with (
        open(said, "w") as progress,
        subprocess.Popen(
            [*watched, *plan, *more], text=True, stdout=subprocess.PIPE, stderr=progress
        ) as process,
    ):
        for line in process.stdout:
            step, megabytes, cores = line.split()
            seconds = time.perf_counter() - start
            yield f"step {step:>5}: {seconds:6.1f} s, {cores} of all cores, {megabytes} MB resident"
    if process.returncode:
        raise cli.Refusal(f"the training failed: {said.read_text()}")


# Training as train.py does it, that tells its memory and ends without a word.
WATCHED = """
import os, sys, time
last = int(sys.argv.pop(1))
sys.argv[0] = "train.py"
import cli, train
from segnet import loop

def tell(step):
    pages = int(open("/proc/self/statm").read().split()[1])
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") // 10**6
    print(step, megabytes, round(time.process_time(), 1), flush=True)

note = loop.Loop.step_in_epoch
def step_in_epoch(self):
    if self.step in (1, 100, 500) or self.step % 1000 == 0:
        tell(self.step)
    if self.step == last:
        sys.exit(0)
    return note(self)

loop.Loop.step_in_epoch = step_in_epoch
cli.run(train.main)
"""


if __name__ == "__main__":
    cli.run(main)
