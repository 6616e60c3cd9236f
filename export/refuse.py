"""Refuses a recipe: writes its figures and the reasons, and advises what to try."""

import json
import shutil
from pathlib import Path

from cli import Verdict
from export.recipes import BY_NAME
from files import write_json


def refused_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.refused.json")


def refuse(out: Path, report: dict, reasons: list[str]) -> None:
    """Writes RECIPE.refused.json, deletes a kit made from other weights and raises Verdict."""
    write_json(refused_file(out), {"verdict": "no", "reasons": reasons, **report})
    if out.exists() and kit_weights(out) != report["weights"]:
        shutil.rmtree(out)
    raise Verdict(f"{report['recipe']} is refused: {'; '.join(reasons)}. "
                  f"{advice(report)}All figures: {refused_file(out)}")  # fmt: skip


def no_lowering(targets, costs: dict) -> str:
    reasons = "; ".join(f"{name}: {why}" for name, why in costs.items())
    return f"no lowering runs entirely on {', '.join(targets)}: {reasons}"


def kit_weights(out: Path) -> str | None:
    try:
        return json.loads((out / "contract.json").read_text()).get("weights")
    except (OSError, ValueError):
        return None


def advice(report: dict) -> str:
    """What lost most and what to try; for a file that was not run, only if layers are dead."""
    if dead := report.get("dead_layers"):
        return (
            f"Dead layers: {', '.join(dead)}. Try --recipe float16, or train the run for longer. "
        )
    if "iou_keras" not in report:
        return ""
    lost = {
        name: before - (report["iou_tflite"][name] or 0.0)
        for name, before in report["iou_keras"].items()
        if before is not None
    }
    worst = sorted(lost, key=lost.get, reverse=True)[:3]
    drops = ", ".join(f"{name} -{lost[name]:.3f}" for name in worst)
    text = f"Classes with the largest drop in IoU: {drops}. "
    if report["layer_errors"]:
        layers = [row["layer"] for row in report["layer_errors"][:3]]
        text += f"Layers that add the most quantisation error: {', '.join(layers)}. "
        text += f"Try --recipe qat8, or --keep-float {layers[0]}. "
    kind = BY_NAME[report["recipe"]].training
    if kind:
        fewer = ", or a lower --sparsity" if kind == "sparse" else ""
        text += f"Try more --epochs of fine-tuning{fewer}. "
    return text
