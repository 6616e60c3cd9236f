"""The kit's JavaScript and Kotlin: their self-tests, and OpenCV's resizing and masks."""

import json
import os
import shutil
import subprocess

import pytest
from kit_mistakes import LIMITS, near_the_limit, sabotaged, sabotages
from kits import KINDS, KOTLIN, LABELS, PHOTO, ROOT, SIZE, compare_cases, kit, write_cases

__all__ = ["kit"]  # a fixture
NODE = shutil.which("node")
HELP = ROOT / "tests" / "clients" / "node_kit.mjs"

# Runs the kit's Segmenter in LiteRT.js, if the path of its package is given, else in a replacement
# that knows the outputs for two inputs and returns zeros for any other one.
WEB = """
import { readdirSync, writeFileSync } from 'node:fs';
const [kit, cases, options] = process.argv.slice(2);
const { source, target, sizes, core, help } = JSON.parse(options);
const { bytes, filesOf, kinds, pixels, real, recorded } = await import(help);
const web = await import(`${kit}/web/segnet.js`);
const litert = core ? await real(core) : recorded(kit, source, target);
const model = new Uint8Array(bytes(`${kit}/model.tflite`));
const segmenter = await web.Segmenter.create(litert, { model });
await segmenter.selfTest({ stop: true, files: filesOf(kit, sizes) });
for (const name of readdirSync(cases)) {
  const [kind, size] = name.split('.');
  const [width, height] = size.split('x').map(Number);
  writeFileSync(`${cases}/${name}.found`, kind === 'rgb'
    ? web.resize(pixels(`${cases}/${name}`, [width, height]))
    : web.toMask(new Float32Array(bytes(`${cases}/${name}`)), width, height).ids);
}
globalThis.ImageData = class {
  constructor(width, height) {
    Object.assign(this, { data: new Uint8ClampedArray(4 * width * height), width, height });
  }
};
const logits = await segmenter.infer(new kinds[source](bytes(`${kit}/golden/input.bin`)));
const { data, width, height } = web.toColours(web.toMask(logits));
console.log(JSON.stringify([width, height, data.length]));
console.log(JSON.stringify(web.LABELS));
process.exit(0);
"""
CORE = ROOT / ".clients" / "node" / "node_modules" / "@litertjs" / "core"
SIZES = {"image": SIZE[::-1], "photo": PHOTO[::-1], "photo_mask": PHOTO[::-1]}


def node(kit, cases, core=None):
    source, target = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]]
    options = {"source": source, "target": target, "sizes": SIZES, "core": core and str(core),
               "help": str(HELP)}  # fmt: skip
    flags = ["--experimental-wasm-relaxed-simd", "--input-type=module", "-"]
    command = [NODE, *flags, str(kit), str(cases), json.dumps(options)]
    return subprocess.run(command, input=WEB, capture_output=True, text=True)


needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@needs_node
def test_web(kit, tmp_path):
    write_cases(tmp_path / "cases")
    end = node(kit, tmp_path / "cases")
    assert end.returncode == 0, end.stderr
    passed, colours, labels = end.stdout.splitlines()
    assert passed == "Segmenter wasm passed its self-test"
    assert json.loads(colours) == [SIZE[1], SIZE[0], 4 * SIZE[0] * SIZE[1]]
    assert json.loads(labels) == LABELS
    compare_cases(tmp_path / "cases")


@needs_node
@pytest.mark.clients
@pytest.mark.skipif(not CORE.exists(), reason="make .clients/node/done, which needs npm")
def test_litert_js(kit, tmp_path):
    (tmp_path / "cases").mkdir()
    end = node(kit, tmp_path / "cases", CORE)
    assert end.returncode == 0 and json.loads(end.stdout.splitlines()[-1]) == LABELS, end.stderr


@needs_node
@pytest.mark.parametrize(("path", "changes", "why"), sabotages("web/resize.js"))
def test_web_sees(kit, tmp_path, path, changes, why):
    (tmp_path / "cases").mkdir()
    end = node(sabotaged(kit, tmp_path, path, changes), tmp_path / "cases")
    assert end.returncode != 0 and why in end.stderr and end.stdout == ""


@needs_node
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(("what", "units", "too_much"), LIMITS)
def test_web_allows_what_the_contract_allows(kit, tmp_path, what, units, too_much):
    (tmp_path / "cases").mkdir()
    end = node(near_the_limit(kit, tmp_path, what, units), tmp_path / "cases")
    assert (end.returncode != 0) == too_much, end.stderr


