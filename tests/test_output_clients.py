"""Kits whose network gives probabilities or classes, in LiteRT.js, Kotlin, Swift and on a GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clients.browser_client import HEAD
from ended_kits import IDS, OF_PROBABILITIES, compare_masks, ended, given, javascript, write_masks
from kits import KOTLIN, SIZE, rgba, scene
from test_clients import CLIENTS, ROOT, SOFTWARE, run_client, skip_without
from test_phone_platforms import CORE, MADE, compiled, needs_node, stubs
from test_phone_swift import check
from test_phone_swift import compiled as compiled_swift
from test_phone_swift import stubs as swift_stubs
from test_web_browser import APP, checked, needs_typescript, on_chromium, posted

from data.images import read_image
from export.tflite.runtime import Runtime

__all__ = ["ended", "stubs", "swift_stubs"]  # fixtures
pytestmark = pytest.mark.clients


@needs_node
@pytest.mark.skipif(not CORE.exists(), reason="make .clients/node/done, which needs npm")
def test_litert_js(ended, tmp_path):
    """The real runtime, which takes float32, uint8 and int32 alone."""
    kit, output = ended
    end = javascript(kit, tmp_path, output, CORE)
    assert end.returncode == 0 and end.stdout == "Segmenter wasm passed its self-test\n", end.stderr


def java(stubs, kit, classes, main, *args, gpu=""):
    library = MADE.parent / "node_modules/kotlin-compiler/lib/kotlin-stdlib.jar"
    path = os.pathsep.join(map(str, (classes, stubs, library)))
    flags = [f"-Drecorded={kit / 'recorded'}", f"-Dgpu={gpu}"]
    words = ["java", *flags, "-cp", path, main, *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True)


def test_kotlin(stubs, ended, tmp_path):
    kit, output = ended
    classes = compiled(stubs, kit, tmp_path / "classes")
    if output.startswith("classes"):
        for gpu in ("", "cpu"):  # ids that are equal to the CPU's prove nothing
            end = java(stubs, kit, classes, "ClassesCheckKt", "self-test", kit, gpu=gpu)
            assert end.returncode == 0, end.stdout
            assert end.stdout.splitlines()[-1] == "GPU"
        end = java(stubs, kit, classes, "ClassesCheckKt", "self-test", kit, gpu="wrong")
        assert end.returncode == 1 and "pixels of the output match golden/" in end.stdout
        write_masks(tmp_path)
        end = java(stubs, kit, classes, "ClassesCheckKt", "masks", tmp_path)
        assert end.returncode == 0, end.stderr
        compare_masks(tmp_path)
        assert np.array_equal(np.fromfile(tmp_path / "live.found", np.uint8), IDS.ravel())
        colours = ["00000000", "ffc80a00", "ff0102ff"]
        assert end.stdout.split() == [colours[id_] for id_ in IDS.ravel()[:3]]
        return
    end = java(stubs, kit, classes, "CheckKt", "self-test", kit)
    assert end.returncode == 0, end.stdout + end.stderr
    for name in "abc":
        given().tofile(tmp_path / name)
    rgba(scene(SIZE, 1)).tofile(tmp_path / "frame")
    end = java(stubs, kit, classes, "CheckKt", "live", tmp_path)
    assert end.returncode == 0, end.stderr
    alpha = np.fromfile(tmp_path / "alpha", np.uint8).reshape(SIZE)
    assert np.abs(alpha - 255.0 * given()[..., 1]).max() <= 0.501


@pytest.mark.parametrize("ended", [("float32", "classes")], indirect=True)
def test_kotlin_sees_another_output(stubs, ended, tmp_path):
    kit, _ = ended
    broken = shutil.copytree(kit, tmp_path / "broken")
    np.fromfile(kit / "golden/output.bin", np.uint8)[::-1].tofile(broken / "golden/output.bin")
    classes = compiled(stubs, broken, tmp_path / "classes")
    end = java(stubs, broken, classes, "ClassesCheckKt", "self-test", broken)
    assert end.returncode == 1 and "pixels of the output match golden/output.bin" in end.stdout
    assert Path(broken, KOTLIN, "Segmenter.kt").exists()


def test_swift(swift_stubs, ended, tmp_path):
    kit, output = ended
    app = compiled_swift(swift_stubs, kit, tmp_path)
    for processor in ("CPU", "GPU"):
        end = check(app, kit, "self-test", processor)
        assert end.returncode == 0, end.stdout + end.stderr
        ran = [f"processor: {processor}", "fallback: none", "fault: none"]
        assert end.stdout.splitlines()[1:] == ran
    if output.startswith("classes"):
        end = check(app, kit, "self-test", "GPU", processors="the CPU")
        assert "processor: GPU" in end.stdout.splitlines(), end.stdout  # equal ids prove nothing
        for fault, said in (
            ("frozen", "that of another input"),
            ("black from the second on", "of the"),
        ):
            end = check(app, kit, "self-test", "GPU", processors="wrong", FAULT=fault)
            lines = [line for line in end.stdout.splitlines() if ": " in line]
            found = dict(line.split(": ", 1) for line in lines)
            assert found["processor"] == "CPU" and said in found["fallback"], end.stdout
            end = check(app, kit, "self-test", "CPU", FAULT=fault)
            assert said in end.stdout.splitlines()[-1], end.stdout
        (tmp_path / "masks").mkdir()
        write_masks(tmp_path / "masks")
        end = check(app, kit, "masks", tmp_path / "masks")
        assert end.returncode == 0, end.stdout + end.stderr
        compare_masks(tmp_path / "masks")
        colours = ["00000000", "c80a00ff", "0102ffff"]
        assert end.stdout.splitlines()[-1] == "".join(colours[id_] for id_ in IDS.ravel()[:3])


@pytest.mark.parametrize("ended", OF_PROBABILITIES, indirect=True, ids="-".join)
def test_mediapipe(ended, tmp_path):
    """The confidences are the file's probabilities: no second softmax is applied to them. Class ids
    it would misread, which the kit's README says."""
    kit, _ = ended
    skip_without(CLIENTS["mediapipe"])
    mask, more = tmp_path / "mask", tmp_path / "more"
    files = (kit / "model.tflite", kit / "golden/input.bin", mask, more)
    code, report = run_client(CLIENTS["mediapipe"], *files)
    assert code == 0, report
    runtime = Runtime(kit / "model.tflite")
    wanted = np.fromfile(kit / "golden/output.bin", runtime.output["dtype"])
    wanted = runtime.decode(wanted.reshape(runtime.output["shape"]))[0]
    found = np.fromfile(more, np.float32).reshape(-1, *SIZE).transpose(1, 2, 0)
    assert np.abs(found - wanted).max() <= 1e-4
    assert (np.fromfile(mask, np.uint8).reshape(SIZE) == wanted.argmax(-1)).mean() >= 0.99


