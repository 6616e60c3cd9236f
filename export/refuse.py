"""Refuses a recipe: writes its figures and the reasons, and advises what to try."""

import json
import shutil
from pathlib import Path

from cli import Verdict
from export.recipes import BY_NAME
from files import beside, write_json


def refused_file(out: Path, ending: str = "json") -> Path:
    return out.with_name(f"{out.name}.refused.{ending}")


def refuse(out: Path, report: dict, reasons: list[str], content: bytes | None = None) -> None:
    """Writes RECIPE.refused.json and the file as RECIPE.refused.tflite, and raises Verdict.

    A kit that was made from other weights is deleted.
    """
    accept(out)
    write_json(refused_file(out), {"verdict": "no", "reasons": reasons, **report})
    kept = ""
    if content:
        with beside(refused_file(out, "tflite")) as part:
            part.write_bytes(content)
        kept = f"The file, for inspection: {refused_file(out, 'tflite')}. "
    if out.exists() and kit_weights(out) != report["weights"]:
        shutil.rmtree(out)
    raise Verdict(f"{out.name} is refused: {'; '.join(reasons)}. "
                  f"{advice(report)}{kept}All figures: {refused_file(out)}")  # fmt: skip


def accept(out: Path) -> None:
    """Removes what an earlier refusal of the recipe left."""
    for ending in ("json", "tflite"):
        refused_file(out, ending).unlink(missing_ok=True)


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
    text = f"{changes(report)}. "
    if report.get("output", "logits").startswith("classes"):
        text += "Classes are enlarged without interpolation: try --output logits. "
    if report["layer_errors"] and BY_NAME[report["recipe"]].calibrated:
        layers = [row["layer"] for row in report["layer_errors"][:3]]
        text += f"Layers that add the most quantisation error: {', '.join(layers)}. "
        text += "Try --recipe qat8"
        text += f", or --keep-float {layers[0]}. " if report["recipe"] == "int8" else ". "
    kind = BY_NAME[report["recipe"]].training
    if kind:
        fewer = ", or a lower --sparsity" if kind == "sparse" else ""
        text += f"Try more --epochs of fine-tuning{fewer}. "
    return text


def changes(report: dict) -> str:
    """How mIoU changed, and the classes that lose most IoU; a gain is called a gain."""
    drop = report["miou_drop"]
    text = f"mIoU {'loses' if drop > 0 else 'gains'} {100 * abs(drop):.2f} points"
    lost = {
        name: before - report["iou_tflite"][name]
        for name, before in report["iou_keras"].items()
        if before is not None
    }
    worst = [name for name in sorted(lost, key=lost.get, reverse=True)[:3] if lost[name] > 0]
    drops = ", ".join(f"{name} -{lost[name]:.3f}" for name in worst)
    return f"{text}; classes with the largest drop in IoU: {drops}" if drops else text
