"""One self-contained page over all recipes of a run: what passed, what was refused, and why.

It has no threshold and no measurement of its own. Figures are those of report.json and
RECIPE.refused.json; the kits run here only to be drawn.
"""

import csv
import hashlib
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import ChainableUndefined, Environment, FileSystemLoader, is_undefined

from cli import Refusal
from data.dataset import read_dataset
from data.drawing import IMAGES, overlay, uri
from data.images import read_bytes, read_pair
from data.layout import VOID
from export.proof import gate
from export.proof.score import predictor
from export.recipes import RECIPES, Recipe
from export.report import wording
from export.report.plot import INK, start, svg_uri
from export.targets.audit import TARGETS
from files import beside, read_json
from segnet.plan import Plan
from segnet.run import read_run

SIDE = 280  # pixels, the longer side of an image on the page at most
# What mIoU is plotted against: a figure of report.json, its unit, its words.
PLOTS = (
    ("latency_ms", 1.0, "latency, one thread, ms"),
    ("size_bytes", 1e-6, "size, MB"),
    ("gzip_bytes", 1e-6, "gzip size, MB"),
)
DIFFERENT = (255, 96, 255)  # RGB, of a pixel that differs; light, on the darkened image


class Entry(NamedTuple):
    """A recipe that passed or was refused; one that was refused may have an earlier kit as well.

    contract, kit: None when it was refused, as nothing left.
    """

    name: str
    recipe: Recipe
    report: dict
    contract: dict | None = None
    kit: Path | None = None

    @property
    def passed(self) -> bool:
        return self.kit is not None

    @property
    def weights(self) -> str | None:
        return (self.contract or self.report).get("weights")


def write(folder: Path) -> Path:
    """Writes export/report.html of a run and gives its path. Raises Refusal for a damaged file."""
    folder = Path(folder)
    plan, manifest = read_run(folder)
    digest = hashlib.sha256(read_bytes(folder / "best.weights.h5")).hexdigest()
    found = entries(folder / "export")
    # Two sets of weights in one table would compare what cannot be compared.
    recent = [entry for entry in found if entry.weights in (None, digest)]
    page = render({
        "run": folder.resolve().name, "plan": plan, "manifest": manifest,
        "command": shlex.join(manifest["command"]), "epochs": epochs(folder),
        "different": DIFFERENT, "entries": recent,
        "earlier": [entry.name for entry in found if entry not in recent],
        "images": images(folder, plan, manifest["dataset"]["colours"], recent),
        **views(recent), **versions(manifest, recent),
    })  # fmt: skip
    out = folder / "export" / "report.html"
    with beside(out) as part:
        part.write_text(page, encoding="utf-8")
    return out


def entries(export: Path) -> list[Entry]:
    """What export/ holds, in the recipes' order."""
    found = []
    for recipe in RECIPES:
        kit, refused = export / recipe.name, export / f"{recipe.name}.refused.json"
        left = (kit / "report.json").exists()
        if left:
            read = (read_json(kit / name) for name in ("report.json", "contract.json"))
            found.append(Entry(recipe.name, recipe, *read, kit))
        if refused.exists():
            name = f"{recipe.name}, refused" if left else recipe.name
            found.append(Entry(name, recipe, read_json(refused)))
    return found


def epochs(folder: Path) -> tuple[int, str]:
    """(how many were trained, which of them was best by mIoU), as history.csv has it."""
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    return len(rows), max(rows, key=lambda row: float(row["miou"]))["epoch"]


def views(entries: list[Entry]) -> dict:
    """What the page shows of the reports, rearranged; nothing is added."""
    reports = [entry.report for entry in entries]
    bills = [report.get("time_by_operator", []) for report in reports]
    return {
        "threads": keys(reports, "latency"),
        "plots": [
            (across, svg_uri(plot(entries, name, unit, across))) for name, unit, across in PLOTS
        ],
        "float32": next((r for r in reports if r["recipe"] == "float32"), {}),
        "keras": alike(entries, lambda e: e.report.get("miou_keras")),
        "classes": next((list(r["iou_keras"]) for r in reports if "iou_keras" in r), []),
        "largest_drop": max((abs(d) for e in entries for d in drops(e).values()), default=0.0),
        "longest": max((row["ms"] for bill in bills for row in bill), default=0.0),
        "lowerings": alike(entries, lowering),
        "machines": alike(entries, lambda e: e.report.get("machine")),
        "targets": {name: TARGETS.get(name) for name in keys(reports, "targets")},
        "refused": refused(entries),
        "limits": [
            (limit, [wording.judged(limit, e.report, e.recipe) for e in entries])
            for limit in gate.LIMITS
        ],
        "mistakes": keys(reports, "mistakes"),
        "operators": sorted(keys(reports, "ops")),
    }


def keys(reports: list[dict], name: str) -> list[str]:
    """The keys of a table that each report may have, in the order in which they come."""
    return list(dict.fromkeys(key for report in reports for key in report.get(name, {})))


def lowering(entry: Entry) -> tuple[str, dict] | None:
    """What was chosen, and what each candidate cost: ms, or why it was not taken."""
    report = entry.report
    return (report["lowering"], report["lowerings"]) if "lowering" in report else None


def versions(manifest: dict, entries: list[Entry]) -> dict:
    """Of the packages that trained, and of those that made each kit."""
    kits = alike(entries, lambda e: (e.contract or {}).get("versions"))
    tables = [manifest["versions"], *(found for _, found in kits)]
    return {"versions": kits, "packages": list(dict.fromkeys(name for t in tables for name in t))}


