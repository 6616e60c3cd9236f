"""What is said of a file that the gate lets through, on reports by hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from export.proof.remarks import remarks, run_remarks
from segnet import run as run_module

QUIET = {
    "recipe": "float32", "judged_on": "test", "judged_images": 20, "keep_float": [],
    "iou_keras": {"a": 0.9, "b": 0.8}, "confusion": [[6, 0], [1, 3]], "miou_keras": 0.85,
    "mistakes": {"channel order": 0.001, "range": 0.5, "resize rule": 0.5, "label order": 0.0},
    "miou_by_resize": {"area": 0.85, "bilinear antialiased": 0.8481, "nearest": 0.1},
    "resize_images": 20,
}  # fmt: skip


def said(**changes):
    return remarks(None, {**QUIET, **changes})


def test_nothing_to_say():
    assert said() == said(judged_images=100) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"judged_on": "val"},
         "the figures are of the validation images, which also chose the epoch; images in test/ "
         "would judge alone"),
        ({"judged_on": "val", "recipe": "qat8", "keep_float": ["conv1"]},
         "the figures are of the validation images, which also chose the epoch and the fine-tuned "
         "epoch and the layers kept in float; images in test/ would judge alone"),
        ({"judged_images": 19}, "the figures are of only 19 images of test"),
        ({"judged_images": 2}, "the figures are of only 2 images of test"),
        ({"judged_images": 1}, "the figures are of only 1 image of test"),
        ({"iou_keras": {"a": None, "b": 0.8}},
         "not in the masks of test, so that nothing is known about it: a"),
        ({"iou_keras": {"a": None, "b": 0.8, "c": None}},
         "not in the masks of test, so that nothing is known about them: a, c"),
        # Of 6 and 4 pixels, class a everywhere has IoU 0.6 and 0.
        ({"miou_keras": 0.3},
         "the mIoU of the trained model, 0.3000, is no better than that of the most frequent class "
         "everywhere, 0.3000"),
        ({"miou_keras": 0.2},
         "the mIoU of the trained model, 0.2000, is no better than that of the most frequent class "
         "everywhere, 0.3000"),
        ({"mistakes": {"channel order": 0.0009, "range": 0.5}},
         "a wrong channel order changes 0.09% of the golden photo's pixels: the self-tests compare "
         "its tensors, but the masks do not show it"),
        ({"miou_by_resize": {"area": 0.85, "lanczos": 0.84795, "nearest": 0.9}},
         "images resized by the rule lanczos (iOS: vImageScale) cost 0.20 points of mIoU against "
         "area, on 20 images of test; apps that resize as the kit's own code does, by area, lose "
         "0.00"),
        ({"miou_by_resize": {"area": 0.85, "bilinear antialiased": 0.84, "bilinear": 0.8512}},
         "images resized by the rule bilinear antialiased (canvas with imageSmoothingQuality "
         "medium or high) cost 1.12 points of mIoU against bilinear, on 20 images of test; apps "
         "that resize as the kit's own code does, by area, lose 0.12"),
        ({"miou_by_resize": {"area": 0.84, "bilinear": 0.85}},
         "images resized by the rule area (a kit's exact path) cost 1.00 points of mIoU against "
         "bilinear, on 20 images of test"),
        ({"miou_by_resize": None, "not_measured": {"miou_by_resize": "it did not run"}},
         "mIoU by rule of resizing: not measured, because it did not run"),
        ({"miou_by_resize": None},
         "mIoU by rule of resizing: not measured, because nothing measured it"),
        ({"mistakes": {"resize rule": 0.0, "label order": 0.0}},
         "a wrong resize rule changes 0.00% of the golden photo's pixels: the self-tests compare "
         "its tensors, but the masks do not show it"),
    ],
)  # fmt: skip
def test_remarks(changes, line):
    assert said(**changes) == [line]


@pytest.mark.parametrize("recipe", ["qat8", "sparse", "sparse16", "clustered"])
def test_fine_tuning_chose_an_epoch_too(recipe):
    (line,) = said(judged_on="val", recipe=recipe)
    assert "chose the epoch and the fine-tuned epoch; " in line


def test_a_miou_just_above_that_of_one_class():
    assert said(miou_keras=0.3001) == []


@pytest.mark.parametrize(("done", "lines"), [
    (31, ["the run is unfinished: 31 of 60 epochs are trained"]), (60, [])
])  # fmt: skip
def test_unfinished_runs(monkeypatch, done, lines):
    monkeypatch.setattr(run_module, "epochs_done", {Path("run"): done}.__getitem__)
    trained = SimpleNamespace(folder=Path("run"), plan=SimpleNamespace(epochs=60))
    assert run_remarks(trained) == lines
