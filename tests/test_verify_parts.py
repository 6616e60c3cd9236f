"""The checks of a kit one by one, on contracts, reports and files made by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from kits import allowed
from tiny_files import changed, file_of

from cli import Refusal
from export.kit import verify as module
from export.kit.verify import (
    consistency_faults,
    contract_faults,
    lines_of,
    operator_faults,
    report_faults,
    tensor_faults,
    verify,
)
from export.proof.outputs import RESIZE_TEXTS
from export.proof.seal import hashes, sealed, text

HASH = "ab" * 32
OUTPUT = "the output is not 1, H, W and the number of labels"


def output(shape, values="logits"):
    return {"output": {"shape": shape, "values": values}}


def contract(**changes):
    def tensor(name, sides, channels):
        return {"name": name, "shape": [1, *sides, channels], "dtype": "float32", "scale": 0.0,
                "zero_point": 0}  # fmt: skip

    return {
        "schema": 5, "sha256": HASH, "recipe": "float32",
        "input": tensor("image", (4, 4), 3),
        "output": {**tensor("logits", (4, 4), 3), "values": "logits"},
        "range": [-1.0, 1.0], "mean": 127.5, "std": 127.5, "colour_order": "RGB",
        "resize": RESIZE_TEXTS["logits"], "labels": ["a", "b", "c"],
        "colours": [[0, 0, 0], [255, 0, 9], [1, 2, 3]], "preset": "tiny", "weights": HASH,
        "lowering": "signs", "targets": ["xnnpack"],
        "versions": {"segnet": "0", "ai-edge-litert": "0"},
        "proof": {"judged_on": "val", "images": 6, "remarks": []},
        "golden": dict.fromkeys(("xnnpack", "reference", "half"), allowed(0.0, 0.9)),
        "files": {"model.tflite": HASH}, "digest": "", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"std": -127.5, "range": [1.0, -1.0]}, "std is not above 0"),
        ({"range": [-1.0]}, "range is not that of mean and std"),
        ({"range": [0.0, 1.0]}, "range is not that of mean and std"),
        ({"range": [-1.0, 0.5]}, "range is not that of mean and std"),
        ({"range": [-1.0, 1.0, 1.0]}, "range is not that of mean and std"),
        ({"range": [], "mean": 0.0, "std": 255.0}, "range is not that of mean and std"),
        ({"range": [0.0], "mean": 255.0, "std": 255.0}, "range is not that of mean and std"),
        ({"range": [0.0, 510.0], "mean": 0.0, "std": 0.5}, None),
        ({"mean": 0.0}, "range is not that of mean and std"),
        ({"mean": 0.0, "std": 255.0, "range": [0.0, 1.0]}, None),
        ({"colours": [[0, 0, 0]] * 2}, "colours are not three bytes for each label"),
        ({"colours": [[0, 0, 0]] * 4}, "colours are not three bytes for each label"),
        ({"colours": [[0, 0, 0]] * 2 + [[0, 0]]}, "colours are not three bytes for each label"),
        (
            {"colours": [[0, 0, 0]] * 2 + [[0, 256, 0]]},
            "colours are not three bytes for each label",
        ),
        ({"colours": [[0, 0, 0]] * 2 + [[0, -1, 0]]}, "colours are not three bytes for each label"),
        ({"colours": [[255, 255, 255]] * 3}, None),
        (output([1, 4, 4, 4]), OUTPUT),
        (output([1, 4, 3]), OUTPUT),
        (output([1, 4, 4, 3, 3]), OUTPUT),
        (output([1, 4, 5, 3]), OUTPUT),
        (output([2, 4, 4, 3]), OUTPUT),
        ({"versions": {"segnet": "0"}}, "versions lacks segnet or ai-edge-litert"),
        ({"versions": {"ai-edge-litert": "0"}}, "versions lacks segnet or ai-edge-litert"),
        ({"colours": [[0, 0, 0, 0]] * 3}, "colours are not three bytes for each label"),
        ({"versions": {"segnet": "0", "ai-edge-litert": "0", "numpy": "2"}}, None),
        ({"resize": "a"}, "resize is not the rule of this kit's code"),
        ({"resize": "bilinear"}, "resize is not the rule of this kit's code"),
        ({"files": {}}, "files does not have the model's SHA-256"),
        ({"files": {"model.tflite": "cd" * 32}}, "files does not have the model's SHA-256"),
    ],
)
def test_values_that_contradict_each_other(changes, line):
    assert consistency_faults(contract(**changes)) == ([line] if line else [])


@pytest.mark.parametrize(
    "shape",
    [[1, 4, 4, 1], [0, 4, 4, 3], [1, 4, 4, 4], [2, 4, 4, 3], [1, 4, 4], [1, 4, 4, 3, 3], [1, 4, 3]],
)
def test_inputs_that_are_no_image(shape):
    target = [*shape[:3], 3]
    found = consistency_faults(contract(input={"shape": shape}, **output(target)))
    assert found == ["the input is not 1, H, W, 3"]


def test_values_that_contradict_each_other_twice():
    """A std of 0 gives no range at all."""
    assert consistency_faults(contract(std=0.0)) == [
        "std is not above 0", "range is not that of mean and std"
    ]  # fmt: skip


def written(path, content):
    path.write_text(content)
    return contract_faults(path)


def test_a_contract_that_can_be_read(tmp_path):
    path = tmp_path / "contract.json"
    assert written(path, text(sealed(contract()))) == []
    assert written(path, text(sealed(contract())).replace("\n", "\r\n")) == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "contract.json is damaged: "),
        ("[" * 100_000, "contract.json is damaged: "),
        ("[]", "contract.json is damaged: it is not an object. Copy the kit again"),
        ("{}", "its schema is None, but 5 is needed. Export the run again"),
        ('{"schema": 4}', "its schema is 4, but 5 is needed. Export the run again"),
        ('{"schema": 6}', "its schema is 6, but 5 is needed. Export the run again"),
        ('{"schema": 5.0}', "its schema is 5.0, but 5 is needed. Export the run again"),
        ('{"schema": "' + "4" * 99 + '"}', f"its schema is '{'4' * 39}, but 5 is needed. "),
        (text(contract()), "digest is '', but a SHA-256 is needed"),
        (text(contract(digest=HASH)), "it was changed after the kit was made: its digest is "),
        (text(sealed(contract(std="x"))), "std is 'x', but a finite number is needed"),
        (text(sealed(contract(std=-127.5, range=[1.0, -1.0]))), "std is not above 0"),
    ],
)
def test_a_contract_that_is_refused(tmp_path, content, line):
    """By the first of the checks that fails: it can be read, is complete, unchanged, consistent."""
    (found,) = written(tmp_path / "contract.json", content)
    assert found.startswith(line)


def test_tensors_of_the_file():
    def detail(name, shape, dtype, quantisation):
        return {
            "name": name,
            "shape": np.array(shape),
            "dtype": dtype,
            "quantization": quantisation,
        }

    source = detail("image", [1, 4, 4, 3], np.float32, (0.0, 0))
    target = detail("logits", [1, 4, 4, 3], np.float32, (0.0, 0))
    assert tensor_faults(contract(), SimpleNamespace(input=source, output=target)) == []
    other = detail("x", [1, 8, 4, 3], np.uint8, (0.5, 3))
    assert tensor_faults(contract(), SimpleNamespace(input=source, output=other)) == [
        "the output's name is x, but logits in the contract",
        "the output's shape is [1, 8, 4, 3], but [1, 4, 4, 3] in the contract",
        "the output's dtype is uint8, but float32 in the contract",
        "the output's scale is 0.5, but 0.0 in the contract",
        "the output's zero_point is 3, but 0 in the contract",
    ]
    small = detail("a", [1, 3, 4, 3], np.dtype("complex64"), (-1.0, -1))
    assert len(tensor_faults(contract(), SimpleNamespace(input=source, output=small))) == 5
    lines = tensor_faults(contract(), SimpleNamespace(input=other, output=target))
    assert lines[0] == "the input's name is x, but image in the contract" and len(lines) == 5


def test_operators_of_the_file(monkeypatch):
    content = file_of("float32")
    assert operator_faults(contract(), content) == []
    monkeypatch.setattr(module, "audit", lambda content, name: [f"{len(content)} {name}"])
    lines = operator_faults(contract(targets=["xnnpack", "npu"]), content)
    assert lines == [f"{len(content)} xnnpack", f"{len(content)} npu"]

    def open_side(tensor, _):
        tensor.shapeSignature = [-1, 4, 4, 3]

    content = changed(content, "first", open_side, 0)
    (line,) = operator_faults(contract(targets=[]), content)
    assert line.endswith(" has no fixed shape")


def test_custom_operators_of_the_file(monkeypatch):
    monkeypatch.setattr(module.inspect, "custom_operators", lambda content: ["FlexLgamma"])
    assert operator_faults(contract(), file_of("float32")) == ["FlexLgamma is a custom operator"]


ASKED = {"how": "run", "asked": True, "refused": []}


def report(**changes):
    return {
        "recipe": "float32", "weights": HASH, "lowering": "signs", "miou": 1,
        "targets": {"xnnpack": ASKED, "npu": {**ASKED, "asked": False}}, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        (report(), []),
        (report(recipe="int8"), ["recipe is int8 in report.json and float32 in the contract"]),
        (report(weights="x"), [f"weights is x in report.json and {HASH} in the contract"]),
        (report(lowering="x"), ["lowering is x in report.json and signs in the contract"]),
        (report(targets={}), ["targets is [] in report.json and ['xnnpack'] in the contract"]),
        (report(targets={"gpu": {**ASKED, "asked": 1}}),
         ["report.json.targets.gpu.asked is 1, but bool is needed"]),
        ({}, ["report.json.recipe is None, but str is needed",
              "report.json.weights is None, but str is needed",
              "report.json.lowering is None, but str is needed",
              "report.json.targets is None, but an object is needed"]),
        ([], ["report.json is [], but an object is needed"]),
    ],
)  # fmt: skip
def test_a_report_of_another_export(tmp_path, told, lines):
    (tmp_path / "report.json").write_text(json.dumps(told))
    assert report_faults(contract(), tmp_path / "report.json") == lines


def test_targets_in_another_order(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report(targets={"gpu": ASKED, "cpu": ASKED})))
    for targets in (["cpu", "gpu"], ["gpu", "cpu"]):
        assert report_faults(contract(targets=targets), tmp_path / "report.json") == []


def test_a_refusal_is_a_fault():
    def refuse(*args):
        raise Refusal(f"no {args}")

    assert lines_of(refuse, 1, 2) == ["no (1, 2)"]
    assert lines_of(lambda *args: list(args), 1, 2) == [1, 2]


@pytest.fixture
def kit(tmp_path):
    """A folder that says it is a kit, with a model of 1000 bytes."""
    (tmp_path / "model.tflite").write_bytes(b"x" * 1000)
    files = hashes(tmp_path)
    made = sealed(contract(files=files, sha256=files["model.tflite"]))
    (tmp_path / "contract.json").write_text(text(made))
    return tmp_path


def test_checks_stop_at_the_first_that_fails(kit, monkeypatch):
    """A model that was changed is not run."""
    monkeypatch.setattr(module, "model_faults", lambda *_: {"model": ["was run"]})
    assert verify(kit) == {"contract": [], "files": [], "model": ["was run"]}
    (kit / "model.tflite").write_bytes(b"y" * 1000)
    line = "model.tflite was changed after the kit was made. Copy the kit again"
    assert verify(str(kit)) == {"contract": [], "files": [line]}
    (kit / "contract.json").write_bytes(b"{")
    assert set(verify(kit)) == {"contract"}
    (kit / "contract.json").unlink()
    with pytest.raises(Refusal) as caught:
        verify(kit)
    assert str(caught.value) == (
        f"{kit} is not a kit: contract.json is missing. python -m export makes one"
    )
    (kit / "contract.json").symlink_to(kit / "nothing")  # it is there, but cannot be read
    assert verify(kit)["contract"][0].endswith("cannot be read: No such file or directory")


def test_a_model_that_cannot_be_loaded(kit):
    found = verify(kit)
    assert set(found) == {"contract", "files", "tensors"}
    assert found["tensors"][0].startswith("the model cannot be loaded: ")


def test_the_checks_of_a_model(kit, monkeypatch):
    """Each under its name; an output of another shape is not compared with the golden one."""
    (kit / "model.tflite").write_bytes(file_of("float32"))
    given = {}
    for name in ("metadata_faults", "operator_faults", "report_faults", "code_faults",
                 "golden_faults", "resize_faults", "tensor_faults"):  # fmt: skip

        def check(*args, name=name):
            given[name] = args
            return [name]

        monkeypatch.setattr(module, name, check)
    made = contract()
    found = module.model_faults(kit, made)
    wanted = {"tensors": ["tensor_faults"], "metadata": ["metadata_faults"],
              "operators": ["operator_faults"], "report": ["report_faults"],
              "code": ["code_faults"]}  # fmt: skip
    assert found == wanted
    content = file_of("float32")
    assert given["tensor_faults"][0] is made
    assert given["metadata_faults"] == given["operator_faults"] == (made, content)
    assert given["report_faults"] == (made, kit / "report.json")
    assert given["code_faults"] == (made, kit)
    monkeypatch.setattr(module, "tensor_faults", lambda *args: [])
    found = module.model_faults(kit, made)
    golden = {"golden": ["golden_faults"], "resize rule": ["resize_faults"]}
    assert found == wanted | {"tensors": []} | golden
    for name in ("golden_faults", "resize_faults"):
        assert given[name][:2] == (kit / "golden", made)
