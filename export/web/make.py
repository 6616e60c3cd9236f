"""Writes the folder of the page: the model, its web modules, golden files and LiteRT.js."""

import shutil
from pathlib import Path

import cv2

from cli import Refusal
from data.dataset import read_dataset
from data.images import read_image, write_image
from export.kit.render import rendered
from export.kit.verify import contract_faults, lines_of
from export.proof.golden import MOST_SIDE
from export.proof.seal import file_faults
from export.recipes import OUTPUT_BY_NAME
from files import new_folder, read_json
from segnet.run import read_run

PAGE = Path(__file__).parent / "page"
LOOKS = {"overlay": "Overlay", "blur": "Blur", "cutout": "Cut-out"}
SAMPLES = 3  # pictures to try on the page, of which the golden photo is one


def find_kit(path: Path, recipe: str) -> tuple[Path, Path | None]:
    """The intact kit at `path`, itself a kit or a run, and the run. Raises Refusal."""
    path = Path(path)
    run = None if (path / "contract.json").exists() else path
    if run:
        read_run(run)
    kit = run / "export" / recipe if run else path
    if not (kit / "contract.json").exists():
        base, _, output = recipe.rpartition("-")
        asked = f"{base} --output {output}" if output in OUTPUT_BY_NAME else recipe
        raise Refusal(
            f"{run} has no kit {recipe}. Type python -m export {run} --recipe {asked} first"
        )
    faults = lines_of(contract_faults, kit / "contract.json")
    faults = faults or file_faults(kit, read_json(kit / "contract.json")["files"])
    if faults:
        raise Refusal(f"{kit} cannot be used: {faults[0]}")
    if read_json(kit / "contract.json")["output"]["values"] == "classes":
        raise Refusal(
            f"{kit} gives class ids alone, but the page needs probabilities for its edges and its "
            "smoothing. Name a kit of --output logits or --output probabilities"
        )
    return kit, run


def write_page(out: Path, kit: Path, run: Path | None, packages: dict[str, bytes]) -> None:
    """packages: of `litert.read_packages`. Raises Refusal if `out` exists."""
    contract = read_json(kit / "contract.json")
    with new_folder(out) as part:
        shutil.copyfile(kit / "model.tflite", part / "model.tflite")
        shutil.copytree(kit / "golden", part / "golden")
        modules = rendered(contract).items()
        texts = {name: text for name, text in modules if name.startswith("web/")}
        texts |= {f"page/{path.name}": path.read_text() for path in PAGE.glob("*.js")}
        texts |= {name: (PAGE / name).read_text() for name in ("page.css", "icon.svg")}
        texts["index.html"] = index(run or kit, contract, write_samples(part, run))
        contents = {name: text.encode() for name, text in texts.items()}
        contents |= {f"litert/{name}": content for name, content in packages.items()}
        for name, content in contents.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def index(name: Path, contract: dict, samples: list[str]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(PAGE), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    _, height, width, _ = contract["input"]["shape"]
    return templates.get_template("index.html.j2").render(
        title=name.resolve().name,
        recipe=contract["recipe"],
        height=height,
        width=width,
        looks=LOOKS.items(),
        samples=samples,
    )


def write_samples(part: Path, run: Path | None) -> list[str]:
    """The paths in the folder of pictures to try: the golden photo and, if the run's dataset is
    still there, images of its val split."""
    names = ["golden/photo.png"]
    try:
        plan, _ = read_run(run) if run else (None, None)
        pairs = read_dataset(plan.data, plan.damaged).pairs("val") if plan else []
    except Refusal:  # the dataset is elsewhere now
        pairs = []
    for part_of in range(1, SAMPLES):
        if len(pairs) >= SAMPLES:
            image = read_image(pairs[part_of * len(pairs) // SAMPLES][0])
            ratio = min(1.0, MOST_SIDE / max(image.shape[:2]))
            sides = [max(1, round(ratio * side)) for side in image.shape[1::-1]]
            names.append(f"samples/{part_of}.jpg")
            (part / "samples").mkdir(exist_ok=True)
            small = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
            write_image(part / names[-1], small)
    return names
