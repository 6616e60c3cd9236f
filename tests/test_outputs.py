"""What the other outputs than logits change around a file: names, metadata, golden files."""

import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from test_head import LOGITS, SCALE, echo
from test_verify_parts import OUTPUT, output
from test_verify_parts import contract as contract_of

from cli import Refusal
from export.kit.verify import consistency_faults
from export.make import Choices, Exporter
from export.proof import contract, golden
from export.proof.outputs import RESIZE_TEXTS
from export.recipes import BY_NAME, OUTPUT_BY_NAME, OUTPUTS
from export.tflite import head
from export.tflite.metadata import add_metadata, read_metadata
from export.tflite.runtime import Runtime


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_names_of_outputs(output):
    recipe = BY_NAME["int8-full"]
    assert output.kit(recipe) == {"logits": "int8-full"}.get(
        output.name, f"int8-full-{output.name}"
    )
    wanted = {"classes": "int32", "classes8": "uint8"}.get(output.name, "uint8")
    assert output.of(recipe).output == wanted and recipe.output == "uint8"
    assert output.values in RESIZE_TEXTS


@cache
def signed(output):
    """The file of four layers with a head and its metadata."""
    from tiny_files import file_of

    values = OUTPUT_BY_NAME[output].values
    content = file_of("float32") if output == "logits" else head.append(file_of("float32"), output)
    return add_metadata(content, ["a", "b", "c"], values)


@pytest.mark.parametrize(
    ("output", "activation"),
    [("logits", "softmax"), ("probabilities", "none"), ("classes", None), ("classes8", None)],
)
def test_metadata(output, activation):
    """MediaPipe must apply softmax once; for classes it gets no options."""
    content = signed(output)
    found = read_metadata(content)
    assert found["activation"] == activation and found["labels"] == ["a", "b", "c"]
    assert (b"SEGMENTER_METADATA" in content) == (activation is not None)
    values = OUTPUT_BY_NAME[output].values
    runtime = Runtime(content)
    assert runtime.output["name"] == values
    (signature,) = runtime.interpreter.get_signature_list().values()
    assert signature["outputs"] == [values]
    made = {**found, "output": {"values": values}}
    assert contract.metadata_faults(made, content) == []
    (line,) = (
        contract.metadata_faults({**made, "output": {"values": "oth"}}, content)
        if (contract.ACTIVATIONS.setdefault("oth", "other"))
        else [""]
    )
    assert line.startswith("activation is ")
    del contract.ACTIVATIONS["oth"]


@pytest.mark.parametrize(
    ("values", "shape", "rule", "faults"),
    [
        ("classes", [1, 4, 4], "classes", []),
        ("classes", [1, 4, 4, 3], "classes", [OUTPUT]),
        ("classes", [1, 4, 4], "logits", ["resize is not the rule of this kit's code"]),
        ("probabilities", [1, 4, 4, 3], "probabilities", []),
        ("probabilities", [1, 4, 4], "probabilities", [OUTPUT]),
    ],
)
def test_contracts_of_other_outputs(values, shape, rule, faults):
    allowed = {"tolerance": None if values == "classes" else 0.1, "pixel_agreement": 0.99}
    changes = {**output(shape, values), "resize": RESIZE_TEXTS[rule], "golden": {"half": allowed}}
    assert consistency_faults(contract_of(**changes)) == faults


def test_a_contract_with_unknown_values():
    assert "the output's values are unknown" in consistency_faults(
        contract_of(**output([1, 4, 4, 3], "scores"))
    )


def test_tolerances_of_golden_files():
    """A probability changes by at most half of what the logits change by."""
    softmaxed = {"dtype": "float32", "values": "probabilities", "scale": 0.0}
    quantised = head.append(echo("int8"), "probabilities")
    found = golden.least_tolerance({"output": softmaxed}, quantised, LOGITS)
    assert found == pytest.approx(SCALE / 2, rel=1e-3)
    plain = head.append(echo(), "probabilities")
    assert golden.least_tolerance({"output": softmaxed}, plain, LOGITS) == golden.FLOAT
    bytes_ = {"dtype": "uint8", "values": "probabilities", "scale": 1 / 256}
    full = head.append(echo("int8-full"), "probabilities")
    assert golden.least_tolerance({"output": bytes_}, full, LOGITS) == 256 * SCALE / 2


@pytest.mark.parametrize(("values", "tolerance"), [("classes", 0.1), ("logits", None)])
def test_only_classes_have_no_tolerance(values, tolerance):
    shape = [1, 4, 4] if values == "classes" else [1, 4, 4, 3]
    golden = {"xnnpack": {"tolerance": tolerance, "pixel_agreement": 0.99}}
    changes = {**output(shape, values), "resize": RESIZE_TEXTS[values], "golden": golden}
    assert consistency_faults(contract_of(**changes)) == ["only classes have no tolerance"]


def test_classes_of_golden_files_may_differ_in_a_few_pixels():
    allowed = {"xnnpack": {"tolerance": None, "pixel_agreement": 0.9}}
    made = {"output": {"values": "classes"}, "golden": allowed}
    wanted = np.arange(20).reshape(1, 4, 5) % 7
    found = wanted.copy()
    found[0, 0, :2] = 9
    assert golden.output_faults(made, found, wanted) == []
    found[0, 1, 1] = 9
    (line,) = golden.output_faults(made, found, wanted)
    assert (
        line == "the output has 85.00% pixel agreement with output.bin; at least 90.00% is needed"
    )


def test_options_that_contradict_each_other():
    with pytest.raises(Refusal, match="there is no output 'classes9'\\. Did you mean classes"):
        Choices(output="classes9")
    exporter = Exporter.__new__(Exporter)
    exporter.choices = Choices(output="classes", targets=("xnnpack", "gpu"))
    exporter.output = OUTPUT_BY_NAME["classes"]
    exporter.check(BY_NAME["float16"])
    with pytest.raises(Refusal, match="Type --recipe float16, or --output logits"):
        exporter.check(BY_NAME["int8"])
