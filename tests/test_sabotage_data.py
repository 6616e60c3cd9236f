"""Weights, data and models with which nothing can be proven: refused, or told."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from conftest import change_best

from cli import Refusal, Verdict
from data.dataset import write_names
from data.images import read_image, write_image
from export import make, trained
from export.make import Choices, Exporter, export_run
from export.proof import measure
from export.recipes import BY_NAME
from files import read_json, write_json
from segnet.run import load_run, save_weights

LOOSE = Choices(max_drop=0.05)  # judged on six small images
CLASSES = ["background", "disc", "box", "star"]


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A run and its data, to be changed, without measurements of speed and without the page."""
    monkeypatch.setattr(measure, "speed", lambda *_: {"latency_ms": 1.0})
    monkeypatch.setattr(make, "write_report", lambda _: None)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished / "shapes", tmp_path / "shapes")
    folder = shutil.copytree(finished / "run", tmp_path / "run")
    write_json(folder / "plan.json", read_json(folder / "plan.json") | {"data": "shapes"})
    return folder


def accept_data(run):
    """The run's manifest describes its data as they are now."""
    from data.dataset import read_dataset

    manifest = read_json(run / "manifest.json")
    described = read_dataset("shapes").described()
    write_json(run / "manifest.json", manifest | {"dataset": described})


def reasons(run, recipe="float32"):
    with pytest.raises(Verdict):
        Exporter(trained.load(run), LOOSE).export(BY_NAME[recipe])
    found = read_json(run / f"export/{recipe}.refused.json")
    return found, {line.split(" is ")[0] for line in found["reasons"]}


def test_weights_that_training_did_not_write(run):
    """Every weight 5 % larger; agreement with Keras, which has them too, would be perfect."""
    model, *_ = load_run(run)
    model.set_weights([1.05 * weight for weight in model.get_weights()])
    save_weights(model, run / "best.weights.h5")
    with pytest.raises(Refusal, match=r"best\.weights\.h5 is not the file that training wrote"):
        export_run(run, choices=LOOSE)


def test_the_last_weights_in_the_place_of_the_best(run):
    shutil.copy(run / "last.weights.h5", run / "best.weights.h5")
    with pytest.raises(Refusal, match=r"best\.weights\.h5 is not the file that training wrote"):
        export_run(run, choices=LOOSE)


def test_weights_of_another_mioU_than_the_manifest_says(run):
    manifest = read_json(run / "manifest.json")
    write_json(run / "manifest.json", manifest | {"best": manifest["best"] | {"miou": 0.5}})
    assert "miou_difference" in reasons(run)[1]


def test_validation_images_exchanged_for_training_images(run):
    for kind in ("images", "masks"):
        shutil.rmtree(f"shapes/val/{kind}")
        shutil.copytree(f"shapes/train/{kind}", f"shapes/val/{kind}")
    line = "shapes has changed since .*: images of val were added: 6 before, 16 now"
    with pytest.raises(Refusal, match=line):
        export_run(run, choices=LOOSE)


def test_mirrored_masks(run):
    for path in sorted(os.listdir("shapes/val/masks"))[:2]:
        path = f"shapes/val/masks/{path}"
        write_image(path, read_image(path)[:, ::-1, 0].copy())
    with pytest.raises(Refusal, match="2 masks of val were edited"):
        export_run(run, choices=LOOSE)


def test_void_added(run):
    colours = read_json(run / "manifest.json")["dataset"]["colours"]
    write_names(run.parent / "shapes", CLASSES, colours, void=3)
    with pytest.raises(Refusal, match="void is 3 now, 255 before"):
        export_run(run, choices=LOOSE)


@pytest.mark.slow
def test_one_flat_grey_image(run):
    """The mask holds one class, so that nothing can be told of the others."""
    for kind in ("images", "masks"):
        for name in sorted(os.listdir(f"shapes/val/{kind}"))[1:]:
            os.remove(f"shapes/val/{kind}/{name}")
    (name,) = os.listdir("shapes/val/images")
    write_image(f"shapes/val/images/{name}", np.full((64, 64, 3), 128, np.uint8))
    write_image(f"shapes/val/masks/{name}", np.zeros((64, 64), np.uint8))
    accept_data(run)
    found, _ = reasons(run)
    why = "minority is missing, not measured, because the masks of val hold a single class: "
    assert any(line.startswith(why) for line in found["reasons"])
    assert "the figures are of only 1 image of val" in found["remarks"]
    assert any("nothing is known about them: disc, box, star" in r for r in found["remarks"])