def alike(entries: list[Entry], key: Callable) -> list[tuple[list[str], object]]:
    """(names, value) for every different value of `key`; entries without one are left out."""
    groups = []
    for entry in entries:
        value = key(entry)
        names = next((names for names, other in groups if other == value), None)
        if names is not None:
            names.append(entry.name)
        elif value is not None:
            groups.append(([entry.name], value))
    return groups


def drops(entry: Entry) -> dict[str, float]:
    """IoU lost by class, of those that are there; negative where the file is better."""
    after = entry.report.get("iou_tflite", {})
    return {
        name: before - (after[name] or 0.0)
        for name, before in entry.report.get("iou_keras", {}).items()
        if before is not None
    }


def shares(matrix: list[list[int]]) -> list[list[float | None]]:
    """A confusion matrix as shares of the truth, rows sum to 1; None for a class without truth."""
    return [[count / sum(row) if sum(row) else None for count in row] for row in matrix]


def refused(entries: list[Entry]) -> list[tuple[str, list[str], list[str]]]:
    """(target, recipes, operators that it refuses), recipes with the same operators together."""
    return [
        (target, recipes, lines)
        for target in keys([entry.report for entry in entries], "targets")
        for recipes, lines in alike(
            entries, lambda e, t=target: e.report.get("targets", {}).get(t, {}).get("refused")
        )
        if lines
    ]


def lost_most(entry: Entry) -> list[tuple[str, float]]:
    """The classes that lost most IoU, with how much."""
    return sorted(drops(entry).items(), key=lambda item: -item[1])[: wording.SOME]


def or_dash(form: Callable) -> Callable:
    """`form`, and a dash for what was not measured."""
    return lambda value, *more: "–" if value is None or is_undefined(value) else form(value, *more)


FILTERS = {
    "plain": lambda entry: wording.plain(entry.report, entry.recipe),
    "form": wording.form, "drops": drops, "shares": shares, "lost_most": lost_most,
    "number": wording.number, "percent": or_dash(wording.percent),
    "points": or_dash(wording.points), "ms": or_dash(wording.ms),
    "megabytes": or_dash(wording.megabytes),
}  # fmt: skip


# Plots


def plot(entries: list[Entry], name: str, unit: float, across: str):
    """mIoU against a figure; what was not measured is left out. Dashed: Keras."""
    figure, axes = start(across, (4.8, 3.0))
    needed = (name, "miou_tflite", "miou_keras")
    shown = [e for e in entries if all(finite(e.report.get(key)) for key in needed)]
    for entry in sorted(shown, key=lambda e: -e.report["miou_tflite"]):
        axes.plot(
            unit * entry.report[name], 100 * entry.report["miou_tflite"],
            color=f"C{RECIPES.index(entry.recipe)}", label=entry.name, linestyle="none",
            **({"marker": "o"} if entry.passed else {"marker": "D", "markerfacecolor": "none"}),
        )  # fmt: skip
    for value in {e.report["miou_keras"] for e in shown}:
        axes.axhline(100 * value, color="C7", linestyle="--", linewidth=1)
    axes.set_xlim(left=0)
    if shown:
        figure.legend(loc="outside right upper", frameon=False, labelcolor=INK)
    return figure


def finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


# Images


def images(folder: Path, plan: Plan, colours: list, entries: list[Entry]) -> dict:
    """Rows of pairs of images for the page, or why there are none."""
    try:
        dataset = read_dataset(plan.data, plan.damaged)
        pairs = dataset.pairs("val")
        # Neighbours are often alike: frames of one film, photographs of one person.
        pairs = pairs[:: max(1, len(pairs) // IMAGES)][:IMAGES]
        seen = [read_pair(pair, dataset) for pair in pairs]
        functions = {"Keras": predictor(folder)}
        functions |= {e.name: predictor(e.kit / "model.tflite") for e in entries if e.passed}
        masks = {n: [function(p) for p, _ in seen] for n, function in functions.items()}
    except Refusal as reason:
        return {"missing": str(reason)}
    return {"names": [pair[0].name for pair in pairs], "rows": rows(seen, masks, colours)}


def rows(seen: list, masks: dict, colours: list) -> list[dict]:
    """A row for the truth, for Keras and for each recipe, a cell an image.

    seen: (image, truth); masks: a list as long as `seen` for "Keras" and for each recipe.
    """
    truths = [truth for _, truth in seen]
    first = [
        {"uris": (uri(image, SIDE), uri(overlay(image, truth, colours), SIDE)), "share": None}
        for image, truth in seen
    ]
    found = [{"name": "truth", "beside": "truth", "cells": first}]
    for name, guesses in masks.items():
        against = truths if name == "Keras" else masks["Keras"]
        cells = [
            compared(image, guess, other, colours)
            for (image, _), guess, other in zip(seen, guesses, against, strict=True)
        ]
        other = "the truth" if name == "Keras" else "Keras"
        found.append({"name": name, "beside": f"where it differs from {other}", "cells": cells})
    return found


def compared(image, mask, other, colours) -> dict:
    """A mask on its image, and beside it where another one says something else; void is out."""
    differs = (mask != other) & (other != VOID)
    grey = np.repeat(image.mean(-1, keepdims=True) / 2, 3, -1).astype(np.uint8)
    where = np.where(differs[..., None], np.uint8(DIFFERENT), grey)
    return {
        "uris": (uri(overlay(image, mask, colours), SIDE), uri(where, SIDE)),
        "share": differs.mean(),
    }


def render(words: dict) -> str:
    """The page. Labels, paths and reasons are escaped; what a report lacks shows as a dash."""
    here = FileSystemLoader(Path(__file__).parent)
    pages = Environment(
        loader=here, autoescape=True, undefined=ChainableUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters |= FILTERS
    return pages.get_template("report.html.j2").render(words)