@needs_typescript
def test_typescript(ended, tmp_path):
    kit, output = ended
    app = APP.replace("logits", "probabilities")
    if output.startswith("classes"):
        app = app.replace(", { hold: 1 }", "").replace("live.probabilities!", "ids")
        app = app.replace("a class is a number", "class ids have no alpha")
    checked(kit, app, tmp_path)


PAGE = (
    HEAD
    + """<script type="module">
const post = (path, body) => fetch(path, { method: 'POST', body });
try {
  const litert = await import('/@litertjs/core/dist/index.js');
  const web = await import('/web/segnet.js');
  await litert.loadLiteRt('/@litertjs/core/wasm/');
  const segmenter = await web.Segmenter.create(litert);
  await segmenter.selfTest({ stop: true });
  const response = await fetch('/golden/image.png');
  const image = await createImageBitmap(await response.blob());
  const live = new web.Live(segmenter);
  const frame = Array.from(await live.frame(image));
  const mask = (await segmenter.segment(web.toImageData(image))).ids;
  segmenter.close();
  await post('/found', JSON.stringify({ frame, mask: Array.from(mask) }));
} catch (error) {
  await post('/error', String(error.stack));
}
</script>"""
)


@on_chromium
def test_chromium(ended):
    """Of an image of the network's own size: its self-test, a frame and a still."""
    kit, _ = ended
    said, wanted = posted(kit, PAGE), read_image(kit / "golden/mask.png")[..., 0]
    for name in ("frame", "mask"):
        assert np.array_equal(np.reshape(said[name], SIZE), wanted)


GPU = """
import sys
sys.path.insert(0, "tests")
import numpy as np
from tiny_files import images, net
from export.graph.convert import to_tflite
from export.targets import run_gpu
from export.tflite import head
from export.tflite.runtime import Runtime

model = net()
kernel, bias = model.layers[-1].get_weights()
model.layers[-1].set_weights([kernel, bias - 100])  # all logits are negative
logits, inputs = to_tflite(model), images(4)
wanted = np.concatenate([Runtime(logits)(image[None]) for image in inputs]).argmax(-1)
for output, padded in (("classes", False), ("classes", True), ("classes8", True)):
    content = head.append(logits, output, padded)
    found, refused = run_gpu.run(content, inputs)
    found = np.frombuffer(found, Runtime(content).output["dtype"])
    print(refused, found.max(), float((found == wanted.ravel()).mean()))
"""


def test_gpu_of_negative_logits():
    """Three classes: without a fourth one the accelerator finds it everywhere."""
    skip_without(CLIENTS["gpu"])
    words = [*SOFTWARE, sys.executable, "-c", GPU]
    end = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert end.stdout.splitlines() == ["[] 3 0.0", "[] 2 1.0", "[] 2 1.0"], end.stderr
