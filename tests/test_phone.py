"""The code in the kit: every template, and self-tests that must fail when anything is wrong."""

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from functools import partial

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType
from kit_mistakes import LIMITS, near_the_limit, sabotaged, sabotages
from kits import KINDS, LABELS, PHOTO, SIZE, allowed, contract, kit, model, resized, scene

from data.images import write_image
from export.kit.code import FILES, unquoted
from export.kit.render import TEMPLATES, javascript, kotlin, markdown, render, swift
from export.kit.render import python as python_literal
from export.tflite.metadata import read_metadata
from export.tflite.runtime import Runtime

__all__ = ["kit"]  # a fixture


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_is_filled(tmp_path, kind):
    written = render(tmp_path, contract(kind))
    templates = {path.relative_to(TEMPLATES) for path in TEMPLATES.rglob("*.j2")}
    names = {path.relative_to(tmp_path) for path in written}
    assert names == {name.with_suffix("") for name in templates}
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert "{{" not in text and "{%" not in text and "{#" not in text, path
        assert path.suffix == ".md" or max(map(len, text.splitlines())) <= 100, path
        assert text.endswith("\n") and "\n\n\n\n" not in text, path
    kotlin = (tmp_path / FILES[0]).read_text(encoding="utf-8")
    assert "WIDTH = 96" in kotlin and "HEIGHT = 64" in kotlin and "CLASSES = 3" in kotlin


def test_a_missing_key_is_an_error(tmp_path):
    from jinja2 import UndefinedError

    less = contract("float32")
    del less["preset"]
    with pytest.raises(UndefinedError, match="preset"):
        render(tmp_path, less)


def test_labels_in_every_language(tmp_path):
    render(tmp_path, contract("float32"))
    python = (tmp_path / "python" / "segment.py").read_text(encoding="utf-8")
    assert ast.literal_eval(python.split("LABELS = ")[1].split("\n\n")[0]) == LABELS
    # By hand, from the languages' grammars: $ starts an interpolation in Kotlin, \( in Swift.
    kotlin = (tmp_path / FILES[0]).read_text(encoding="utf-8")
    assert '"a \\"b\\" \\$c \\\\n"' in kotlin and '"Höhe | 天 `q`"' in kotlin
    swift = (tmp_path / "ios" / "Contract.swift").read_text(encoding="utf-8")
    assert '"a \\"b\\" $c \\\\n"' in swift
    assert "Höhe \\| 天 \\`q\\`" in (tmp_path / "README.md").read_text(encoding="utf-8")


# Marks of the direction of writing, a joiner, line ends of Unicode, spaces, a tag beyond U+FFFF.
UNSEEN = "a\t\x7f\x85\u00a0\u200b\u200f\u202e\u2028\u2029\u2066\u3000\ufeff\U000e0041b"


def test_what_is_not_seen_is_escaped():
    """By hand, from the languages' grammars; Kotlin and JavaScript count in UTF-16."""
    tag = "\U000e0041"
    assert markdown(f"\u202e{tag}") == "U+202EU+E0041"
    assert kotlin(f"\t$\u202e{tag}") == '"\\u0009\\$\\u202e\\udb40\\udc41"'
    assert javascript(f"\u202e{tag}") == '"\\u202e\\udb40\\udc41"'
    assert swift(f"\t$\u202e{tag}") == '"\\u{9}$\\u{202e}\\u{e0041}"'
    assert ast.literal_eval(python_literal(UNSEEN)) == UNSEEN
    assert json.loads(javascript(UNSEEN)) == UNSEEN  # JSON's escapes are JavaScript's
    for write in (kotlin, javascript, swift, python_literal):
        assert write(UNSEEN).isprintable() and unquoted(write(UNSEEN)) == UNSEEN
        assert write("Höhe 天 🦊") == '"Höhe 天 🦊"'


def test_labels_with_the_line_ends_of_unicode():
    labels = ["a\u2028b", "c\x85d\x0c", "e\u202ef"]
    assert read_metadata(model("float32", labels=labels))["labels"] == labels


