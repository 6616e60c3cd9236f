"""Whether sound kits pass the self-test of their Python code in other runtimes.

python -m benchmarks.self_tests --out DIR MODEL... [--runtime NAME=FOLDER ...] [--arm]

Each MODEL is the model.tflite of a kit. Its contract, golden files and code are written anew to
DIR/RUN-RECIPE, so that kits that an older segnet made can be tested as well. FOLDER is one that pip
has filled: pip install --no-deps --target FOLDER ai-edge-litert==1.4.0; or tensorflow-cpu==2.17.1
and its dependencies, and opencv-python-headless==4.11.0.86, which takes their old numpy. The table
has the largest difference of an output value from golden/output.bin as a fraction of what the kit
allows for the runtime's kernels; above 1 the self-test raises an alarm.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cli
from export.kit.render import render
from export.proof import golden
from export.proof.contract import SCHEMA, tensor
from export.proof.outputs import RESIZE_TEXTS
from export.tflite.head import values_of
from export.tflite.runtime import Runtime
from files import folder_beside, read_json

CLIENTS = Path(__file__).resolve().parents[1] / "tests" / "clients"
CPUS = ("cortex-a53", "cortex-a76")
OURS = {"XNNPACK": "xnnpack", "without XNNPACK": "reference", "XNNPACK in half precision": "half"}


def main() -> None:
    parser = cli.parser("python -m benchmarks.self_tests", __doc__)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--runtime", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--arm", action="store_true", help="emulated ARM cores too: minutes a kit")
    args = parser.parse_args()
    kits = [made_anew(path.parent, args.out) for path in args.models]
    columns = {name: run({}, name, kits, kernels) for name, kernels in OURS.items()}
    for name, _, folder in (each.partition("=") for each in args.runtime):
        kernels = "xnnpack" if Path(folder, "ai_edge_litert").exists() else "tensorflow"
        columns[name] = run({"PYTHONPATH": folder}, name, kits, kernels)
    for cpu in CPUS if args.arm else ():
        columns[cpu] = run({}, cpu, kits)
    print(table(kits, columns))


def made_anew(kit: Path, out: Path) -> Path:
    """The folder in `out` with today's kit of an older kit's model, unless it is there."""
    made = out / f"{kit.parent.parent.name}-{kit.name}"
    if made.exists():
        return made
    cli.say(f"{made} ...")
    content, old = (kit / "model.tflite").read_bytes(), read_json(kit / "contract.json")
    runtime = Runtime(content)
    values = values_of(content)
    contract = old | {
        "schema": SCHEMA, "resize": RESIZE_TEXTS[values],
        "input": tensor(runtime.input), "output": {**tensor(runtime.output), "values": values},
    }  # fmt: skip
    photo = golden.read_image(kit / "golden/photo.png")
    with folder_beside(made) as part:
        (part / "model.tflite").write_bytes(content)
        contract["golden"] = golden.write(part / "golden", contract, content, photo)
        render(part, contract)
        (part / "contract.json").write_text(json.dumps(contract))
    return made


def run(changes: dict, name: str, kits: list[Path], kernels: str = "xnnpack") -> dict:
    """Kit to what self_test_client.py says of it."""
    cli.say(f"{name} ...")
    client = [sys.executable, CLIENTS / "self_test_client.py"]
    if name in CPUS:
        client = [sys.executable, CLIENTS / "arm_client.py", name, "self_test_client.py"]
    command = [*client, kernels, *map(Path.absolute, kits)]
    end = subprocess.run(command, env=os.environ | changes, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in end.stdout.splitlines() if line.startswith("{")]
    return {Path(line["kit"]).name: line for line in lines}


def table(kits: list[Path], columns: dict) -> str:
    lines = ["| kit | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for kit in kits:
        cells = [shown(found.get(kit.name)) for found in columns.values()]
        lines.append("| " + " | ".join([kit.name, *cells]) + " |")
    alarms = sum("ALARM" in line for line in lines)
    return "\n".join([*lines, "", f"{len(kits)} kits, {alarms} of them with an alarm"])


def shown(line: dict | None) -> str:
    """A cell: the fraction of what is allowed, or the alarm."""
    if line is None:
        return "did not run"
    return f"ALARM: {line['fault']}" if line["fault"] else f"{line['part']:.3f}"


if __name__ == "__main__":
    cli.run(main)