@pytest.mark.slow
def test_a_class_that_validation_lacks_is_told(run):
    for name in os.listdir("shapes/val/masks"):
        mask = read_image(f"shapes/val/masks/{name}")[..., 0].copy()
        mask[mask == 3] = 0
        write_image(f"shapes/val/masks/{name}", mask)
    accept_data(run)
    change_best(run, lambda *_: None)
    report = Exporter(trained.load(run), LOOSE).export(BY_NAME["float32"])
    told = "not in the masks of val, so that nothing is known about it: star"
    assert told in report["remarks"] and report["iou_keras"]["star"] is None
    assert told in (run / "export/float32/README.md").read_text()


def test_a_model_of_one_class(run):
    def one(model, images, masks):
        kernel, bias = model.layers[-1].get_weights()
        bias[0] += 1e3
        model.layers[-1].set_weights([kernel, bias])

    change_best(run, one)
    found, broken = reasons(run)
    assert {"minority", "mistakes_seen"} <= broken and found["minority"] == 0
    assert any("is no better than that of the most frequent class" in r for r in found["remarks"])


@pytest.mark.slow
def test_an_unfinished_run_is_told_before_its_export_and_in_the_kit(run, capsys):
    manifest = read_json(run / "manifest.json")
    write_json(run / "plan.json", read_json(run / "plan.json") | {"epochs": 5})
    assert manifest["epochs_done"] == 1
    reports, _ = export_run(run, choices=LOOSE)
    line = "the run is unfinished: 1 of 5 epochs are trained"
    assert capsys.readouterr().err.startswith(f"note: {line}\nfloat32 ...")
    assert line in reports["float32"]["remarks"]
    assert f"- {line}" in (run / "export/float32/README.md").read_text()


@pytest.mark.slow
def test_a_test_split_judges(run):
    """Its three images are those of training, on which the model is better than on val."""
    for kind in ("images", "masks"):
        for name in sorted(os.listdir(f"shapes/train/{kind}"))[:3]:
            os.makedirs(f"shapes/test/{kind}", exist_ok=True)
            shutil.copy(f"shapes/train/{kind}/{name}", f"shapes/test/{kind}/{name}")
    report = Exporter(trained.load(run), LOOSE).export(BY_NAME["float32"])
    assert (report["judged_on"], report["judged_images"]) == ("test", 3)
    told = [line for line in report["remarks"] if not line.startswith("images resized by the rule")]
    assert told == ["the figures are of only 3 images of test"]
    assert report["miou_difference"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 5])
def test_an_overflow_of_float16_on_one_image(run, at, monkeypatch):
    """It is looked for on every judged image, not on the few on which layers are compared."""
    monkeypatch.setattr(trained, "LOOKED_AT", 1)
    right = measure.to_input
    paths = sorted(os.listdir("shapes/val/images"))
    bright = read_image(f"shapes/val/images/{paths[at]}")

    def wrong(image, size):
        found = right(image, size)
        return found * np.float32(1e6) if np.array_equal(image, bright) else found

    monkeypatch.setattr(measure, "to_input", wrong)
    found, broken = reasons(run, "float16")
    assert "largest_activation" in broken and found["largest_activation_images"] == 6


def bgr(batch):
    return batch[..., ::-1]


def black(batch):
    batch[:, 1:] = -1.0
    return batch


def augmented(batch):
    batch[:, 1:] = batch[:, 1:, ::-1]
    return batch


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["int8", "int8-full"])
@pytest.mark.parametrize("change", [bgr, black, augmented])
def test_calibration_images_that_an_app_would_not_feed(change, recipe, run, monkeypatch):
    right = trained.calibration.inputs
    monkeypatch.setattr(trained.calibration, "inputs", lambda *args: change(right(*args)))
    fresh = trained.load(run)
    with pytest.raises(Verdict, match="calibration_error is"):
        Exporter(fresh, LOOSE).export(BY_NAME[recipe])
