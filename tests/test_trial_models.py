"""python -m export try with a run, a kit, and files of anybody."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from kits import allowed
from PIL import Image
from trials import convolution, half_red, named, tried

from cli import Refusal
from data.images import write_image
from export.proof.contract import make_contract
from export.proof.seal import sealed, text
from export.tflite.metadata import add_metadata
from export.trial.model import open_tried

HALF = half_red()[..., 0] > 0  # the mask


@pytest.fixture
def file(tmp_path):
    """Writes a .tflite, returns its path."""

    def write(content):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def kit(tmp_path):
    """A kit of the model and the contract alone, whose colours and labels are its own."""
    dataset = SimpleNamespace(classes=["rest", "red"], colours=[[1, 2, 3], [4, 5, 6]])
    plan = SimpleNamespace(network_name="tiny")
    trained = SimpleNamespace(dataset=dataset, plan=plan, weights="ab" * 32)
    contract = make_contract(named(), "float32", "signs", ["xnnpack"], trained)
    contract["proof"] = {"judged_on": "val", "images": 1, "remarks": []}
    contract["golden"] = dict.fromkeys(("xnnpack", "reference", "half"), allowed(0.1))
    contract["files"] = {"model.tflite": contract["sha256"]}
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(named())
    (folder / "contract.json").write_text(text(sealed(contract)))
    return folder


@pytest.mark.parametrize("name", ["", "model.tflite"])
def test_a_kit_and_its_file(kit, name):
    found = open_tried(kit / name, None, None)
    assert (found.classes, found.colours) == (["rest", "red"], [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(found.mask(half_red()), HALF)


def test_a_kit_that_was_changed(kit):
    with pytest.raises(Refusal, match="is a kit, which tells it: leave --classes out"):
        open_tried(kit, "a,b", None)
    (kit / "model.tflite").write_bytes(named() + b" ")
    with pytest.raises(
        Refusal, match=r"model.tflite is not the file that .*contract.json describes"
    ):
        open_tried(kit, None, None)
    contract = (kit / "contract.json").read_text().replace('"red"', '"bed"')
    (kit / "contract.json").write_text(contract)
    with pytest.raises(Refusal, match=r"contract\.json: it was changed after the kit was made"):
        open_tried(kit, None, None)


def test_a_run(tmp_path, monkeypatch):
    def logits(image):
        return np.stack([np.zeros((1, 4, 4)), image[:, ::2, ::2, 0] - 0.5], -1).astype(np.float32)

    manifest = {
        "command": [],
        "versions": {},
        "dataset": {"classes": ["a", "b"], "colours": [[0, 0, 0], [7, 8, 9]]},
    }
    run = SimpleNamespace(predict_on_batch=logits), SimpleNamespace(size=(8, 8)), manifest
    monkeypatch.setattr("segnet.run.load_run", lambda folder: run)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    found = open_tried(tmp_path, None, None)
    assert (found.classes, found.colours) == (["a", "b"], [[0, 0, 0], [7, 8, 9]])
    mask = found.mask(half_red(16, 16))
    assert (mask[:, :6] == 0).all() and (mask[:, 10:] == 1).all()
    with pytest.raises(Refusal, match="is a run, which tells it: leave --range out"):
        open_tried(tmp_path, None, [0, 1])


def test_neither_a_run_nor_a_file(tmp_path):
    with pytest.raises(Refusal, match=r"is not a run: plan\.json is missing"):
        open_tried(tmp_path, None, None)
    with pytest.raises(Refusal, match=r"no\.tflite cannot be read: No such file"):
        open_tried(tmp_path / "no.tflite", None, None)


def test_a_file_that_tells_nothing(file):
    path = file(convolution())
    with pytest.raises(Refusal, match=r"metadata that tell the range of its input\. Add --range"):
        open_tried(path, "rest,red", None)
    with pytest.raises(Refusal, match=r"does not name its 2 classes\. Add --classes with a file"):
        open_tried(path, None, [-1, 1])
    with pytest.raises(Refusal, match="--range 1 0: the first must be the smaller"):
        open_tried(path, "rest,red", [1, 0])
    with pytest.raises(Refusal, match="class 1, 'A', differs only in case from class 0, 'a'"):
        open_tried(path, "a,A", [-1, 1])
    found = open_tried(path, "rest,red", [-1, 1])
    assert np.array_equal(found.mask(half_red()), HALF)
    assert found.told == "input 8x8 (width x height), RGB from -1 to 1"


@pytest.mark.parametrize(
    ("limits", "bias"),
    [([0, 1], -0.75), ([-1, 1], -0.5), ([0, 255], -190.0), ([-2, 3], -1.9)],
    # 200 is 0.784, 0.569, 200 and 5 * 0.784 - 2 = 1.92; 0 is the lower limit.
)
def test_a_file_is_fed_with_the_range(file, limits, bias):
    found = open_tried(file(convolution(bias=(0, bias))), "rest,red", limits)
    assert np.array_equal(found.mask(half_red()), HALF)


def test_names_from_a_file(file, tmp_path):
    names = tmp_path / "names.txt"
    names.write_bytes("\ufeffrest, or none\r\nred\r\n".encode())
    assert open_tried(file(convolution()), str(names), [-1, 1]).classes == ["rest, or none", "red"]
    names.write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match=r"names\.txt is no text"):
        open_tried(file(convolution()), str(names), [-1, 1])


@pytest.mark.parametrize(
    ("activation", "how"),
    [
        ("sigmoid", "a probability, as it comes from LOGISTIC: class 1 is above 0.5"),
        (None, "taken as a logit, as it comes from CONV_2D without an activation: class 1 is abo"),
    ],
)
def test_one_channel(file, activation, how):
    """10 red - 5 is above 0 where red is above 0.5, and its sigmoid above 0.5 there."""
    path = file(convolution(kernel=(10,), bias=(-5,), activation=activation))
    for given in ("red", "background,red"):
        found = open_tried(path, given, [-1, 1])
        assert found.classes == ["background", "red"] and f"one channel, {how}" in found.told
        assert np.array_equal(found.mask(half_red()), HALF)
    with pytest.raises(Refusal, match="gives 1 channels, but 3 classes are named"):
        open_tried(path, "a,b,c", [-1, 1])


def test_one_channel_of_the_files_own_name(file):
    """As MediaPipe's selfie segmentation: metadata with one label."""
    content = convolution(kernel=(10,), bias=(-5,), activation="sigmoid")
    found = open_tried(file(add_metadata(content, ["selfie"])), None, None)
    assert found.classes == ["background", "selfie"]
    assert np.array_equal(found.mask(half_red()), HALF)


