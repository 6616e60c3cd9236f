"""What a refused recipe leaves: its numbers, the reasons, and what to try."""

import json
import shutil
from pathlib import Path

from cli import Verdict
from export.recipes import BY_NAME
from files import write_json


def refused_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.refused.json")


def refuse(out: Path, report: dict, reasons: list[str]) -> None:
    """Leaves the numbers; a kit of the same weights stays, one of older weights goes."""
    write_json(refused_file(out), {"verdict": "no", "reasons": reasons, **report})
    if out.exists() and kit_weights(out) != report["weights"]:
        shutil.rmtree(out)
    raise Verdict(f"{report['recipe']}: refused: {'; '.join(reasons)}. "
                  f"{advice(report)}All numbers: {refused_file(out)}")  # fmt: skip


def no_lowering(targets, costs: dict) -> str:
    reasons = "; ".join(f"{name}: {why}" for name, why in costs.items())
    return f"no lowering runs whole on {', '.join(targets)}: {reasons}"


def kit_weights(out: Path) -> str | None:
    try:
        return json.loads((out / "contract.json").read_text()).get("weights")
    except (OSError, ValueError):
        return None


def advice(report: dict) -> str:
    """What to try, and what lost most; of a file that was not run, only where layers are dead."""
    if dead := report.get("dead_layers"):
        return f"Layers: {', '.join(dead)}. Try --recipe float16, or train the run for longer. "
    if "iou_keras" not in report:
        return ""
    lost = {
        name: before - (report["iou_tflite"][name] or 0.0)
        for name, before in report["iou_keras"].items()
        if before is not None
    }
    worst = sorted(lost, key=lost.get, reverse=True)[:3]
    words = "Classes: " + ", ".join(f"{name} -{lost[name]:.3f}" for name in worst) + ". "
    if report["layer_errors"]:
        layers = [row["layer"] for row in report["layer_errors"][:3]]
        words += f"Layers: {', '.join(layers)}. Try --recipe qat8, or --keep-float {layers[0]}. "
    kind = BY_NAME[report["recipe"]].training
    if kind:
        fewer = ", or fewer zeros with --sparsity" if kind == "sparse" else ""
        words += f"Try more --epochs of fine-tuning{fewer}. "
    return words
