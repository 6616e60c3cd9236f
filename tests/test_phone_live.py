"""The kit's Kotlin for video: masks and colours by hand, what is used again, GPU or CPU."""

import json
import tomllib

import numpy as np
import pytest
from kits import KINDS, SIZE, contract, kit
from test_phone_platforms import classes, java, stubs
from test_web_live import COLOURS, logits, taps

from export.kit.render import rendered

__all__ = ["classes", "kit", "stubs"]  # fixtures


def by_rule(values, height, width):
    """The mask in float32: rows, then columns, the first of equal sums."""
    first, near, far = taps(SIZE[0], height)
    near, far = (weight[..., None].astype(np.float32) for weight in (near, far))
    rows = near * values[first] + far * values[first + 1]
    first, near, far = taps(SIZE[1], width)
    near, far = near.astype(np.float32), far.astype(np.float32)
    return (near * rows[:, first] + far * rows[:, first + 1]).argmax(-1)


@pytest.mark.clients
def test_frames_use_the_same_memory(stubs, kit, classes, tmp_path):
    """Two frames, the second one white; the model answers with two kinds of logits."""
    found = json.loads((kit / "contract.json").read_text())
    source, target = KINDS[found["recipe"]]
    for index, name in enumerate("abc", 1):
        values = np.round(40 * logits(index)) if target == "uint8" else 3 * logits(index)
        if name == "c":
            values[0, 0] = [-1e4, 1e4, 0]  # their exponentials are no numbers of 32 bits
            values[0, 1] = [1e4, -1e4, 0]
        values.astype(np.float32).tofile(tmp_path / name)
    rgba = (np.arange(4 * SIZE[0] * SIZE[1]) % 251).astype(np.uint8)
    rgba.tofile(tmp_path / "frame")
    end = java(stubs, kit, classes, "live", tmp_path)
    assert end.returncode == 0, end.stderr
    # By hand: 255 * 0.25 = 63.75, 0x40; colours 200, 10, 0 and 1, 2, 255
    assert end.stdout.split() == ["00000000", "40c80a00", "400102ff", "40c80a00"]
    answers = [np.fromfile(tmp_path / name, np.float32).reshape(*SIZE, -1) for name in "abc"]
    for index, values in enumerate(answers[:2], 1):
        mask = np.fromfile(tmp_path / f"mask{index}", np.uint8).reshape(SIZE)
        assert (mask == values.argmax(-1)).all()
    read = np.fromfile(tmp_path / "input1", source).reshape(*SIZE, 3)
    rgb = rgba.reshape(*SIZE, 4)[..., :3]
    assert np.abs(read - (rgb / 127.5 - 1 if source == "float32" else rgb)).max() < 1e-6
    white = 1 if source == "float32" else 255
    assert (np.fromfile(tmp_path / "input2", source) == white).all()
    layer = np.fromfile(tmp_path / "layer", np.uint8).reshape(*SIZE, 4)
    assert (layer[..., 2::-1] == np.array(COLOURS)[mask]).all()
    assert (layer[..., 3] == 255 * (mask > 0)).all()
    full = np.fromfile(tmp_path / "full", np.uint8).reshape(17, 29)
    assert (full == by_rule(answers[1], 17, 29)).all()
    step = found["output"]["scale"] if target == "uint8" else 1
    for name, values, id in (("matte", answers[1], 2), ("alpha", answers[2], 1)):
        shifted = step * (values.astype(np.float64) - values.max(-1, keepdims=True))
        wanted = 255 * np.exp(shifted[..., id]) / np.exp(shifted).sum(-1)
        alpha = np.fromfile(tmp_path / name, np.uint8).reshape(SIZE)
        assert np.abs(alpha - wanted).max() <= 0.501 and alpha.std() > 20
    assert alpha[0, :2].tolist() == [255, 0]


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize("levels", [None, 2])
def test_mask_by_the_rule(stubs, kit, classes, tmp_path, levels):
    """Patches of one class and their edges; with two levels there are ties."""
    sizes = [(301, 517), (20, 33), SIZE, (64, 1), (1, 500)]
    values = logits(levels=levels)
    for height, width in sizes:
        values.tofile(tmp_path / f"mask.{width}x{height}.logits")
    assert java(stubs, kit, classes, "cases", tmp_path).returncode == 0
    for height, width in sizes:
        found = np.fromfile(tmp_path / f"mask.{width}x{height}.logits.found", np.uint8)
        assert (found.reshape(height, width) == by_rule(values, height, width)).all()


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_a_picture_of_the_camera(stubs, kit, classes):
    """Red with class 1 on the left, blue on the right; bars above and below, both mirrored."""
    end = java(stubs, kit, classes, "picture")
    assert end.returncode == 0, end.stderr
    bar, class_1, blue = "00000000", "ffc80a00", "ff0000ff"
    assert [line.split() for line in end.stdout.splitlines()] == [
        [bar, class_1, blue, class_1, bar],
        [bar, blue, class_1, blue, bar],
    ]