def test_one_channel_that_cannot_be_known(file):
    path = file(convolution(kernel=(10,), bias=(-5,), activation="relu"))
    with pytest.raises(Refusal, match="one channel that comes from CONV_2D: whether it is a prob"):
        open_tried(path, "red", [-1, 1])


def test_shapes_that_are_no_masks(file):
    import keras

    from export.graph.convert import to_tflite

    image = keras.Input((8, 8, 3), batch_size=1)
    flat = keras.Model(image, keras.layers.Reshape((192,))(image))
    with pytest.raises(Refusal, match="its output is 1x192; needed: 1xHxWxC, a channel a class"):
        open_tried(file(to_tflite(flat)), "a,b", [-1, 1])
    grey = keras.Input((8, 8, 1), batch_size=1)
    layer = keras.layers.Conv2D(2, 1)
    with pytest.raises(Refusal, match="its input is 1x8x8x1; needed: 1xHxWx3"):
        open_tried(file(to_tflite(keras.Model(grey, layer(grey)))), "a,b", [-1, 1])


def test_a_foreign_file_from_the_command_line(file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png", half_red())
    words = "--classes", "rest,red", "--range", "-1", "1"
    assert tried(file(convolution()), "a.png", *words) == 0
    assert "a.png: rest 50.0%, red 50.0%" in capsys.readouterr().out
    assert np.array_equal(np.array(Image.open("tried/a-mask.png")), HALF)
