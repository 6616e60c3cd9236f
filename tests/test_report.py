"""The page over all recipes of a run; expected strings are worked out from REPORT by hand."""

import base64
import copy
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from data.drawing import uri
from data.layout import VOID
from export.recipes import BY_NAME
from export.report import report

NAME = '<b>lip & "co"</b>'  # of a class
ESCAPED = "&lt;b&gt;lip &amp; &#34;co&#34;&lt;/b&gt;"
WEIGHTS = b"weights of the best epoch"
REPORT = {
    "verdict": "yes",
    "reasons": [],
    "recipe": "int8",
    "lowering": "signs+depth_to_space",
    "lowerings": {"signs+depth_to_space": 4.121, "signs+deconv": "xnnpack: <3> outside"},
    "pixel_agreement_floor": 0.97,
    "max_drop": 0.01,
    "miou_keras": 0.7,
    "miou_tflite": 0.69344,
    "miou_drop": 0.00656,
    "iou_keras": {"sky": 0.9, NAME: 0.5, "never": None},
    "iou_tflite": {"sky": 0.9021, NAME: 0.4848, "never": None},
    "confusion": [[900, 100, 0], [125, 375, 0], [0, 0, 0]],
    "pixel_agreement": 0.98761,
    "max_abs_error": 0.0421,
    "ops": {"CONV_2D": 27, "QUANTIZE": 1},
    "partitions": 1,
    "outside": {"QUANTIZE": 1},
    "versions": {"CONV_2D": 3, "QUANTIZE": 1},
    "conversions": {"uint8->int8 input": 2},
    "float_operators": [],
    "open_shapes": [],
    "custom_operators": [],
    "dead_layers": [],
    "targets": {
        "xnnpack": {"how": "run here and list", "asked": True, "refused": []},
        "coreml": {
            "how": "published list",
            "asked": False,
            "refused": ["QUANTIZE (input): not taken", "MUL (a<b): version 2, at most 1"],
        },
    },
    "target_faults": [],
    "largest_activation": 51.72,
    "fp16_safe": True,
    "clipped": 0.0061,
    "layer_errors": [{"layer": "conv1", "error": 0.0312, "added": 0.0207, "clipped": 0.0043}],
    "contract_agreement": 1.0,
    "mistakes": {"channel order": 0.0681, "label order": 0.95},
    "metadata_faults": [],
    "calibration_distance": 0.0226,
    "machine": "EPYC <7>, 2 cores",
    "latency_ms": 4.127,
    "latency": {
        "one thread": {"least": 4.0, "median": 4.127, "p90": 5.5, "ratio": 0.47},
        "2 threads": {"least": 0.8, "median": 0.8127, "p90": 0.9, "ratio": 0.52},
    },
    "time_by_operator": [
        {"layer": "deconv4_dw", "operator": "DEPTHWISE_CONV_2D", "ms": 1.5, "share": 0.363},
        {"layer": "conv1", "operator": "CONV_2D", "ms": 0.75, "share": 0.182},
    ],
    "size_bytes": 3255520,
    "gzip_bytes": 2421077,
}


@pytest.fixture
def run(tmp_path):
    """A run folder without recipes, whose dataset is gone."""
    folder = tmp_path / "run"
    folder.mkdir()
    plan = {"data": "gone<away>", "preset": "tiny", "size": [64, 96], "epochs": 3}
    manifest = {
        "command": ["python", "train.py", "--data", "a b"],
        "versions": {"keras": "3.15.1"},
        "machine": "x86_64",
        "dataset": {"classes": ["sky", NAME, "never"], "colours": [[0, 0, 0], [9, 8, 7], [1, 2, 3]],
                    "fingerprint": "48f5e420"},
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "history.csv").write_text("epoch,miou\n1,0.1\n2,0.3\n3,9e-05\n")
    (folder / "best.weights.h5").write_bytes(WEIGHTS)
    return folder


def left(run, recipe, weights=WEIGHTS, **figures):
    kit = run / "export" / recipe
    kit.mkdir(parents=True)
    contract = {"versions": {"keras": "3.15.1", "ai-edge-litert": "2.3.0"},
                "weights": hashlib.sha256(weights).hexdigest()}  # fmt: skip
    (kit / "report.json").write_text(json.dumps(REPORT | {"recipe": recipe} | figures))
    (kit / "contract.json").write_text(json.dumps(contract))
    return kit


def refuse(run, recipe, **figures):
    (run / "export").mkdir(exist_ok=True)
    path = run / "export" / f"{recipe}.refused.json"
    path.write_text(json.dumps(REPORT | {"recipe": recipe, "verdict": "no"} | figures))


def page(run):
    path = report.write(run)
    assert path == run / "export" / "report.html"
    return path.read_text(encoding="utf-8")


