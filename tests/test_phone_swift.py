"""The kit's Swift: compiled as Swift 6 with stubs of Apple's frameworks, and run."""

import json
import os
import subprocess

import cv2
import numpy as np
import pytest
from kit_mistakes import LIMITS, near_the_limit, sabotaged, sabotages
from kits import KINDS, LABELS, PHOTO, ROOT, SIZE, compare_cases, kit, scene, write_cases
from test_web_live import logits

__all__ = ["kit"]  # a fixture
pytestmark = pytest.mark.clients
CLIENT = ROOT / "tests" / "clients" / "swift"
MADE = ROOT / ".clients" / "swift" / "done"
only_float32 = pytest.mark.parametrize("kit", ["float32"], indirect=True)


def shell(script, *args, **variables):
    command = ["sh", CLIENT / script, *args]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The compiled stubs of Apple's frameworks and of TensorFlow Lite."""
    if not MADE.exists():
        pytest.skip("make .clients/swift/done, which needs apt-get and Debian's archive keys")
    if shell("swift.sh", "swiftc", "--version").returncode:
        pytest.skip("unshare --mount cannot make a namespace here")
    out = tmp_path_factory.mktemp("stubs")
    end = shell("build.sh", out)
    assert end.returncode == 0, end.stderr
    return out


@pytest.fixture(scope="module")
def app(stubs, kit, tmp_path_factory):
    """A folder with the compiled Swift code of a kit, Check.swift and the files of the kit."""
    return compiled(stubs, kit, tmp_path_factory.mktemp("app"))


def compiled(stubs, kit, out):
    end = shell("build.sh", out, stubs, kit)
    assert end.returncode == 0, end.stderr
    return with_files(kit, out)


def with_files(kit, out, program=None):
    for name in ("golden", "model.tflite"):
        (out / name).symlink_to(kit / name)
    if program:
        os.link(program / "check", out / "check")
    return out


def check(app, kit, *args, processors="right", **variables):
    """processors: what the GPU and Core ML are there: right, missing, wrong or the CPU.

    variables: FAULT, of the CPU or, if the processors are wrong, of these.
    """
    variables |= {"RECORDED": str(kit / "recorded"), "PROCESSORS": processors}
    return shell("swift.sh", app / "check", *args, **variables)


@pytest.mark.parametrize("processor", ["CPU", "GPU", "Core ML"])
def test_swift(app, kit, tmp_path, processor):
    end = check(app, kit, "self-test", processor)
    assert end.returncode == 0, end.stdout + end.stderr
    passed = f"Segmenter {processor} passed its self-test"
    ran = [f"processor: {processor}", "fallback: none", "fault: none"]
    assert end.stdout.splitlines() == [passed, *ran]


