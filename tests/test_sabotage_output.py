"""Exports that end in softmax or argmax: sound ones pass, those broken on purpose are refused."""

import json

import pytest
from test_sabotage import run

from export import make
from export.kit.verify import verify
from export.make import Choices, export_run
from export.proof.score import predictor, score
from export.tflite import head
from export.tflite.inspect import operators, parse
from export.tflite.pack import pack

__all__ = ["run"]  # a fixture
pytestmark = pytest.mark.slow


def choices(output):
    return Choices(max_drop=0.5, output=output)  # judged on six small images


def refused(run, output, figure, recipe="float32"):
    reports, refusals = export_run(run, recipe, choices(output))
    assert reports == {} and refusals[0].startswith(f"{recipe}-{output} is refused: ")
    numbers = json.loads((run / "export" / f"{recipe}-{output}.refused.json").read_text())
    assert [line for line in numbers["reasons"] if line.startswith(f"{figure} is ")], refusals
    assert not (run / "export" / f"{recipe}-{output}").exists()
    return numbers


def change_head(monkeypatch, change):
    """Applies `change` to the schema's objects of every file with a head, in place."""
    right = head.append

    def wrong(*args, **options):
        tree = parse(right(*args, **options))
        change(tree)
        return pack(tree)

    monkeypatch.setattr(make.head, "append", wrong)


def last_options(tree, name):
    at = [step.name for step in operators(pack(tree))].index(name)
    return tree.subgraphs[0].operators[at]


def test_a_softmax_that_is_too_flat(run, monkeypatch):
    def flat(tree):
        last_options(tree, "SOFTMAX").builtinOptions.beta = 0.99

    change_head(monkeypatch, flat)
    assert refused(run, "probabilities", "head_error")["head_error"] > 1e-4


def test_an_argmax_of_scaled_classes(run, monkeypatch):
    """The bias that is for classes that only fill up lies on a class that exists."""

    def shifted(tree):
        step = last_options(tree, "ADD")
        buffer = tree.buffers[tree.subgraphs[0].tensors[step.inputs[1]].buffer]
        values = buffer.data.view("float32").copy()
        values[1] = head.PADDED
        buffer.data = values.view("uint8")

    right = head.append
    monkeypatch.setattr(head, "CHANNELS", 5)  # of four classes one more
    monkeypatch.setattr(make.head, "append", lambda *a, padded: right(*a, padded=True))
    change_head(monkeypatch, shifted)
    assert refused(run, "classes", "head_error")["head_error"] > 0.01


def test_another_output_than_claimed(run, monkeypatch):
    right = head.append
    monkeypatch.setattr(make.head, "append", lambda c, output, padded: right(c, "classes"))
    found = refused(run, "probabilities", "claim_faults")["claim_faults"]
    assert "the file gives classes, but probabilities are claimed" in found
    found = refused(run, "classes8", "claim_faults")["claim_faults"]
    assert found == ["the output is int32, but float32 has uint8"]


def test_an_activation_that_would_be_applied_twice(run, monkeypatch):
    right = make.add_metadata
    monkeypatch.setattr(make, "add_metadata", lambda content, labels, *_: right(content, labels))
    found = refused(run, "probabilities", "metadata_faults")["metadata_faults"]
    assert found == ["activation is softmax in the metadata and none in the contract"]


@pytest.mark.parametrize(
    ("output", "recipe"),
    [
        ("classes8", "float32"),
        ("probabilities", "float32"),
        ("probabilities", "int8"),
        ("probabilities", "int8-full"),
        ("classes", "int8"),
        ("classes", "dynamic8"),
        ("classes8", "int8-full"),
    ],
)
def test_sound_files_pass(run, output, recipe):
    """And what reads a .tflite takes them: verify, score and predictor."""
    from data.dataset import read_dataset

    reports, refusals = export_run(run, recipe, choices(output))
    assert refusals == [] and list(reports) == [f"{recipe}-{output}"]
    (report,) = reports.values()
    kit = run / "export" / f"{recipe}-{output}"
    assert not any(verify(kit).values())
    dataset = read_dataset(json.loads((run / "plan.json").read_text())["data"])
    found = score(kit / "model.tflite", dataset, "val")
    assert found["miou"] == pytest.approx(report["miou_tflite"], abs=1e-9)
    from data.images import read_image

    image = read_image(dataset.pairs("val")[0][0])
    assert predictor(kit / "model.tflite")(image).shape == image.shape[:2]
    if recipe == "float32":
        assert report["pixel_agreement"] == 1.0 and report["partitions"] == 1
