"""python -m benchmarks.latency FILE...: .tflite files side by side on this machine."""

from pathlib import Path

import cli


def main() -> None:
    parser = cli.parser("python -m benchmarks.latency", "Latency of .tflite files, side by side.")
    parser.add_argument("files", nargs="+", metavar="FILE", help=".tflite files")
    parser.add_argument("--rounds", type=int, default=60, help="of all files in turn (default 60)")
    words = parser.parse_args()
    from export.runtime import Runtime, latency_ms

    times = latency_ms({path: Runtime(path) for path in words.files}, words.rounds)
    first = next(iter(times.values()))["median"]
    print(f"{'ms':>8}{'ratio':>8}{'MB':>8}  median of {words.rounds} interleaved, one thread")
    for path, found in times.items():
        milliseconds = found["median"]
        megabytes = Path(path).stat().st_size / 1e6
        print(f"{milliseconds:8.2f}{milliseconds / first:8.2f}{megabytes:8.2f}  {path}")


if __name__ == "__main__":
    cli.run(main)
