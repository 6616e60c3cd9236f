"""Kits whose network gives probabilities or classes: self-tests, masks and what is left out."""

import shutil

import numpy as np
import pytest
from ended_kits import (
    CASES,
    IDS,
    OF_CLASSES,
    SIZES,
    compare_masks,
    contract_of,
    ended,
    given,
    javascript,
)
from kits import PHOTO, SIZE, scene
from test_phone import module_of
from test_phone import python as segment
from test_phone_platforms import needs_node

from data.images import read_image
from export.kit.render import LEFT_OUT, rendered
from export.proof.outputs import enlarged
from export.tflite.runtime import Runtime

__all__ = ["ended"]  # a fixture


@pytest.mark.parametrize(("kind", "output"), CASES)
def test_only_what_the_kit_needs(kind, output):
    texts = rendered(contract_of(kind, output))
    code = {name: text for name, text in texts.items() if name != "README.md"}
    for name, text in texts.items():
        assert "{{" not in text and "{%" not in text and "\n\n\n\n" not in text, name
        assert name.endswith(".md") or max(map(len, text.splitlines())) <= 112, name
    unwanted = ["logits", "Logits", "LOGIT_STEP", "logitStep"]
    if output.startswith("classes"):
        assert not {name + ".j2" for name in texts} & LEFT_OUT
        unwanted += ["Smooth", "smooth", "matte", "toAlpha", "MediaPipe", "TOLERANCE", "tolerance"]
        assert (
            "MediaPipe's ImageSegmenter accepts such a file, but its masks are meaning"
            in (texts["README.md"])
        )
    else:
        assert {name + ".j2" for name in texts} > LEFT_OUT
        assert "Do not apply softmax again" in texts["README.md"]
    for name, text in code.items():
        for word in unwanted:
            allowed = word in ("smooth", "Smooth") and "imageSmoothing" in text
            assert word not in text or allowed, (name, word)
    for word in ("Live(segmenter::infer, hold", "live.matte", "Smooth the mask over"):
        assert (word in texts["README.md"]) != output.startswith("classes")


def test_python(ended, tmp_path):
    kit, output = ended
    end = segment(kit, "--self-test")
    right = "100.00 % of the output's classes" if output.startswith("classes") else "differences of"
    assert end.returncode == 0 and end.stdout.startswith(f"self-test passed: {right}"), end.stderr
    end = segment(kit, kit / "golden/photo.png", tmp_path / "mask.png")
    assert end.returncode == 0, end.stderr
    found, wanted = (read_image(path) for path in (tmp_path / "mask.png",
                                                   kit / "golden/photo_mask.png"))  # fmt: skip
    assert found.shape[:2] == PHOTO and np.array_equal(found, wanted)
    broken = shutil.copytree(kit, tmp_path / "broken")
    wrong = np.fromfile(kit / "golden/output.bin", np.uint8)[::-1]
    wrong.tofile(broken / "golden/output.bin")
    end = segment(broken, "--self-test")
    assert end.returncode == 1 and end.stdout == ""
    assert "golden/output.bin" in end.stderr and "inference 1" in end.stderr


def test_python_frames(ended):
    """Twice the same frame; smoothing, where there is any, keeps the mask of a still scene."""
    kit, output = ended
    module = module_of(kit)
    frame = scene(SIZE, 4)
    runtime = Runtime((kit / "model.tflite").read_bytes())
    wanted = runtime.run(module.to_tensor(frame))[0]
    wanted = wanted if output.startswith("classes") else wanted.argmax(-1)
    assert np.array_equal(module.Segmenter().frame(frame), wanted)
    if not output.startswith("classes"):
        steady = module.Segmenter(hold=1)
        assert all(np.array_equal(steady.frame(frame), wanted) for _ in range(2))
        # A class that was there before needs odds of e to 1 to be replaced.
        smooth = module.SmoothProbabilities(1, module.BYTE_STEP)
        odds = np.zeros((*SIZE, 3), np.float32)
        odds[:, :40] = 0.27, 0.73, 0
        odds[:, 40:] = 0.25, 0.75, 0
        still = module.to_tensor(frame)
        for _ in range(2):
            found = odds.copy()
            smooth.add(found, still, np.zeros(SIZE, np.uint8))
        assert (found[:, :40].argmax(-1) == 0).all() and (found[:, 40:].argmax(-1) == 1).all()
        assert np.abs(found[0, 0] - np.float32([0.27 * np.e, 0.73, 0])).max() < 1e-5


@pytest.mark.parametrize("ended", OF_CLASSES, indirect=True, ids="-".join)
def test_python_masks(ended):
    """At sizes by turns; what a frame returned stays as it was."""
    kit, _ = ended
    module = module_of(kit)
    masker = module.Masker()
    for size in (*SIZES, *SIZES):
        found = np.empty(size, np.uint8)
        assert masker.mask(IDS, found) is found
        assert np.array_equal(found, enlarged(IDS, size))
    segmenter = module.Segmenter()
    ids = segmenter.frame(scene(SIZE, 4))
    before = ids.copy()
    assert not np.array_equal(segmenter.mask(scene(SIZE, 5)), before)
    assert np.array_equal(ids, before)


@needs_node
def test_javascript(ended, tmp_path):
    kit, output = ended
    end = javascript(kit, tmp_path, output)
    assert end.returncode == 0, end.stderr
    assert end.stdout == "Segmenter wasm passed its self-test\n"
    if output.startswith("classes"):
        compare_masks(tmp_path)
        return
    alpha = np.fromfile(tmp_path / "alpha", np.uint8).reshape(SIZE)
    assert np.abs(alpha - 255.0 * given()[..., 1]).max() <= 0.501
    smooth = np.fromfile(tmp_path / "smooth", np.float32).reshape(*SIZE, -1)
    assert smooth == pytest.approx(given() * [1, np.e, 1], rel=1e-6)


@needs_node
def test_javascript_sees_another_output(ended, tmp_path):
    kit, output = ended
    broken = shutil.copytree(kit, tmp_path / "broken")
    np.fromfile(kit / "golden/output.bin", np.uint8)[::-1].tofile(broken / "golden/output.bin")
    end = javascript(broken, tmp_path, output)
    assert end.returncode != 0 and "golden/output.bin" in end.stderr and "inference 1" in end.stderr
