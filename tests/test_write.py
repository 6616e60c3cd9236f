"""A finished kit that does not pass its own checks is not kept, and the export is refused."""

import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from export import make
from export.kit import code, render, write
from export.make import Choices, export_run
from export.proof import measure

FIXED = Choices(max_drop=0.05)


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    return shutil.copytree(finished / "run", tmp_path_factory.mktemp("write") / "run")


@pytest.fixture(scope="module")
def arguments(run):
    """What an export passes to `write_kit` after the folder."""
    caught = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "write_kit", lambda out, *rest: caught.append(rest) or [])
        patch.setattr(make, "read_json", lambda _: {})
        patch.setattr(make, "write_report", lambda _: None)
        export_run(run, "float32", FIXED)
    return caught[0]


@pytest.fixture
def templates(tmp_path, monkeypatch):
    """A copy of the templates that the kit is made of in this test; its frames are not timed."""
    monkeypatch.setattr(write.frame, "figures", lambda kit: {})
    copied = shutil.copytree(render.TEMPLATES, tmp_path / "templates")
    monkeypatch.setattr(render, "TEMPLATES", copied)
    return copied


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def refused(arguments, tmp_path):
    """The faults; an older kit is still there, and nothing of the new one."""
    out = tmp_path / "kits" / "float32"
    out.mkdir(parents=True)
    faults = write.write_kit(out, *arguments)
    assert os.listdir(tmp_path / "kits") == ["float32"] and os.listdir(out) == []
    assert faults
    return "; ".join(faults)


def test_a_right_kit_is_kept(arguments, tmp_path):
    assert write.write_kit(tmp_path / "float32", *arguments) == []
    assert (tmp_path / "float32/python/segment.py").exists()


def test_a_kit_without_code(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "render", lambda folder, contract: [])
    assert "code: README.md cannot be read: No such file" in refused(arguments, tmp_path)


def test_no_templates(arguments, templates, tmp_path):
    shutil.rmtree(templates)
    assert f"{code.FILES[0]} cannot be read" in refused(arguments, tmp_path)


CONSTANTS = [
    ("for label in labels", "for label in labels[1:] + labels[:1]", "labels is ["),
    ("{{ sha256 }}", "{{ sha256[::-1] }}", "sha256 is "),
    ("= {{ width }}", "= {{ width + 1 }}", "width is 65 in "),
    ("{{ classes }}", "{{ classes + 1 }}", "classes is 5 in "),
    ("{{ golden.xnnpack.tolerance }}", "{{ 2 * golden.xnnpack.tolerance }}", "tolerance is "),
    ("{{ byte_step }}", "1.0", "byte_step is 1.0 in "),
]


def constants_of_files():
    """Every constant in a file that is fast to try, in all of them where there is time."""
    for at, constant in enumerate(CONSTANTS):
        for number, name in enumerate(code.FILES):
            fast = number == at % len(code.FILES)
            marks = () if fast else pytest.mark.slow
            yield pytest.param(name, *constant, marks=marks, id=f"{constant[0]}-{name}")


@pytest.mark.parametrize(("name", "old", "new", "why"), constants_of_files())
def test_a_wrong_constant_of_a_template(arguments, templates, tmp_path, name, old, new, why):
    if name.startswith("ios/"):
        old, new = (text.replace("golden.xnnpack", "older_allowed") for text in (old, new))
    change(templates / f"{name}.j2", old, new)
    message = refused(arguments, tmp_path)
    assert why in message and f" in {name}, but " in message


def test_wrong_code_of_a_template(arguments, templates, tmp_path):
    change(templates / "python/segment.py.j2", "cv2.LUT(rgb, ", "cv2.LUT(rgb[::-1], ")
    assert "self-test of python/segment.py: " in (message := refused(arguments, tmp_path))
    assert "values of image.png differ from golden/input.bin" in message


def test_python_code_that_does_not_run(arguments, templates, tmp_path):
    change(templates / "python/segment.py.j2", "import cv2", "import cv3")
    assert "No module named 'cv3'" in refused(arguments, tmp_path)


def test_the_golden_pair_of_another_model(arguments, tmp_path, monkeypatch):
    right = write.golden.write

    def other(folder, contract, content, photo):
        made = right(folder, contract, content, photo)
        outputs = np.fromfile(folder / "output.bin", "<f4")
        (outputs * np.float32(1.01)).tofile(folder / "output.bin")
        return made

    monkeypatch.setattr(write.golden, "write", other)
    assert "golden: the output differs from output.bin by " in refused(arguments, tmp_path)


@pytest.mark.slow
def test_an_export_with_a_wrong_template(run, templates, tmp_path, monkeypatch):
    """The self-test of the kit that the export made fails, so there is no kit."""
    monkeypatch.setattr(measure, "speed", lambda *_: {"latency_ms": 1.0})
    monkeypatch.setattr(make, "write_report", lambda _: None)
    change(templates / "python/segment.py.j2", "cv2.INTER_AREA", "cv2.INTER_NEAREST")
    reports, (refusal,) = export_run(run, "float32", FIXED)
    assert reports == {} and not (run / "export/float32").exists()
    assert "values of photo.png differ from golden/photo_input.bin" in refusal