def python(folder, *args):
    command = [sys.executable, str(folder / "python" / "segment.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def test_python(kit, tmp_path):
    end = python(kit, "--self-test")
    passed = (
        r"self-test passed: differences of up to 0\.\d{3} of the limit with XNNPACK's kernels\n"
    )
    assert end.returncode == 0 and re.fullmatch(passed, end.stdout), end.stderr
    end = python(kit, kit / "golden" / "photo.png", tmp_path / "mask.png")
    assert end.returncode == 0 and end.stdout.startswith("background: ")
    masks = [tmp_path / "mask.png", kit / "golden" / "photo_mask.png"]
    found, wanted = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks)
    assert found.shape == PHOTO and (found == wanted).mean() >= 0.995
    end = python(kit, tmp_path / "nothing.jpg", tmp_path / "mask.png")
    assert end.returncode == 1 and end.stderr.endswith("nothing.jpg cannot be read\n")


def module_of(folder):
    spec = importlib.util.spec_from_file_location("segment", folder / "python" / "segment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [(900, 1300), PHOTO, (30, 500), SIZE])
def test_python_frames(kit, size):
    """Bilinearly to SIZE or twice that, then by the rule; the argmax at the network's size."""
    segmenter, frames = module_of(kit).Segmenter(), [scene(size, seed) for seed in (1, 2)]
    masks = [segmenter.frame(frame) for frame in frames]
    assert masks[0] is masks[1] and masks[0].dtype == np.uint8
    near = {(900, 1300): (192, 128), PHOTO: (96, 128), (30, 500): (192, 30), SIZE: SIZE[::-1]}[size]
    small = resized(cv2.resize(frames[1], near, interpolation=cv2.INTER_LINEAR), SIZE)[None]
    runtime = Runtime((kit / "model.tflite").read_bytes())
    if runtime.input["dtype"] == np.float32:
        small = small.astype(np.float32) / np.float32(127.5) - np.float32(1)
    wanted = runtime.run(small)[0].argmax(-1)
    assert len(np.unique(wanted)) > 1
    assert (masks[1] == wanted).mean() > 0.999


def test_python_colours_by_hand(kit):
    colours = module_of(kit).colours
    layer = colours(np.array([[0, 1, 2]], np.uint8), opacity=0.2)
    wanted = [[[0, 0, 0, 0], [200, 10, 0, 51], [1, 2, 255, 51]]]
    assert layer.dtype == np.uint8 and layer.tolist() == wanted
    assert np.shares_memory(colours(np.array([[2, 2, 0]], np.uint8), 1.0, layer), layer)
    assert layer.tolist() == [[[1, 2, 255, 255], [1, 2, 255, 255], [0, 0, 0, 0]]]


@pytest.mark.parametrize(("path", "changes", "why"), sabotages("python/segment.py"))
def test_python_sees(kit, tmp_path, path, changes, why):
    end = python(sabotaged(kit, tmp_path, path, changes), "--self-test")
    assert end.returncode == 1 and why in end.stderr and end.stdout == ""


def test_python_sees_a_shifted_mask(kit, tmp_path):
    folder = shutil.copytree(kit, tmp_path / "kit")
    mask = cv2.imread(str(folder / "golden" / "photo_mask.png"), cv2.IMREAD_UNCHANGED)
    write_image(folder / "golden" / "photo_mask.png", np.roll(mask, 3, 1))
    end = python(folder, "--self-test")
    assert end.returncode == 1 and "of the mask of photo.png match" in end.stderr


def half_of_the_classes(logits):
    return np.where(np.arange(logits.shape[-1]) < logits.shape[-1] / 2, logits, logits.min())


# From (the outputs so far, of which the last is right) to the output of a broken runtime.
RUNTIME_FAULTS = {
    "frozen": lambda outputs: outputs[0],
    "frozen after ten": lambda outputs: outputs[:10][-1],
    "the one before": lambda outputs: outputs[-2:][0],
    "swapped channels after ten": lambda o: o[-1] if len(o) <= 10 else o[-1][..., ::-1],
    "noise after ten": lambda o: o[-1] if len(o) <= 10 else np.random.default_rng(0).permutation(
        o[-1].ravel()).reshape(o[-1].shape),
    "half of the classes": lambda outputs: half_of_the_classes(outputs[-1]),
    "NaN after thirty": lambda o: o[-1] if len(o) <= 30 else np.full(o[-1].shape, np.nan),
    "upside down": lambda outputs: outputs[-1][::-1],
    "mirrored": lambda outputs: outputs[-1][:, ::-1],
    "turned by half": lambda outputs: outputs[-1][::-1, ::-1],
    "drift": lambda outputs: outputs[-1] * 1.02 ** len(outputs),
    "black from the second on": lambda o: o[-1] if len(o) == 1 else np.zeros_like(o[-1]),
}  # fmt: skip


@pytest.mark.parametrize("fault", RUNTIME_FAULTS)
def test_python_sees_a_broken_runtime(kit, fault, capfd):
    module = module_of(kit)
    segmenter, outputs = module.Segmenter(), []
    sound = segmenter.infer

    def broken(tensor):
        outputs.append(sound(tensor).copy())
        return RUNTIME_FAULTS[fault](outputs)

    assert module.self_test(segmenter) is None
    segmenter.infer = broken
    capfd.readouterr()
    found = module.self_test(segmenter)  # the program is told and goes on
    assert re.search(r"output.*inference \d", found)
    assert capfd.readouterr().err == f"self-test failed: {found}\n"
    outputs.clear()
    with pytest.raises(module.Fault, match=r"output.*inference \d"):
        module.self_test(segmenter, stop=True)


def test_python_without_xnnpack(kit, tmp_path, capsys, monkeypatch):
    """The runtime's own kernels have a limit of their own."""
    folder = shutil.copytree(kit, tmp_path / "kit")
    made = json.loads((kit / "contract.json").read_text())
    made["golden"] |= {"xnnpack": allowed(0.0, 1.0), "reference": allowed(200.0, 0.1)}
    render(folder, made)
    module = module_of(folder)
    assert not module.Segmenter().is_reference()
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    reference = partial(module.Interpreter, experimental_op_resolver_type=kernels)
    monkeypatch.setattr(module, "Interpreter", reference)
    segmenter = module.Segmenter()
    assert segmenter.is_reference() and module.self_test(segmenter) is None
    assert capsys.readouterr().out.endswith("of the limit with the runtime's own kernels\n")


@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(("what", "units", "too_much"), LIMITS)
def test_python_allows_what_the_contract_allows(kit, tmp_path, what, units, too_much):
    end = python(near_the_limit(kit, tmp_path, what, units), "--self-test")
    assert end.returncode == too_much, end.stderr
