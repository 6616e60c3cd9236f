"""The drawings of the report page: masks, differences and plots."""

import base64
import shutil

import cv2
import numpy as np
import pytest
from report_run import make_run, page, refuse, release, text

from data.drawing import uri
from data.layout import VOID
from export.report import plot, report, shown


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def decode(address):
    raw = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)


def near(pixel, colour):
    return np.abs(pixel - colour).max() <= 12  # JPEG


def test_differences_are_painted():
    image = np.full((64, 64, 3), 120, np.uint8)
    truth = np.zeros((64, 64), np.uint8)
    truth[32:, 32:] = VOID
    keras, recipe = np.zeros_like(truth), np.zeros_like(truth)
    keras[32:] = 1  # half of it where the ground truth is void
    recipe[32:, :32] = 1  # as Keras except for the lower right quarter
    rows = shown.rows([(image, truth)], {"Keras": [keras], "int8": [recipe]}, [[0] * 3, [200] * 3])
    assert [row["name"] for row in rows] == ["ground truth", "Keras", "int8"]
    by_keras, by_recipe = rows[1]["cells"][0], rows[2]["cells"][0]
    assert by_keras["fraction"] == by_recipe["fraction"] == 0.25
    mask, wrong = map(decode, by_keras["uris"])
    assert near(mask[16, 16], 120) and near(mask[48, 16], 160)  # half image, half colour
    assert near(wrong[48, 16], shown.DIFFERENT) and near(wrong[48, 48], 60)
    differs = decode(by_recipe["uris"][1])
    assert near(differs[48, 48], shown.DIFFERENT) and near(differs[48, 16], 60)


def test_the_colour_of_a_drop_has_a_fixed_scale():
    """Full from one point of IoU on, whatever the largest drop of the page is."""
    drops = (0.0, 0.0004, -0.0025, 0.01, 0.3)
    assert [report.strength(drop) for drop in drops] == [0.0, 0.04, 0.25, 1.0, 1.0]


def test_images_are_downscaled():
    assert decode(uri(np.zeros((300, 560, 3), np.uint8), 280)).shape == (150, 280, 3)
    assert decode(uri(np.zeros((30, 50, 3), np.uint8), 280)).shape == (30, 50, 3)


def test_images_of_a_run(finished, tmp_path):
    from export.graph.convert import to_tflite
    from export.graph.deploy import deploy, lowering
    from segnet.presets import preset
    from segnet.run import load_run

    folder = shutil.copytree(finished / "run", tmp_path / "run")
    model, plan, _ = load_run(folder)
    graph = deploy(model, preset("tiny"), plan.size, 4, lowering("signs+depth_to_space"))
    kit = release(folder, "float32", weights=(folder / "best.weights.h5").read_bytes())
    (kit / "model.tflite").write_bytes(to_tflite(graph))
    found = page(folder)
    # Ground truth, Keras and float32, each with two drawings of four images.
    assert found.count("data:image/jpeg") == 24
    count = len(list((finished / "shapes/val/images").iterdir()))
    assert f"{count} images of the validation set" in text(found) or count > 4
    assert text(found).count("0.00 % differ") >= 4  # float32 predicts what Keras predicts
    assert "No images" not in found
    (kit / "model.tflite").unlink()
    assert "No images: " in page(folder)


def test_plot(run):
    """Sizes in MB and mIoU in %, the best first; refused recipes as diamonds; Keras dashed."""
    release(run, "float32", miou_tflite=0.7, size_bytes=12_000_000)
    release(run, "int8")
    release(run, "qat8", size_bytes=None)
    refuse(run, "sparse", miou_tflite=0.65, size_bytes=6_000_000)
    figure = plot.plot(report.entries(run / "export"), "size_bytes", 1e-6, "size, MB")
    (axes,) = figure.axes
    *dots, keras = axes.lines
    found = [
        (dot.get_label(), dot.get_marker(), *(float(at[0]) for at in dot.get_data()))
        for dot in dots
    ]
    assert found == [
        ("float32", "o", 12, pytest.approx(70)),
        ("int8", "o", pytest.approx(3.25552), pytest.approx(69.344)),
        ("sparse", "D", 6, pytest.approx(65)),
    ]
    assert list(keras.get_ydata()) == [70, 70] and keras.get_linestyle() == "--"
    assert axes.get_xlabel() == "size, MB" and axes.get_xlim()[0] == 0