def text(page):
    """What a person reads: no tags, and one plain space for any spaces."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).split())


# By hand: fractions times 100 are percent or points, bytes over a million MB, 0.9 - 0.9021 is
# -0.21 points, 0.5 - 0.4848 1.52; 100 of 1000 pixels are 10 %, 125 of 500 25 %.
FIGURES = """
69.34 % | lost 0.66 points | 98.761 % | 3.256 MB | 2.421 MB | 4.13 ms | p90 5.50 ms
0.47 × float32 | 0.813 ms | p90 0.900 ms | 0.52 × float32 | latency, one thread
latency, 2 threads | mIoU 70.00 %
90.00 % −0.21 90.21 % | 50.00 % 1.52 48.48 % | 90.00 10.00 0.00 1,000 | 25.00 75.00 0.00 500
never – – – | 1.50 ms 36.3 % | 0.750 ms 18.2 % | 4.12 ms
✕ refuses 2 not asked; published list | ✓ whole asked; run here and list
coreml refuses 2 of int8 | QUANTIZE (input): not taken | at least 97 % | 0.66 at most 1 | 0.0421
0.61 % at most 2 % | 0.0226 at most 0.15 | 51.7 | 6.81 % | 95.00 % | conv1 2.07 % 3.12 % 0.43 %
27 version 3 | 1 QUANTIZE | 2 uint8-&gt;int8 input
64 × 96 pixels | 3 of 3, the best 2 | python train.py --data &#39;a b&#39; | 48f5e420 | x86_64
ai-edge-litert – 2.3.0 | Measured on EPYC &lt;7&gt;, 2 cores.
"""


def test_every_figure_of_a_recipe_is_there(run):
    left(run, "int8")
    found = text(page(run))
    missing = [figure for line in FIGURES.strip().splitlines()
               for figure in line.split(" | ") if figure not in found]  # fmt: skip
    assert missing == []
    assert "Recipes: 1 passed, 0 refused." in found


def test_limits_that_are_of_other_recipes_decide_nothing(run):
    left(run, "int8")
    found = text(page(run))
    assert "max_abs_error 0.0421 operators" in found  # 1e-4 is float32's
    assert "largest_activation 51.7 pixels" in found  # 65504 is float16's


def test_a_refusal_says_why_in_plain_words(run):
    left(run, "float32", size_bytes=6511040)
    reasons = ["miou_drop is 0.0265, at most 0.01: mIoU lost", "and <something> new"]
    after = {"sky": 0.8, NAME: 0.4848, "never": None}
    refuse(run, "int8", reasons=reasons, miou_drop=0.0265, iou_tflite=after)
    found = text(page(run))
    assert "Recipes: 1 passed, 1 refused." in found
    assert "points of mIoU lost against Keras: 2.65, at most 1 and &lt;something&gt; new" in found
    assert f"Classes that lost most: sky 10.00 points, {ESCAPED} 1.52 points." in found
    assert "Layers that add most error: conv1." in found
    assert "3.256 MB 0.50 × float32" in found
    assert "✕ 2.65 at most 1" in found  # in the gate's table


def test_a_file_that_could_not_run_is_refused_with_what_was_looked_at(run):
    left(run, "int8")
    reasons = ["custom_operators is 4, at most 0: operators that no runtime has by itself"]
    looked_at = {"recipe": "float32", "reasons": reasons, "lowering": "signs+deconv",
                 "lowerings": {}, "ops": {"CUSTOM": 4}, "pixel_agreement_floor": 0.999,
                 "max_drop": 0.01, "custom_operators": ["A (x)", "B (y)", "C (z)", "D (w)"]}  # fmt: skip
    (run / "export" / "float32.refused.json").write_text(json.dumps(looked_at))
    found = text(page(run))
    assert "Flex among them: 4, at most 0 (A (x), B (y), C (z), ...)" in found
    assert "✕ 4 at most 0" in found
    assert "✕ refused – lost – – – – – –" in found
    assert "float32 signs+deconv as asked for; nothing was timed" in found


def test_labels_paths_and_layers_are_escaped(run):
    left(run, "int8")
    found = page(run)
    assert NAME not in found and "<b>lip" not in found
    assert found.count(ESCAPED) >= 3
    assert "gone&lt;away&gt;" in found and "gone<away>" not in found
    assert "MUL (a&lt;b)" in found and "xnnpack: &lt;3&gt; outside" in found


NEVER_CLOSED = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Fails on a tag that is closed in the wrong place; keeps what would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.names = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in NEVER_CLOSED:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())


@pytest.mark.parametrize("recipes", [["float32"], list(BY_NAME)], ids=["one", "all"])
def test_nothing_is_loaded_and_every_tag_is_closed(run, recipes):
    for recipe in recipes:
        left(run, recipe)
    if len(recipes) > 1:
        shutil.rmtree(run / "export" / "sparse")
        refuse(run, "sparse", reasons=["pixel_agreement is 0.9, at least 0.95: share"])
    found = page(run)
    tags = Tags()
    tags.feed(found)
    assert tags.open == []
    assert tags.loads and all(load.startswith(("#", "data:")) for load in tags.loads)
    assert not tags.names & {"script", "link", "iframe"}
    assert not re.search(r"https?:|url\(|@import|{{|{%|Undefined|None|nan", found)
    for recipe in recipes:
        assert f">{recipe}<" in found


def test_earlier_weights_are_named_and_not_compared(run):
    left(run, "int8")
    left(run, "float16", weights=b"of an earlier epoch", miou_tflite=0.1234)
    found = text(page(run))
    assert "made of earlier weights of this run: float16. Export them again." in found
    assert "12.34 %" not in found


def test_an_earlier_kit_stands_beside_the_refusal(run):
    left(run, "int8")
    refuse(run, "int8", reasons=["pixel_agreement is 0.9, at least 0.97: share"], pixel_agreement=0.9)
    found = page(run)
    assert ">int8<" in found and ">int8, refused<" in found
    assert "98.761" in found and "90.000" in found


def test_a_run_without_recipes_has_a_page(run):
    assert "No recipe of these weights" in text(page(run))


def test_a_report_with_few_figures_has_dashes(run):
    kit = left(run, "float32")
    few = {"recipe": "float32", "reasons": [], "miou_keras": 0.7, "miou_tflite": 0.69344,
           "size_bytes": 3255520, "latency_ms": 4.127, "partitions": 1}  # fmt: skip
    (kit / "report.json").write_text(json.dumps(few))
    (kit / "contract.json").write_text("{}")
    found = text(page(run))
    assert "69.34 % lost – – 3.256 MB 1.00 × float32 –" in found


def test_without_the_dataset_the_page_says_so(run):
    left(run, "int8")
    assert "No images: no such folder: gone&lt;away&gt;" in text(page(run))


def decode(address):
    raw = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)


def near(pixel, colour):
    return np.abs(pixel - colour).max() <= 12  # JPEG


def test_what_differs_is_painted():
    image = np.full((64, 64, 3), 120, np.uint8)
    truth = np.zeros((64, 64), np.uint8)
    truth[32:, 32:] = VOID
    keras, recipe = np.zeros_like(truth), np.zeros_like(truth)
    keras[32:] = 1  # half of it where the truth is void
    recipe[32:, :32] = 1  # as Keras but for the lower right quarter
    rows = report.rows([(image, truth)], {"Keras": [keras], "int8": [recipe]}, [[0] * 3, [200] * 3])
    assert [row["name"] for row in rows] == ["truth", "Keras", "int8"]
    by_keras, by_recipe = rows[1]["cells"][0], rows[2]["cells"][0]
    assert by_keras["share"] == by_recipe["share"] == 0.25
    mask, wrong = map(decode, by_keras["uris"])
    assert near(mask[16, 16], 120) and near(mask[48, 16], 160)  # half image, half colour
    assert near(wrong[48, 16], report.DIFFERENT) and near(wrong[48, 48], 60)
    differs = decode(by_recipe["uris"][1])
    assert near(differs[48, 48], report.DIFFERENT) and near(differs[48, 16], 60)


def test_images_are_shrunk():
    assert decode(uri(np.zeros((300, 560, 3), np.uint8), 280)).shape == (150, 280, 3)
    assert decode(uri(np.zeros((30, 50, 3), np.uint8), 280)).shape == (30, 50, 3)


def test_images_of_a_run(finished, tmp_path):
    from export.graph.convert import to_tflite
    from export.graph.deploy import deploy, lowering
    from segnet.presets import preset
    from segnet.run import load_run

    folder = shutil.copytree(finished / "run", tmp_path / "run")
    model, plan, _ = load_run(folder)
    graph = deploy(model, preset("tiny"), plan.size, 4, lowering("signs+depth_to_space"))
    kit = left(folder, "float32", weights=(folder / "best.weights.h5").read_bytes())
    (kit / "model.tflite").write_bytes(to_tflite(graph))
    found = page(folder)
    assert found.count("data:image/jpeg") == 24  # truth, Keras, float32, four images, two each
    assert text(found).count("0.00 % differ") >= 4  # float32 gives what Keras gives
    assert "No images" not in found
    (kit / "model.tflite").unlink()
    assert "No images: " in page(folder)


def test_plot(run):
    """Sizes in MB and mIoU in %, the best first; refused ones as diamonds; dashed: Keras."""
    left(run, "float32", miou_tflite=0.7, size_bytes=12_000_000)
    left(run, "int8")
    left(run, "qat8", size_bytes=None)
    refuse(run, "sparse", miou_tflite=0.65, size_bytes=6_000_000)
    figure = report.plot(report.entries(run / "export"), "size_bytes", 1e-6, "size, MB")
    (axes,) = figure.axes
    *dots, keras = axes.lines
    found = [
        (dot.get_label(), dot.get_marker(), *(float(at[0]) for at in dot.get_data()))
        for dot in dots
    ]
    assert found == [
        ("float32", "o", 12, pytest.approx(70)),
        ("int8", "o", pytest.approx(3.25552), pytest.approx(69.344)),
        ("sparse", "D", 6, pytest.approx(65)),
    ]
    assert list(keras.get_ydata()) == [70, 70] and keras.get_linestyle() == "--"
    assert axes.get_xlabel() == "size, MB" and axes.get_xlim()[0] == 0


def test_a_run_is_not_changed(run):
    left(run, "int8")
    before = copy.deepcopy({path: path.read_bytes() for path in run.rglob("*.json")})
    page(run)
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == before
    assert sorted(path.name for path in (run / "export").iterdir()) == ["int8", "report.html"]
