"""What a program makes of a contract, with runtimes that give a tensor of their own back."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_files import file_of
from tiny_sets import grey

from data.dataset import Dataset
from export.proof import contract as module
from export.proof.contract import (
    input_tensor,
    make_contract,
    mistakes,
    predict,
    tensor,
)
from export.proof.outputs import RESIZE_TEXTS
from export.tflite.metadata import add_metadata


class Echo:
    """A runtime whose logits (1, H, W, 3) are its input."""

    def run(self, inputs):
        return inputs

    def decode(self, outputs):
        return np.float32(outputs)


def contract(shape=(1, 1, 2, 3), dtype="float32", **changes):
    return {
        "input": {"shape": list(shape), "dtype": dtype}, "mean": 127.5, "std": 127.5,
        "colour_order": "RGB", "resize": RESIZE_TEXTS["logits"], "labels": ["a", "b", "c"],
        "output": {"values": "logits"}, **changes,
    }  # fmt: skip


# Four columns of which two are averaged; bilinear takes the middle of each pair too, but of three
# it takes only the middle one.
SIX = grey([[0, 0, 90, 30, 60, 240]])


def test_input_by_hand():
    found = input_tensor(contract(), SIX)
    assert found.shape == (1, 1, 2, 3) and found.dtype == np.float32
    assert found[0, 0, :, 1] == pytest.approx([30 / 127.5 - 1, 110 / 127.5 - 1])
    bilinear = input_tensor(contract(resize="bilinear"), SIX)
    assert bilinear[0, 0, :, 1] == pytest.approx([-1, 60 / 127.5 - 1])


def test_an_image_that_is_enlarged_on_one_side_only():
    """Averaged along one side first, then bilinear along the other."""
    found = input_tensor(contract((1, 2, 2, 3), "uint8"), SIX)
    assert found[0, ..., 2].tolist() == [[30, 110]] * 2
    tall = SIX.swapaxes(0, 1)
    found = input_tensor(contract((1, 2, 4, 3), "uint8"), tall)
    assert found[0, ..., 2].tolist() == [[30] * 4, [110] * 4]
    wide = input_tensor(contract((1, 1, 4, 3), "uint8"), grey([[0, 100]]))
    assert wide[0, 0, :, 0].tolist() == [0, 25, 75, 100]


def test_normalisation_and_colours_by_hand():
    image = np.uint8([[[10, 20, 30], [40, 50, 60]]])
    found = input_tensor(contract(mean=10.0, std=5.0), image)
    assert found.tolist() == [[[[0, 2, 4], [6, 8, 10]]]]
    swapped = input_tensor(contract(mean=10.0, std=5.0, colour_order="BGR"), image)
    assert swapped.tolist() == [[[[4, 2, 0], [10, 8, 6]]]]
    raw = input_tensor(contract(dtype="uint8", mean=10.0, std=5.0), image)
    assert raw.dtype == np.uint8 and np.array_equal(raw[0], image)
    assert raw.flags["C_CONTIGUOUS"] and swapped.flags["C_CONTIGUOUS"]


def test_predictions_are_names_at_the_size_of_the_image():
    red_green = 255 * np.eye(3, dtype=np.uint8)[[[0, 0, 1, 1], [0, 0, 1, 1]]]
    found = predict(contract(), Echo(), red_green)
    assert found.tolist() == [["a", "a", "b", "b"]] * 2


def test_mistakes_by_hand():
    """On a grid of red and blue, the order of channels changes each pixel."""
    photo = 255 * np.eye(3, dtype=np.uint8)[[[0, 2], [1, 1]]]
    found = mistakes(contract((1, 2, 2, 3)), Echo(), photo)
    assert found == {"channel order": 0.5, "range": 0, "label order": 1, "resize rule": 0}
    bytes_ = mistakes(contract((1, 2, 2, 3), "uint8"), Echo(), photo)
    assert bytes_ == {"channel order": 0.5, "label order": 1, "resize rule": 0}


def test_the_mistakes_of_range_and_resize_rule():
    """A network that looks for the value of a byte, and an image that changes when resized."""

    class Threshold(Echo):
        def decode(self, outputs):
            return np.stack([outputs[..., 0] < 0, outputs[..., 0] >= 0], -1).astype(np.float32)

    dark = grey([[60, 200]])
    # In [0, 1] no value is below 0, so that the dark pixel changes.
    assert mistakes(contract(), Threshold(), dark)["range"] == 0.5
    six = grey([[0, 255, 0, 255, 0, 255]])  # averages 85 and 170, middles 255 and 0
    assert mistakes(contract(), Threshold(), six)["resize rule"] == 1.0


def test_each_mistake_by_hand():
    """The order of the channels, bytes in [0, 1], labels off by one, bilinear alone."""
    made = contract()
    assert module.MISTAKES["label order"](made) == {"labels": ["b", "c", "a"]}
    inputs = {name: input_tensor({**made, **change(made)}, SIX)[0, 0]
              for name, change in module.MISTAKES.items() if name != "label order"}  # fmt: skip
    assert inputs["range"][:, 0] == pytest.approx([30 / 255, 110 / 255])
    assert inputs["resize rule"][:, 0] == pytest.approx([-1, 60 / 127.5 - 1])
    colours = np.uint8([[[1, 2, 3], [4, 5, 6]]])
    swapped = input_tensor({**made, **module.MISTAKES["channel order"](made)}, colours)
    assert swapped[0, 0] * 127.5 + 127.5 == pytest.approx(np.array([[3, 2, 1], [6, 5, 4]]))
    assert set(module.INPUT_MISTAKES) == {*inputs}  # the labels are no input


def test_tensor():
    detail = {"name": "image", "shape": np.int32([1, 2, 3, 4]), "dtype": np.uint8,
              "quantization": (np.float32(0.5), np.int64(7))}  # fmt: skip
    found = tensor(detail)
    assert found == {"name": "image", "shape": [1, 2, 3, 4], "dtype": "uint8", "scale": 0.5,
                     "zero_point": 7}  # fmt: skip
    assert [type(found[key]) for key in ("scale", "zero_point")] == [float, int]
    assert {type(side) for side in found["shape"]} == {int}


@pytest.fixture(scope="module")
def trained():
    dataset = Dataset(None, ["a", "b", "c"], [[0, 0, 0], [9, 8, 7], [1, 2, 3]], 255)
    plan = SimpleNamespace(network_name="tiny")
    return SimpleNamespace(dataset=dataset, plan=plan, weights="ab" * 32)


def test_a_contract_of_a_real_file(trained):
    content = add_metadata(file_of("int8"), trained.dataset.classes)
    made = make_contract(content, "int8", "signs", ("xnnpack", "gpu"), trained)
    versions = made.pop("versions")
    source, target = made.pop("input"), made.pop("output")
    assert made == {
        "schema": 5, "sha256": hashlib.sha256(content).hexdigest(), "recipe": "int8",
        "range": [-1.0, 1.0], "mean": 127.5, "std": 127.5, "colour_order": "RGB",
        "resize": RESIZE_TEXTS["logits"], "labels": ["a", "b", "c"],
        "colours": [[0, 0, 0], [9, 8, 7], [1, 2, 3]], "preset": "tiny", "weights": "ab" * 32,
        "lowering": "signs", "targets": ["xnnpack", "gpu"],
    }  # fmt: skip
    assert source == {"name": "image", "shape": [1, 4, 4, 3], "dtype": "uint8",
                      "scale": pytest.approx(1 / 127.5), "zero_point": 127}  # fmt: skip
    assert (target["name"], target["shape"], target["dtype"]) == ("logits", [1, 8, 8, 3], "float32")
    assert set(versions) == {"segnet", "python", *module.PACKAGES}
    assert versions["numpy"] == np.__version__
    for text in RESIZE_TEXTS.values():
        assert text.startswith("area-bilinear: ")  # the word that `input_tensor` looks for


def test_metadata_that_differs(trained):
    content = add_metadata(file_of("float32"), ["a", "b", "c"])
    made = make_contract(content, "float32", "signs", (), trained)
    assert module.metadata_faults(made, content) == []
    changed = {**made, "labels": ["a", "c", "b"], "mean": 0.0, "std": 255.0, "colour_order": "BGR"}
    assert module.metadata_faults(changed, content) == [
        "labels is ['a', 'b', 'c'] in the metadata and ['a', 'c', 'b'] in the contract",
        "mean is 127.5 in the metadata and 0.0 in the contract",
        "std is 127.5 in the metadata and 255.0 in the contract",
        "colour_order is RGB in the metadata and BGR in the contract",
    ]
    (line,) = module.metadata_faults(made, file_of("float32"))
    assert line.startswith("the file's metadata is missing or damaged: ")