FAULTS = (
    "frozen", "frozen after ten", "the one before", "swapped channels after ten",
    "noise after ten", "half of the classes", "no numbers after thirty", "upside down", "mirrored",
    "turned by half", "black from the second on", "drift",
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_swift_sees_a_broken_runtime(app, kit, fault):
    """A CPU with a fault is told and goes on; a GPU or Core ML with it is replaced by the CPU."""
    end = check(app, kit, "self-test", "CPU", FAULT=fault)
    assert end.returncode == 0, end.stdout + end.stderr
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    assert "inference" in found["fault"] and found["processor"] == "CPU"
    assert found["Segmenter CPU failed its self-test"] == found["fault"]
    end = check(app, kit, "self-test", "CPU", "stop", FAULT=fault)
    assert end.returncode == 1 and f"error: {found['fault']}" in end.stdout
    for processor in ("GPU", "Core ML"):
        end = check(app, kit, "self-test", processor, processors="wrong", FAULT=fault)
        assert end.returncode == 0, end.stdout + end.stderr
        found = dict(line.split(": ", 1) for line in end.stdout.splitlines() if ": " in line)
        assert (found["processor"], found["fault"]) == ("CPU", "none")
        assert found["fallback"].startswith(f"{processor}: the output ")
        assert "inference" in found["fallback"]


def test_swift_arithmetic(app, kit, tmp_path):
    write_cases(tmp_path / "cases")
    end = check(app, kit, "cases", tmp_path / "cases")
    assert end.returncode == 0, end.stderr
    assert end.stdout.splitlines() == LABELS
    compare_cases(tmp_path / "cases")


@only_float32
@pytest.mark.parametrize("processor", ["GPU", "Core ML"])
@pytest.mark.parametrize("processors", ["missing", "the CPU"])
def test_swift_falls_back(app, kit, processor, processors):
    end = check(app, kit, "self-test", processor, processors=processors)
    assert end.returncode == 0, end.stdout + end.stderr
    missing = {"GPU": "failedToCreateInterpreter", "Core ML": "this phone has no Neural Engine"}
    why = {"missing": missing[processor], "the CPU": "its output is bit-equal to that of the CPU"}
    *_, ran, fallback, fault = end.stdout.splitlines()
    assert (ran, fault) == ("processor: CPU", "fault: none")
    assert fallback.startswith(f"fallback: {processor}: ") and why[processors] in fallback


@only_float32
def test_swift_compares_the_golden_output_of_a_gpu(app, kit, tmp_path):
    """Without the golden files a GPU is not used, which is said, and the CPU goes on."""
    (tmp_path / "model.tflite").symlink_to(kit / "model.tflite")
    os.link(app / "check", tmp_path / "check")
    end = check(tmp_path, kit, "self-test", "GPU")
    *_, ran, fallback, fault = end.stdout.splitlines()
    assert end.returncode == 0 and ran == "processor: CPU"
    assert fallback.startswith("fallback: GPU: golden/input.bin is not in the app")
    assert fault.startswith("fault: golden/image.png is not in the app")


@only_float32
@pytest.mark.parametrize(("path", "changes", "why"), sabotages("ios/Resize.swift"))
def test_swift_sees(stubs, app, kit, tmp_path, path, changes, why):
    folder, out = sabotaged(kit, tmp_path, path, changes), tmp_path / "app"
    out.mkdir()
    swift = path.endswith(".swift")
    out = compiled(stubs, folder, out) if swift else with_files(folder, out, app)
    end = check(out, folder, "self-test", "CPU", "stop")
    assert end.returncode == 1 and why in end.stdout


@only_float32
@pytest.mark.parametrize(("what", "units", "too_much"), LIMITS)
def test_swift_allows_what_the_contract_allows(app, kit, tmp_path, what, units, too_much):
    folder, out = near_the_limit(kit, tmp_path, what, units), tmp_path / "app"
    out.mkdir()
    end = check(with_files(folder, out, app), folder, "self-test", "CPU", "stop")
    assert (end.returncode != 0) == too_much, end.stdout


def test_swift_live(app, kit, tmp_path):
    """A frame of twice the model's size, of equal 2x2 pixels; then logits with known results."""
    contract = json.loads((kit / "contract.json").read_text())
    source, target = KINDS[contract["recipe"]]
    small, values = scene(SIZE, 20), 3 * logits()
    frame = np.dstack([small[..., ::-1], np.full(SIZE, 5, np.uint8)]).repeat(2, 0).repeat(2, 1)
    frame.tofile(tmp_path / "frame.bgra")
    step = contract["output"]["scale"] if target == "uint8" else 1
    values = np.round(values / step).astype(np.float32) if target == "uint8" else values
    values[0, 0] = [-1e4, 1e4, 0]  # their exponentials are too large for float32
    values.tofile(tmp_path / "logits")
    end = check(app, kit, "live", tmp_path)
    assert end.returncode == 0, end.stdout + end.stderr
    read = np.fromfile(tmp_path / "tensor", source).reshape(*SIZE, 3)
    wanted = small / np.float32(127.5) - 1 if source == "float32" else small
    assert np.abs(read - wanted).max() < 1e-6
    golden = np.fromfile(kit / "golden" / "output.bin", target).reshape(*SIZE, len(LABELS))
    assert (ids(tmp_path / "frame.ids", SIZE) == golden.argmax(-1)).all()
    shown = ids(tmp_path / "ids", SIZE)
    assert (shown == values.argmax(-1)).all()
    # Premultiplied: a quarter of 255, 200, 10, 1, 2 and 255 is 63.75, 50, 2.5, 0.25, 0.5 and 63.75.
    colours = np.array([[0, 0, 0, 0], [50, 3, 0, 64], [0, 1, 64, 64]], np.uint8)
    assert (np.fromfile(tmp_path / "layer", np.uint8).reshape(*SIZE, 4) == colours[shown]).all()
    matte = np.fromfile(tmp_path / "matte", np.uint8).reshape(*SIZE, 4)
    shifted = step * (values.astype(np.float64) - values.max(-1, keepdims=True))
    alpha = 255 * np.exp(shifted[..., 1]) / np.exp(shifted).sum(-1)
    assert (matte == matte[..., :1]).all() and np.abs(matte[..., 0] - alpha).max() <= 0.501
    large = cv2.resize(values, PHOTO[::-1], interpolation=cv2.INTER_LINEAR).argmax(-1)
    assert (ids(tmp_path / "mask", PHOTO) == large).mean() >= 0.999
    assert end.stdout.splitlines()[-1] == "a frame has the pixel format 875704438 instead of 32BGRA"


def ids(path, size):
    return np.fromfile(path, np.uint8).reshape(size)
