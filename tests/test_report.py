"""The page about all recipes of a run; expected strings are derived from REPORT by hand."""

import copy
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from report_run import ESCAPED, NAME, make_run, page, refuse, release, text

from export.recipes import BY_NAME
from export.report import wording
from segnet.plan import Plan


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


# By hand: fractions times 100 are percent or points, bytes over a million MB, 0.9 - 0.9021 is
# -0.21 points, 0.5 - 0.4848 1.52; 100 of 1000 pixels are 10 %, 125 of 500 25 %.
FIGURES = """
69.34 % | drop 0.66 points | 98.761 % | 3.256 MB | 2.421 MB | 4.13 ms | p90 5.50 ms
0.47 × float32 | 0.813 ms | p90 0.900 ms | 0.52 × float32 | latency, one thread
latency, 2 threads | mIoU of 70.00 %
90.00 % −0.21 90.21 % | 50.00 % 1.52 48.48 % | 90.00 10.00 0.00 1,000 | 25.00 75.00 0.00 500
never – – – | 1.50 ms 36.3 % | 0.750 ms 18.2 % | 4.12 ms
✕ 2 unsupported not requested; published list
✓ runs entirely requested; run here and list
✓ all operators supported (not&nbsp;run) not requested; published list
coreml does not support 2 operators of int8 | QUANTIZE (input): not taken | at least 97 %
0.66 points at most 1 point | 0.0421
0.61 % at most 2 % | 0.0226 at most 0.1 | 51.7 | 6.81 % | 95.00 % | conv1 2.07 % 28.1 0.43 %
0.471 at most 0.75 | 28.1 dB at least 12 dB | 1.71 % at most 10 % | 1.52 points at most 5 points
101.8 % at least 10 % | 0.03 levels at most 1 level | on the judged images (233 of test), at
nothing is known about it: &lt;never&gt; (int8)
area a kit&#39;s exact path 69.12 % bilinear Android: Bitmap.createScaledBitmap
lanczos iOS: vImageScale 69.05 % | canvas without filtering – images 61 | filtering 68.71 %
27 version 3 | 1 QUANTIZE | 2 uint8-&gt;int8 input
64 × 96 pixels | 3 of 3 were trained; epoch 2 has the best mIoU
python train.py --data &#39;a b&#39; | 48f5e420 | x86_64
1280 × 720, live 2.62 ms 0.50 + 1.75 + 0.25 + 0.12 | thread; measured on EPYC &lt;8&gt;, 2 cores.
ai-edge-litert – 2.3.0 | measured on EPYC &lt;7&gt;, 2 cores.
"""


def test_every_figure_of_a_recipe_is_there(run):
    release(run, "int8")
    found = text(page(run))
    missing = [figure for line in FIGURES.strip().splitlines()
               for figure in line.split(" | ") if figure not in found]  # fmt: skip
    assert missing == []
    assert "Recipes: 1 passed, 0 refused." in found


def test_limits_of_other_recipes_do_not_count(run):
    release(run, "int8")
    found = text(page(run))
    assert "max_abs_error 0.0421 difference" in found  # 1e-4 is float32's
    assert "largest_activation 51.7 pixels" in found  # 65504 is float16's


def test_what_was_not_measured_says_why(run):
    known = {"clipped": "the file <did> not run"}
    line = "clipped is missing, not measured, because the file <did> not run: largest fraction"
    refuse(run, "qat8", clipped=None, not_measured=known, reasons=[line])
    found = text(page(run))
    assert "its int8 range: not measured, because the file &lt;did&gt; not run" in found
    assert "✕ – not measured, because" in found
    assert "contract_agreement 100.00 % must be 100 % operators" in found
    assert "float_operators 0 must be 0 largest" in found
    assert "calibration_distance 0.0226 mean" in found  # no limit for a recipe without calibration


def test_rules_of_resizing_that_were_not_measured_say_why(run):
    release(run, "float32")
    refuse(run, "int8", not_measured={"miou_by_resize": "it was <refused>"}, miou_by_resize=None)
    older = run / "export/float16.refused.json"
    older.write_text(json.dumps({"recipe": "float16", "reasons": []}))
    found = text(page(run))
    assert "images 61 61 –" not in found
    assert "int8: not measured, because it was &lt;refused&gt;" in found
    assert "float16: not measured, because nothing measured it" in found
    assert "float32: not measured" not in found


