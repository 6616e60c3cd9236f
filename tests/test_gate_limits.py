"""The limits of the gate to the last digit: what is still accepted, and what is not."""

import math

import pytest
from test_gate import ACCEPTED

from export.proof import gate

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
]
LISTS = {  # figure: is it known before the file is run?
    "claim_faults": True, "target_faults": False, "open_shapes": True, "custom_operators": True,
    "dead_layers": True, "metadata_faults": False, "float_operators": True,
}  # fmt: skip


def failures(name, value, recipe="int8"):
    return gate.failures({**ACCEPTED, "recipe": recipe, name: value})


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
    wanted = dict.fromkeys({row[0] for row in NUMBERS} | LISTS.keys() - early, "it was not run")
    assert gate.unmeasured("it was not run") == wanted
    report = {"recipe": "float32", "asked_targets": [], "not_measured": wanted}
    lines = gate.failures({**report, **{name: [] for name in early}})
    assert len(lines) == 12 + 3  # numbers but those of other recipes, and lists
    assert all(" is missing, not measured, because it was not run: " in line for line in lines)
    (line,) = gate.failures({**ACCEPTED, "minority": None})
    assert "minority is missing, not measured, because nothing measured it: " in line