@pytest.mark.clients
@pytest.mark.parametrize(
    ("gpu", "report"),
    [
        ("", ["GPU: ", " ms on the GPU, ", " ms on the CPU"]),
        ("slow", ["CPU: ", " ms on the GPU, ", " ms on the CPU"]),
        ("refuses", ["CPU: the GPU does not run this model: no GPU"]),
        ("wrong", ["CPU: the GPU is not proven: "]),
        ("cpu", ["CPU: the GPU is not proven: its output is bit-equal to that of the CPU"]),
    ],
)
def test_gpu_or_cpu(stubs, kit, classes, gpu, report):
    end = java(stubs, kit, classes, "fastest", kit, properties=[f"-Dgpu={gpu}"])
    assert end.returncode == 0, end.stderr
    lines = [line for line in end.stdout.splitlines() if line[:5] in ("GPU: ", "CPU: ")]
    assert len(lines) == 2 and lines[0].startswith(report[0])
    assert all(part in line for line in lines for part in report)


@pytest.mark.clients
@pytest.mark.parametrize(
    ("npu", "report"),
    [
        ("runs", ["NPU: ", " ms on the NPU, ", " ms on the CPU"]),
        ("slow", ["GPU: ", " ms on the NPU, ", " ms on the GPU, "]),
        ("wrong", ["GPU: the NPU is not proven: ", " ms on the GPU, "]),
        ("", ["GPU: the NPU is not proven: this phone has no NPU for which", " ms on the GPU"]),
    ],
)
@pytest.mark.parametrize("kit", ["float32", "int8"], indirect=True)
def test_npu_where_there_is_one(stubs, kit, classes, npu, report):
    """An NPU may give the CPU's bits; nothing of it is taken on trust but that it has run."""
    end = java(stubs, kit, classes, "fastest", kit, properties=[f"-Dnpu={npu}"])
    assert end.returncode == 0, end.stderr
    lines = [line for line in end.stdout.splitlines() if line[:5] in ("NPU: ", "GPU: ", "CPU: ")]
    assert len(lines) == 2 and lines[0].startswith(report[0])
    assert all(part in line for line in lines for part in report)


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_without_the_golden_photo_the_cpu_runs(stubs, kit, classes, tmp_path):
    (tmp_path / "model.tflite").write_bytes((kit / "model.tflite").read_bytes())
    end = java(stubs, kit, classes, "fastest", tmp_path)
    line = end.stdout.splitlines()[0]
    assert line.startswith("CPU: the GPU is not proven: golden/photo.png is not among the app's")


def allocated(stubs, kit, classes, frames):
    """Bytes that frames allocated, and by which the heap grew."""
    end = java(stubs, kit, classes, "memory", frames)
    assert end.returncode == 0, end.stderr
    return [int(word) for word in end.stdout.split()]


@pytest.mark.clients
def test_frames_allocate_nothing(stubs, kit, classes):
    """With matte and mask; the array of the smallest frame would be 24,576 bytes."""
    in_all, _ = allocated(stubs, kit, classes, 2000)
    assert in_all < 2000


@pytest.mark.slow
@pytest.mark.clients
def test_memory_stays_flat(stubs, kit, classes):
    """A hundredth of the smallest array a frame: the JVM itself may take a part at once."""
    in_all, growth = allocated(stubs, kit, classes, 10_000)
    assert in_all / 10_000 < 240 and growth < 1e6


@pytest.mark.parametrize("kind", KINDS)
def test_gradle_project(kind):
    """The catalogue defines what the scripts use, and its entries each other."""
    texts = rendered(contract(kind))
    catalogue = tomllib.loads(texts["android/gradle/libs.versions.toml"])
    scripts = texts["android/build.gradle.kts"] + texts["android/app/build.gradle.kts"]
    for name in catalogue["libraries"]:
        assert f"(libs.{name.replace('-', '.')})" in scripts
    for name in catalogue["plugins"]:
        assert scripts.count(f"alias(libs.plugins.{name.replace('-', '.')})") == 2
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    used = {entry["version"]["ref"] for entry in entries}
    assert used == set(catalogue["versions"])
    lines = texts["android/gradle/wrapper/gradle-wrapper.properties"].splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties["distributionUrl"].endswith("/gradle-8.13-bin.zip")
    assert len(bytes.fromhex(properties["distributionSha256Sum"])) == 32
    assert 'include(":app")' in texts["android/settings.gradle.kts"]
