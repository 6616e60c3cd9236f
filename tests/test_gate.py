"""The limits of the gate, and the advice after a refusal."""

import math

import pytest

from export import refuse
from export.proof import gate
from export.recipes import RECIPES

ACCEPTED = {
    "recipe": "float32", "output": "logits", "head_error": 0.0, "head_error_most": 1e-6,
    "asked_targets": ["xnnpack"], "graph_error": 1e-6, "weight_error": 0.5,
    "layer_snr": 120.0, "layer_snr_floor": 100.0, "logit_bias": 0.0, "logit_scale_error": 0.0,
    "logit_bias_most": 0.01, "pixel_agreement": 1.0, "pixel_agreement_floor": 0.999,
    "miou_difference": 0.0, "miou_drop": 0.0, "max_drop": 0.01, "worst_class_drop": 0.0,
    "max_class_drop": 0.05, "minority": 1.0, "mistakes_seen": 3, "max_abs_error": 1e-6,
    "claim_faults": [], "target_faults": [], "open_shapes": [], "custom_operators": [],
    "dead_layers": [], "metadata_faults": [], "contract_agreement": 1.0, "clipped": 0.0,
    "float_operators": [], "calibration_distance": 0.0, "calibration_error": 0.1,
    "largest_activation": 100.0,
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_missing_figure_fails(recipe):
    """Of every limit that applies, whether the figure is None or not there at all."""
    report = {**ACCEPTED, "recipe": recipe.name}
    for limit in gate.LIMITS:
        without = {name: value for name, value in report.items() if name != limit.name}
        for found in (without, {**report, limit.name: None}):
            lines = gate.failures(found)
            assert len(lines) == gate.applies(limit, recipe)
            assert all(line.startswith(f"{limit.name} is missing, not measured") for line in lines)


def test_the_reason_why_a_figure_is_missing():
    report = {**ACCEPTED, "minority": None, "not_measured": {"minority": "there is one class"}}
    (line,) = gate.failures(report)
    assert line.startswith("minority is missing, not measured, because there is one class: ")


def test_a_file_that_is_only_read_is_judged_by_what_can_be_read():
    read = ("claim_faults", "open_shapes", "custom_operators", "dead_layers", "float_operators")
    report = {name: ACCEPTED[name] for name in ("recipe", "asked_targets", *read)}
    report["recipe"] = "int8"
    assert gate.failures(report, early=True) == []
    for name in read:
        assert len(gate.failures({**report, name: ["something"]}, early=True)) == 1


def test_limits_apply_to_their_recipes_only():
    """Float activations allow float operators, float16 weights allow larger errors."""
    assert gate.failures({**ACCEPTED, "float_operators": ["ADD (conv1)"]}) == []
    assert gate.failures({**ACCEPTED, "recipe": "float16", "max_abs_error": 0.01}) == []


def test_float16_range_matters_to_every_recipe_on_a_gpu():
    report = {**ACCEPTED, "recipe": "int8", "largest_activation": 70000.0}
    assert gate.failures(report) == []
    assert len(gate.failures({**report, "asked_targets": ["xnnpack", "gpu"]})) == 1


def test_advice_after_fine_tuning():
    report = {"recipe": "sparse", "iou_keras": {"a": 0.9, "b": 0.5, "c": None}, "miou_drop": 0.15,
              "iou_tflite": {"a": 0.5, "b": 0.6, "c": None}, "layer_errors": []}  # fmt: skip
    assert refuse.advice(report) == (
        "mIoU loses 15.00 points; classes with the largest drop in IoU: a -0.400. "
        "Try more --epochs of fine-tuning, or a lower --sparsity. "
    )


def test_a_gain_is_called_a_gain():
    report = {"recipe": "float16", "iou_keras": {"a": 0.5}, "miou_drop": -0.1,
              "iou_tflite": {"a": 0.6}, "layer_errors": []}  # fmt: skip
    assert refuse.advice(report) == "mIoU gains 10.00 points. "


# To the last digit: what is still accepted, and what is not.

NUMBERS = [
    # figure, a recipe that it applies to, accepted, refused
    ("graph_error", "float32", 1e-4, 1.01e-4),
    ("weight_error", "int8", 0.75, 0.751),
    ("layer_snr", "float32", 100.0, 99.99),
    ("logit_bias", "float32", 0.01, 0.0101),
    ("logit_scale_error", "float32", 0.01, 0.0101),
    ("pixel_agreement", "float32", 0.999, 0.9989),
    ("max_abs_error", "float32", 1e-4, 1.01e-4),
    ("miou_difference", "int8", 0.005, 0.0051),
    ("miou_drop", "int8", 0.01, 0.0101),
    ("worst_class_drop", "int8", 0.05, 0.0501),
    ("minority", "int8", 0.1, 0.0999),
    ("mistakes_seen", "int8", 1, 0),
    ("contract_agreement", "int8", 1.0, 0.99999),
    ("clipped", "int8", 0.02, 0.0201),
    ("calibration_distance", "int8", 0.1, 0.101),
    ("calibration_error", "int8", 1.0, 1.01),
    ("largest_activation", "float16", 65504.0, 65504.5),
    ("head_error", "float32", 1e-6, 1.01e-6),
]
LISTS = {  # figure: is it known before the file is run?
    "claim_faults": True, "target_faults": False, "open_shapes": True, "custom_operators": True,
    "dead_layers": True, "metadata_faults": False, "float_operators": True,
}  # fmt: skip


def failures(name, value, recipe="int8"):
    output = "probabilities" if name == "head_error" else "logits"
    return gate.failures({**ACCEPTED, "recipe": recipe, "output": output, name: value})


def test_all_limits_are_here():
    assert {row[0] for row in NUMBERS} | LISTS.keys() == {limit.name for limit in gate.LIMITS}


@pytest.mark.parametrize(("name", "recipe", "accepted", "refused"), NUMBERS)
def test_numbers(name, recipe, accepted, refused):
    assert failures(name, accepted, recipe) == []
    (line,) = failures(name, refused, recipe)
    bound = "most" if refused > accepted else "least"
    assert line.startswith(f"{name} is {refused:g}, but must be at {bound} {accepted:g}: ")
    (line,) = failures(name, math.nan, recipe)
    assert line.startswith(f"{name} is nan, but must be at {bound} ")


@pytest.mark.parametrize("name", LISTS)
def test_lists(name):
    assert failures(name, []) == []
    (line,) = failures(name, ["a", "b"])
    assert line.startswith(f"{name} is 2, but must be at most 0: ")


@pytest.mark.parametrize("output", ["probabilities", "classes", "classes8"])
def test_the_head_of_other_outputs(output):
    """Nothing may be missing, and no pixel of another class is allowed."""
    report = {**ACCEPTED, "output": output, "head_error_most": 0.0}
    assert gate.failures(report) == []
    (line,) = gate.failures({**report, "head_error": 1e-5})
    assert line.startswith("head_error is 1e-05, but must be at most 0: ")
    (line,) = gate.failures({**report, "head_error": None})
    assert line.startswith("head_error is missing, not measured")
    assert gate.failures({**report, "output": "logits", "head_error": None}) == []


def test_limits_that_a_report_sets():
    """Another recipe, or --max-drop."""
    for bound, name, value in [
        ("layer_snr_floor", "layer_snr", 100.5), ("pixel_agreement_floor", "pixel_agreement", 1.01),
    ]:  # fmt: skip
        report = {**ACCEPTED, bound: value, name: value}
        assert gate.failures(report) == []
        assert len(gate.failures({**report, name: value - 0.01})) == 1
    for bound, name in [
        ("max_drop", "miou_drop"), ("max_class_drop", "worst_class_drop"),
        ("logit_bias_most", "logit_bias"), ("logit_bias_most", "logit_scale_error"),
    ]:  # fmt: skip
        report = {**ACCEPTED, bound: 0.3, name: 0.3}
        assert gate.failures(report) == []
        assert len(gate.failures({**report, name: 0.31})) == 1


@pytest.mark.parametrize(
    ("name", "recipes"),
    [
        ("max_abs_error", {"float32"}),
        ("dead_layers", {"int8", "int8-full", "qat8"}),
        ("float_operators", {"int8", "int8-full", "qat8"}),
        ("clipped", {"int8", "int8-full", "qat8"}),
        ("calibration_distance", {"int8", "int8-full"}),
        ("calibration_error", {"int8", "int8-full"}),
        ("largest_activation", {"float16", "sparse16"}),
        ("claim_faults", set(gate.BY_NAME)),
    ],
)
def test_recipes_of_a_limit(name, recipes):
    (limit,) = [limit for limit in gate.LIMITS if limit.name == name]
    found = {recipe for recipe in gate.BY_NAME if gate.applies(limit, gate.BY_NAME[recipe])}
    assert found == recipes


def test_what_is_not_measured_of_a_file_that_was_only_read():
    early = {name for name, known in LISTS.items() if known}
    figures = {row[0] for row in NUMBERS} | LISTS.keys() - early | {"miou_by_resize"}
    wanted = dict.fromkeys(figures, "it was not run")
    assert gate.unmeasured("it was not run") == wanted
    report = {"recipe": "float32", "asked_targets": [], "not_measured": wanted}
    lines = gate.failures({**report, **{name: [] for name in early}})
    assert len(lines) == 12 + 3  # numbers but those of other recipes, and lists
    assert all(" is missing, not measured, because it was not run: " in line for line in lines)
    (line,) = gate.failures({**ACCEPTED, "minority": None})
    assert "minority is missing, not measured, because nothing measured it: " in line