def test_options_of_the_command_are_not_repeated():
    plan = Plan("d", batch=8, seed=3, width=0.5, class_weights="balanced")
    command = "train.py --data d --class-weights balanced --seed=3".split()
    found = wording.other_options(plan, command)
    assert [flag for flag, _ in found] == [
        "--batch", "--weights", "--width", "--learning-rate", "--weight-decay", "--warmup-steps",
        "--damaged", "--augment",
    ]  # fmt: skip
    assert found[0] == ("--batch", 8)


def test_the_reasons_of_a_refusal_are_in_plain_words(run):
    release(run, "float32", size_bytes=6511040)
    reasons = ["miou_drop is 0.0265, but must be at most 0.01: mIoU lost", "and <something> new"]
    after = {"sky": 0.8, NAME: 0.4848, "never": None}
    refuse(run, "int8", reasons=reasons, miou_drop=0.0265, iou_tflite=after)
    found = text(page(run))
    assert "Recipes: 1 passed, 1 refused." in found
    assert "drop of mIoU against Keras is 2.65 points; the limit is at most 1 point" in found
    assert "1 point and &lt;something&gt; new" in found
    assert f"the largest drop of IoU: sky 10.00 points, {ESCAPED} 1.52 points." in found
    assert "Layers that add the most quantisation error: conv1." in found
    assert "3.256 MB 0.50 × float32" in found
    assert "✕ 2.65 points at most 1 point" in found  # in the gate's table


def test_a_refused_file_that_was_not_run(run):
    release(run, "int8")
    reasons = ["custom_operators is 4, but must be at most 0: operators that need a library"]
    measured = {"recipe": "float32", "reasons": reasons, "lowering": "signs+deconv",
                "lowerings": {}, "ops": {"CUSTOM": 4}, "pixel_agreement_floor": 0.999,
                "max_drop": 0.01,
                "custom_operators": ["A (x)", "B (y)", "C (z)", "D (w)"]}  # fmt: skip
    (run / "export" / "float32.refused.json").write_text(json.dumps(measured))
    found = text(page(run))
    assert ": 4 (A (x), B (y), C (z), ...); must be 0" in found
    assert "✕ 4 must be 0" in found
    assert "✕ refused – drop – – – – – –" in found
    assert "float32 signs+deconv as requested; no candidates were timed" in found


def test_labels_paths_and_layers_are_escaped(run):
    release(run, "int8")
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
        release(run, recipe)
    if len(recipes) > 1:
        shutil.rmtree(run / "export" / "sparse")
        refuse(run, "sparse", reasons=["pixel_agreement is 0.9, but must be at least 0.95: x"])
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
    release(run, "int8")
    release(run, "float16", weights=b"of an earlier epoch", miou_tflite=0.1234)
    found = text(page(run))
    assert "made from earlier weights of this run: float16. Export them again." in found
    assert "12.34 %" not in found


def test_an_earlier_kit_is_beside_the_refusal(run):
    release(run, "int8")
    reasons = ["pixel_agreement is 0.9, but must be at least 0.97: fraction"]
    refuse(run, "int8", reasons=reasons, pixel_agreement=0.9)
    found = page(run)
    assert ">int8<" in found and ">int8, refused<" in found
    assert "98.761" in found and "90.000" in found


def test_a_run_without_recipes_has_a_page(run):
    assert "No recipe has been exported from these weights" in text(page(run))


def test_a_report_with_few_values_has_dashes(run):
    kit = release(run, "float32")
    few = {"recipe": "float32", "reasons": [], "miou_keras": 0.7, "miou_tflite": 0.69344,
           "size_bytes": 3255520, "latency_ms": 4.127, "partitions": 1}  # fmt: skip
    (kit / "report.json").write_text(json.dumps(few))
    (kit / "contract.json").write_text("{}")
    found = text(page(run))
    assert "69.34 % drop – – 3.256 MB 1.00 × float32 –" in found


def test_without_the_dataset_the_page_says_so(run):
    release(run, "int8")
    assert "No images: no such folder: gone&lt;away&gt;" in text(page(run))


def test_a_run_is_not_changed(run):
    release(run, "int8")
    before = copy.deepcopy({path: path.read_bytes() for path in run.rglob("*.json")})
    page(run)
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == before
    assert sorted(path.name for path in (run / "export").iterdir()) == ["int8", "report.html"]
