"""One self-contained page about all recipes of a run: which passed, which were refused, and why.

The page sets no limits and measures nothing. Its values come from report.json and
RECIPE.refused.json; the exported files run here only to draw their masks.
"""

import csv
import shlex
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, is_undefined

from data.resizing import WHERE
from export.proof import gate
from export.proof.resized import why_unresized
from export.recipes import OUTPUTS, RECIPES, Recipe
from export.report import wording
from export.report.plot import plot, svg_uri
from export.report.shown import DIFFERENT, images
from export.targets.audit import TARGETS
from files import beside, read_json
from segnet.run import read_run

FULL_COLOUR = 0.01  # the difference of IoU, a fraction, from which a cell has its full colour
# What mIoU is plotted against: key in report.json, scale, name of the axis.
PLOTS = (
    ("latency_ms", 1.0, "latency, one thread, ms"),
    ("size_bytes", 1e-6, "size, MB"),
    ("gzip_bytes", 1e-6, "gzip size, MB"),
)


class Entry(NamedTuple):
    """A recipe that passed or was refused; a refused one may also have the entry of an older kit.

    contract, kit: None for a refusal, which leaves no kit.
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
    """Writes export/report.html of a run, returns its path. Raises Refusal for a damaged file."""
    folder = Path(folder)
    plan, manifest = read_run(folder)
    digest = manifest["best"]["sha256"]
    found = entries(folder / "export")
    # Recipes of different weights are not comparable.
    recent = [entry for entry in found if entry.weights in (None, digest)]
    page = render({
        "run": folder.resolve().name, "plan": plan, "manifest": manifest,
        "command": shlex.join(manifest["command"]), "epochs": epochs(folder),
        "options": wording.other_options(plan, manifest["command"]),
        "different": DIFFERENT, "full_colour": FULL_COLOUR, "entries": recent,
        "earlier": [entry.name for entry in found if entry not in recent],
        "images": images(
            folder, plan, manifest["dataset"]["colours"],
            {entry.name: entry.kit for entry in recent if entry.passed},
        ),
        **views(recent), **versions(manifest, recent),
    })  # fmt: skip
    out = folder / "export" / "report.html"
    with beside(out) as part:
        part.write_text(page, encoding="utf-8")
    return out


def entries(export: Path) -> list[Entry]:
    """The recipes that export/ holds, in the order of RECIPES, and each in that of OUTPUTS."""
    found = []
    for recipe, output in product(RECIPES, OUTPUTS):
        name, typed = output.kit(recipe), output.of(recipe)
        kit, refused = export / name, export / f"{name}.refused.json"
        has_kit = (kit / "report.json").exists()
        if has_kit:
            read = (read_json(kit / name) for name in ("report.json", "contract.json"))
            found.append(Entry(name, typed, *read, kit))
        if refused.exists():
            name = f"{name}, refused" if has_kit else name
            found.append(Entry(name, typed, read_json(refused)))
    return found


def epochs(folder: Path) -> tuple[int, str]:
    """(number of epochs trained, the epoch of the best mIoU), from history.csv."""
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    return len(rows), max(rows, key=lambda row: float(row["miou"]))["epoch"]


def views(entries: list[Entry]) -> dict:
    """The values of the reports, rearranged for the page."""
    reports = [entry.report for entry in entries]
    profiles = [report.get("time_by_operator", []) for report in reports]
    return {
        "threads": keys(reports, "latency"),
        "plots": [
            (across, svg_uri(plot(entries, key, scale, across))) for key, scale, across in PLOTS
        ],
        "float32": next((e.report for e in entries if e.name.startswith("float32")), {}),
        "keras": grouped(entries, lambda e: e.report.get("miou_keras")),
        "classes": next((list(r["iou_keras"]) for r in reports if "iou_keras" in r), []),
        "judges": grouped(entries, judged),
        "remarks": by_line(entries, lambda e: e.report.get("remarks", [])),
        "resizers": WHERE,
        "unresized": grouped(entries, lambda e: why_unresized(e.report)),
        "longest": max((row["ms"] for profile in profiles for row in profile), default=0.0),
        "frames": frames(reports),
        "frame_machines": grouped(entries, lambda e: e.report.get("frame", {}).get("machine")),
        "lowerings": grouped(entries, lowering),
        "machines": grouped(entries, lambda e: e.report.get("machine")),
        "calibrated": dict.fromkeys(e.recipe.name for e in entries if e.recipe.calibrated),
        "targets": {name: TARGETS.get(name) for name in keys(reports, "targets")},
        "unsupported": unsupported(entries),
        "limits": [
            (limit, [wording.check(limit, e.report, e.recipe) for e in entries])
            for limit in gate.LIMITS
        ],
        "mistakes": keys(reports, "mistakes"),
        "operators": sorted(keys(reports, "ops")),
    }


def frames(reports: list[dict]) -> list[tuple[str, list[dict]]]:
    """(frame and path, the times of each report, {} where it has none)."""
    found = {}
    for number, report in enumerate(reports):
        for row in report.get("frame", {}).get("ms", []):
            name = f"{row['width']} × {row['height']}, {row['path']}"
            found.setdefault(name, [{} for _ in reports])[number] = row
    return list(found.items())


def keys(reports: list[dict], name: str) -> list[str]:
    """All keys of the table `name` of the reports, in order of appearance."""
    return list(dict.fromkeys(key for report in reports for key in report.get(name, {})))


def lowering(entry: Entry) -> tuple[str, dict] | None:
    """(the chosen lowering, the cost of each candidate in ms or the reason it was not chosen)."""
    report = entry.report
    return (report["lowering"], report["lowerings"]) if "lowering" in report else None


def versions(manifest: dict, entries: list[Entry]) -> dict:
    """The package versions of the kits, and all packages of the training and the kits."""
    kits = grouped(entries, lambda e: (e.contract or {}).get("versions"))
    tables = [manifest["versions"], *(found for _, found in kits)]
    return {"versions": kits, "packages": list(dict.fromkeys(name for t in tables for name in t))}


def grouped(entries: list[Entry], key: Callable) -> list[tuple[list[str], object]]:
    """(names of entries, value) for every value of `key` except None."""
    groups = []
    for entry in entries:
        value = key(entry)
        names = next((names for names, other in groups if other == value), None)
        if names is not None:
            names.append(entry.name)
        elif value is not None:
            groups.append(([entry.name], value))
    return groups


def judged(entry: Entry) -> str | None:
    """Such as "233 of test"."""
    report = entry.report
    return f"{report['judged_images']} of {report['judged_on']}" if "judged_on" in report else None


def by_line(entries: list[Entry], lines: Callable) -> list[tuple[list[str], str]]:
    """(names of entries, line) for every line of any of them."""
    found = {}
    for entry in entries:
        for line in lines(entry):
            found.setdefault(line, []).append(entry.name)
    return [(names, line) for line, names in found.items()]


def drops(entry: Entry) -> dict[str, float]:
    """IoU of Keras minus IoU of the file by class, without the classes that Keras has none of."""
    after = entry.report.get("iou_tflite", {})
    return {
        name: before - (after[name] or 0.0)
        for name, before in entry.report.get("iou_keras", {}).items()
        if before is not None
    }


def row_fractions(matrix: list[list[int]]) -> list[list[float | None]]:
    """A confusion matrix whose rows are divided by their sums; None in a row without pixels."""
    return [[count / sum(row) if sum(row) else None for count in row] for row in matrix]


def unsupported(entries: list[Entry]) -> list[tuple[str, list[str], list[str]]]:
    """(target, recipes, operators that the target does not run); equal recipes are grouped."""
    return [
        (target, recipes, lines)
        for target in keys([entry.report for entry in entries], "targets")
        for recipes, lines in grouped(
            entries, lambda e, t=target: e.report.get("targets", {}).get(t, {}).get("refused")
        )
        if lines
    ]


def strength(drop: float) -> float:
    """Strength of a cell's colour, 0 to 1, on a scale that is the same on every page."""
    return round(min(1.0, abs(drop) / FULL_COLOUR), 3)


def lost_most(entry: Entry) -> list[tuple[str, float]]:
    """(class, drop) of the classes with the largest drop of IoU."""
    return sorted(drops(entry).items(), key=lambda item: -item[1])[: wording.SOME]


def or_dash(form: Callable) -> Callable:
    """`form`, which writes a dash for a value that was not measured."""
    return lambda value, *more: "–" if value is None or is_undefined(value) else form(value, *more)


FILTERS = {
    "reasons": lambda entry: wording.plain_reasons(entry.report, entry.recipe),
    "measure": wording.measure_of, "mistake": wording.mistake, "number": wording.number,
    "drops": drops, "lost_most": lost_most, "strength": strength, "row_fractions": row_fractions,
    "percent": or_dash(wording.percent), "points": or_dash(wording.points),
    "ms": or_dash(wording.ms), "megabytes": or_dash(wording.megabytes),
}  # fmt: skip


def render(values: dict) -> str:
    """The page. Labels, paths and reasons are escaped; a value that a report lacks is a dash."""
    here = FileSystemLoader(Path(__file__).parent)
    pages = Environment(
        loader=here, autoescape=True, undefined=ChainableUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters |= FILTERS
    return pages.get_template("report.html.j2").render(values)
