"""The limits of the gate, and the advice after a refusal."""

import pytest

from export import refuse
from export.proof import gate

ACCEPTED = {
    "recipe": "float32", "pixel_agreement": 1.0, "pixel_agreement_floor": 0.999, "miou_drop": 0.0,
    "max_drop": 0.01, "max_abs_error": 1e-6, "target_faults": [], "open_shapes": [],
    "custom_operators": [], "dead_layers": [], "metadata_faults": [], "contract_agreement": 1.0,
    "clipped": 0.0, "float_operators": [], "calibration_distance": 0.0, "largest_activation": 100.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "name", "value"),
    [
        ("float32", "pixel_agreement", 0.9989),
        ("float32", "pixel_agreement", float("nan")),
        ("float32", "max_abs_error", 1.1e-4),
        ("float32", "max_abs_error", float("nan")),
        ("dynamic8", "miou_drop", 0.011),
        ("int8", "target_faults", ["RELU (conv1): not supported"]),
        ("int8", "open_shapes", ["image"]),
        ("int8", "custom_operators", ["FlexLgamma"]),
        ("int8", "dead_layers", ["conv1"]),
        ("int8", "metadata_faults", ["mean is 0 in the metadata and 127.5 in the contract"]),
        ("int8", "contract_agreement", 0.9989),
        ("int8-full", "float_operators", ["ADD (conv1)"]),
        ("qat8", "clipped", 0.021),
        ("int8", "calibration_distance", 0.16),
        ("float16", "largest_activation", 70000.0),
    ],
)
def test_limits(recipe, name, value):
    assert gate.failures({**ACCEPTED, "recipe": recipe}) == []
    (line,) = gate.failures({**ACCEPTED, "recipe": recipe, name: value})
    assert line.startswith(f"{name} is ")


def test_every_limit_is_tested():
    tested = {case[1] for case in test_limits.pytestmark[0].args[1]}
    assert tested == {limit.name for limit in gate.LIMITS}


def test_limits_apply_to_their_recipes_only():
    """Float activations allow float operators, float16 weights allow larger errors."""
    assert gate.failures({**ACCEPTED, "float_operators": ["ADD (conv1)"]}) == []
    assert gate.failures({**ACCEPTED, "recipe": "float16", "max_abs_error": 0.01}) == []


def test_advice_after_fine_tuning():
    report = {"recipe": "sparse", "iou_keras": {"a": 0.9}, "iou_tflite": {"a": 0.5},
              "layer_errors": []}  # fmt: skip
    assert refuse.advice(report) == (
        "Classes with the largest drop in IoU: a -0.400. "
        "Try more --epochs of fine-tuning, or a lower --sparsity. "
    )