CLIENT = ROOT / "tests" / "clients" / "kotlin"
MADE = ROOT / ".clients" / "kotlin" / "done"


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The compiled stubs of Android, LiteRT, MediaPipe and CameraX."""
    if not MADE.exists() or shutil.which("java") is None:
        pytest.skip("make .clients/kotlin/done, which needs npm and Java")
    out = tmp_path_factory.mktemp("stubs")
    subprocess.run([CLIENT / "build.sh", out], check=True)
    return out


@pytest.fixture(scope="module")
def classes(stubs, kit, tmp_path_factory):
    """The compiled Kotlin code of a kit, with Check.kt."""
    return compiled(stubs, kit, tmp_path_factory.mktemp("classes") / "classes")


def compiled(stubs, kit, out):
    subprocess.run([CLIENT / "build.sh", out, stubs, kit], check=True)
    return out


def java(stubs, kit, classes, *args, properties=()):
    library = MADE.parent / "node_modules" / "kotlin-compiler" / "lib" / "kotlin-stdlib.jar"
    path = os.pathsep.join(map(str, (classes, stubs, library)))
    properties = [f"-Drecorded={kit / 'recorded'}", *properties]
    command = ["java", *properties, "-cp", path, "CheckKt", *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.clients
def test_kotlin(stubs, kit, classes, tmp_path):
    end = java(stubs, kit, classes, "self-test", kit)
    assert end.returncode == 0, end.stdout + end.stderr
    lines = end.stdout.splitlines()
    assert [line for line in lines if line.endswith(": passed")] == [
        "Segmenter: passed",
        "Segmenter of bytes: passed",
        "MediaPipeSegmenter: passed",
    ]
    write_cases(tmp_path / "cases")
    end = java(stubs, kit, classes, "cases", tmp_path / "cases")
    assert end.returncode == 0, end.stderr
    assert end.stdout.splitlines() == LABELS
    compare_cases(tmp_path / "cases")


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(("path", "changes", "why"), sabotages(f"{KOTLIN}/Resize.kt"))
def test_kotlin_sees(stubs, kit, classes, tmp_path, path, changes, why):
    folder = sabotaged(kit, tmp_path, path, changes)
    if path.endswith(".kt"):
        classes = compiled(stubs, folder, tmp_path / "classes")
    end = java(stubs, folder, classes, "self-test", folder)
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    assert end.returncode == 1 and why in found["Segmenter"]
    assert found["MediaPipeSegmenter"] != "passed"


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(("what", "units", "too_much"), LIMITS)
def test_kotlin_allows_what_the_contract_allows(
    stubs, kit, classes, tmp_path, what, units, too_much
):
    folder = near_the_limit(kit, tmp_path, what, units)
    end = java(stubs, folder, classes, "self-test", folder)
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    assert (found["Segmenter"] != "passed") == too_much, found


@pytest.mark.clients
def test_kotlin_sees_a_broken_runtime(stubs, kit, classes):
    """On a CPU, where values are compared, and on a GPU, where classes are."""
    end = java(stubs, kit, classes, "faults", kit)
    assert end.returncode == 0, end.stderr
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    assert found.pop("segnet") == "Segmenter CPU passed its self-test"
    assert found.pop("none") == "passed; passed" and len(found) == 10
    for fault, said in found.items():
        assert said.count("inference") == 2 and "passed" not in said, (fault, said)


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(
    ("gpu", "fault"),
    [
        ("", "null"),
        ("wrong", "the output differs from golden/output.bin by up to "),
        ("cpu", "its output is bit-equal to that of the CPU"),
    ],
)
def test_kotlin_goes_on_on_the_cpu(stubs, kit, classes, gpu, fault):
    end = java(stubs, kit, classes, "goes on", kit, properties=[f"-Dgpu={gpu}"])
    assert end.returncode == 0, end.stderr
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    runs = "CPU" if gpu else "GPU"
    assert found["CPU"] == "CPU, null" and found["MediaPipe"] == "null"
    assert found["GPU"].startswith(f"{runs}, {fault}") and "then" not in found["GPU"]


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_kotlin_tells_a_fault_and_goes_on(stubs, kit, classes, tmp_path):
    """The output of another model; the GPU fails first, then the CPU."""
    folder = sabotaged(kit, tmp_path, "golden/output.bin", None)
    end = java(stubs, folder, classes, "goes on", folder)
    assert end.returncode == 0, end.stderr
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines() if "segnet" not in line)
    differs = "the output differs from golden/output.bin"
    assert found["CPU"].startswith(f"CPU, {differs}")
    assert found["GPU"].startswith(f"CPU, {differs}")
    assert f"; then on the CPU: {differs}" in found["GPU"]
    assert found["MediaPipe"].startswith("the confidences of golden/image.png differ")
