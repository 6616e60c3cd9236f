"""The limits of the gate, and the advice after a refusal."""

import pytest

from export import refuse
from export.proof import gate
from export.recipes import RECIPES

ACCEPTED = {
    "recipe": "float32", "asked_targets": ["xnnpack"], "graph_error": 1e-6, "weight_error": 0.5,
    "layer_snr": 120.0, "layer_snr_floor": 100.0, "logit_bias": 0.0, "logit_scale_error": 0.0,
    "logit_bias_most": 0.01, "pixel_agreement": 1.0, "pixel_agreement_floor": 0.999,
    "miou_difference": 0.0, "miou_drop": 0.0, "max_drop": 0.01, "worst_class_drop": 0.0,
    "max_class_drop": 0.05, "minority": 1.0, "mistakes_seen": 3, "max_abs_error": 1e-6,
    "claim_faults": [], "target_faults": [], "open_shapes": [], "custom_operators": [],
    "dead_layers": [], "metadata_faults": [], "contract_agreement": 1.0, "clipped": 0.0,
    "float_operators": [], "calibration_distance": 0.0, "calibration_error": 0.1,
    "largest_activation": 100.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "name", "value"),
    [
        ("qat8", "graph_error", 1.1e-4),
        ("sparse", "weight_error", 0.8),
        ("int8", "weight_error", float("inf")),
        ("clustered", "layer_snr", 99.0),
        ("int8", "logit_bias", 0.011),
        ("float16", "logit_scale_error", 0.011),
        ("float32", "pixel_agreement", 0.9989),
        ("float32", "pixel_agreement", float("nan")),
        ("float32", "miou_difference", 0.0051),
        ("float32", "max_abs_error", 1.1e-4),
        ("float32", "max_abs_error", float("nan")),
        ("dynamic8", "miou_drop", 0.011),
        ("dynamic8", "worst_class_drop", 0.051),
        ("float32", "minority", 0.09),
        ("float32", "mistakes_seen", 0),
        ("int8-full", "claim_faults", ["the output is float32, but int8-full has uint8"]),
        ("int8", "target_faults", ["RELU (conv1): not supported"]),
        ("int8", "open_shapes", ["image"]),
        ("int8", "custom_operators", ["FlexLgamma"]),
        ("int8", "dead_layers", ["conv1"]),
        ("int8", "metadata_faults", ["mean is 0 in the metadata and 127.5 in the contract"]),
        ("int8", "contract_agreement", 0.9989),
        ("int8-full", "float_operators", ["ADD (conv1)"]),
        ("qat8", "clipped", 0.021),
        ("int8", "calibration_distance", 0.11),
        ("int8-full", "calibration_error", 1.1),
        ("float16", "largest_activation", 70000.0),
        ("sparse16", "largest_activation", float("nan")),
    ],
)
def test_limits(recipe, name, value):
    assert gate.failures({**ACCEPTED, "recipe": recipe}) == []
    (line,) = gate.failures({**ACCEPTED, "recipe": recipe, name: value})
    assert line.startswith(f"{name} is ")


def test_every_limit_is_tested():
    tested = {case[1] for case in test_limits.pytestmark[0].args[1]}
    assert tested == {limit.name for limit in gate.LIMITS}


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
