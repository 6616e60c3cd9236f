"""The phone kit's code: every template, and the self-tests that must fail when anything is off."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest
from conftest import show_all_classes

from data.images import write_image
from export.kit.render import TEMPLATES, render
from export.tflite.runtime import Runtime

ROOT = Path(__file__).parent.parent
KINDS = {
    "float32": ("float32", "float32"),
    "int8": ("uint8", "float32"),
    "int8-full": ("uint8", "uint8"),
}
SIZE = (64, 96)  # H, W: not square, so that a swap shows
PHOTO = (150, 170)  # both sides shrink, by fractions
LABELS = ["background", 'a "b" $c \\n', "Höhe | 天 `q`"]
NODE = shutil.which("node")
SWIFT = shutil.which("swiftc")


def contract(kind, sha256="ab" * 32, output=(0.125, 130), tolerance=1e-5):
    source, target = KINDS[kind]
    return {
        "schema": 3,
        "sha256": sha256,
        "recipe": kind,
        "input": tensor("image", 3, source, (1 / 127.5, 127)),
        "output": tensor("logits", 3, target, output),
        "range": [-1.0, 1.0],
        "mean": 127.5,
        "std": 127.5,
        "colour_order": "RGB",
        "resize": "area or bilinear",
        "labels": LABELS,
        "colours": [[0, 0, 0], [200, 10, 0], [1, 2, 255]],
        "preset": "tiny",
        "lowering": "signs+depth_to_space",
        "targets": ["xnnpack"],
        "golden": {"tolerance": 0 if target == "uint8" else tolerance, "output_sha256": None},
        "versions": {"ai-edge-litert": "2.3.0"},
    }


def tensor(name, channels, dtype, quantisation):
    scale, zero_point = (0.0, 0) if dtype == "float32" else quantisation
    shape = [1, *SIZE, channels]
    numbers = {"scale": float(scale), "zero_point": int(zero_point)}
    return {"name": name, "shape": shape, "dtype": dtype, **numbers}


def resized(image, size):
    """The resize rule in OpenCV's words: what shrinks, then what grows; (H, W, 3) to (*size, 3)."""
    shrunk = [min(side, to) for side, to in zip(image.shape, size, strict=False)]
    image = cv2.resize(image, shrunk[::-1], interpolation=cv2.INTER_AREA)
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)


def scene(size, seed):
    """An image of patches with sharp edges and some noise, (*size, 3) uint8."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 230, (5, 7, 3)).astype(np.uint8)
    large = cv2.resize(patches, size[::-1], interpolation=cv2.INTER_NEAREST)
    return large + rng.integers(0, 25, large.shape).astype(np.uint8)


def model(kind):
    """The bytes of a `tiny` of random weights whose classes all occur."""
    import keras

    from export.graph.convert import to_tflite
    from export.graph.deploy import deploy
    from export.recipes import BY_NAME
    from export.tflite.metadata import add_metadata
    from segnet import presets
    from segnet.build import build

    keras.utils.set_random_seed(3)
    rng, preset = np.random.default_rng(3), presets.preset("tiny")
    trained = build(keras, preset, SIZE, len(LABELS))
    samples = np.stack([scene(SIZE, seed) for seed in range(8)]) / np.float32(127.5) - 1
    samples[0, 0, 0], samples[0, 0, 1] = -1, 1
    for layer in trained.layers:
        if layer.name.endswith("_bn"):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, rng.normal(0, 0.3, beta.shape), mean, variance])
    show_all_classes(trained, samples.astype(np.float32))
    last = trained.layers[-1]  # logits as a trained net has them: no softmax of theirs is 0
    most = np.abs(trained(samples[:1].astype(np.float32))).max()
    last.set_weights([weights * 8 / most for weights in last.get_weights()])
    graph = deploy(trained, preset, SIZE, len(LABELS))
    calibration = samples.astype(np.float32) if BY_NAME[kind].calibrated else None
    return add_metadata(to_tflite(graph, BY_NAME[kind], calibration), LABELS)


def write_kit(folder, kind, content):
    """A whole kit with a golden pair of its own making, and desk/, which `stand_ins` tells of."""
    (folder / "golden").mkdir(parents=True)
    (folder / "model.tflite").write_bytes(content)
    runtime = Runtime(content)
    output = golden(runtime, folder, "image", scene(SIZE, 20), "")
    golden(runtime, folder, "photo", scene(PHOTO, 21), "photo_")
    assert len(np.unique(output.argmax(-1))) == len(LABELS)
    tolerance = 1e-5 * float(np.abs(output).max())
    digest = hashlib.sha256(content).hexdigest()
    found = contract(kind, digest, runtime.output["quantization"], tolerance)
    (folder / "contract.json").write_text(json.dumps(found))
    render(folder, found)
    return folder


def golden(runtime, folder, name, image, prefix):
    """Writes an image and what it gives: tensor, output and mask. Gives the output."""
    small = resized(image, SIZE)
    inputs = small[None]
    if runtime.input["dtype"] == np.float32:
        inputs = inputs.astype(np.float32) / np.float32(127.5) - np.float32(1)
    output = runtime.run(inputs)
    logits = cv2.resize(output[0].astype(np.float32), image.shape[1::-1])
    mask = logits.argmax(-1).astype(np.uint8)
    out = folder / "golden"
    write_image(out / f"{name}.png", image)
    write_image(out / f"{prefix}mask.png", mask)
    inputs.tofile(out / f"{prefix}input.bin")
    if not prefix:
        output.tofile(out / "output.bin")
    stand_ins(folder / "desk", name, small, image, output, runtime.decode(output)[0])
    rgba(mask[..., None].repeat(3, -1)).tofile(folder / "desk" / f"{prefix}mask.rgba")
    return output


def stand_ins(folder, name, small, image, output, logits):
    """What programs get on a desk without the runtime or without a reader of PNG files.

    NAME.rgb, .out, .confidences: an input's bytes, its output, MediaPipe's images of softmax, one
    class after the other. NAME.rgba: the pixels of the image.
    """
    folder.mkdir(exist_ok=True)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares = (shares / shares.sum(-1, keepdims=True)).transpose(2, 0, 1)
    small.tofile(folder / f"{name}.rgb")
    output.tofile(folder / f"{name}.out")
    np.ascontiguousarray(shares, np.float32).tofile(folder / f"{name}.confidences")
    rgba(image).tofile(folder / f"{name}.rgba")


def rgba(image):
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


@pytest.fixture(scope="module", params=KINDS)
def kit(request, tmp_path_factory):
    """A kit a kind. To be looked at, not written to."""
    folder = tmp_path_factory.mktemp("phone") / request.param
    return write_kit(folder, request.param, model(request.param))


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
    numbers = (tmp_path / "android" / "Contract.kt").read_text(encoding="utf-8")
    assert "WIDTH = 96" in numbers and "HEIGHT = 64" in numbers and "CLASSES = 3" in numbers


def test_a_missing_number_is_an_error(tmp_path):
    from jinja2 import UndefinedError

    less = contract("float32")
    del less["golden"]
    with pytest.raises(UndefinedError, match="golden"):
        render(tmp_path, less)


def test_labels_in_every_language(tmp_path):
    render(tmp_path, contract("float32"))
    python = (tmp_path / "python" / "segment.py").read_text(encoding="utf-8")
    assert ast.literal_eval(python.split("LABELS = ")[1].split("\n\n")[0]) == LABELS
    # Derived by hand from the languages' grammars: $ starts a template in Kotlin, \( in Swift.
    kotlin = (tmp_path / "android" / "Contract.kt").read_text(encoding="utf-8")
    assert '"a \\"b\\" \\$c \\\\n"' in kotlin and '"Höhe | 天 `q`"' in kotlin
    swift = (tmp_path / "ios" / "Contract.swift").read_text(encoding="utf-8")
    assert '"a \\"b\\" $c \\\\n"' in swift
    assert "Höhe \\| 天 \\`q\\`" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_control_characters():
    from export.kit.render import kotlin, quoted, swift

    assert json.loads(quoted('a\t"\\\x7f')) == 'a\t"\\\x7f'
    assert kotlin("\t$") == '"\\u0009\\$"' and swift("\t$") == '"\\u{9}$"'


def python(folder, *words):
    command = [sys.executable, str(folder / "python" / "segment.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def test_python(kit, tmp_path):
    end = python(kit, "--self-test")
    assert (end.returncode, end.stdout) == (0, "self-test passed\n"), end.stderr
    end = python(kit, kit / "golden" / "photo.png", tmp_path / "mask.png")
    assert end.returncode == 0 and end.stdout.startswith("background: ")
    masks = [tmp_path / "mask.png", kit / "golden" / "photo_mask.png"]
    found, wanted = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks)
    assert found.shape == PHOTO and (found == wanted).mean() >= 0.995
    end = python(kit, tmp_path / "nothing.jpg", tmp_path / "mask.png")
    assert end.returncode == 1 and end.stderr.endswith("nothing.jpg cannot be read\n")


# What a developer may get wrong in a program: (text, what it becomes), one of which it says, and
# what the self-test complains of.
MISTAKES = {
    "python/segment.py": {
        "channels": ([("(image)[None]", "(image)[None, ..., ::-1]")], "of image.png"),
        "norm": (
            [
                ("tensor / np.float32(127.5) - np.float32(1.0)", "tensor / np.float32(255)"),
                ("return resize(image)[None]", "return resize(image)[None] // 2"),
            ],
            "of image.png",
        ),
        "bilinear": ([("cv2.INTER_AREA", "cv2.INTER_LINEAR")], "of photo.png"),
        "nearest": ([("cv2.INTER_AREA", "cv2.INTER_NEAREST")], "of photo.png"),
    },
    "web/segnet.js": {
        "channels": ([("first) * 4 + channel", "first) * 4 + 2 - channel")], "of image.png"),
        "norm": (
            [
                ("byte / 127.5 - 1.0", "byte / 255"),
                ("(rgb) {\n  return rgb;", "(rgb) {\n  return rgb.map((byte) => byte / 2);"),
            ],
            "of image.png",
        ),
        "bilinear": ([("? area(width, WIDTH)", "? linear(width, WIDTH)")], "of photo.png"),
    },
    "android/Resize.kt": {
        "channels": ([("weights[tap] * (pixel shr 16", "weights[tap] * (pixel shr 0")], "of p"),
        "norm": ([("/ 127.5f - 1.0f\n", "/ 255f\n")], "of p"),
        "bilinear": ([("if (from > to) area", "if (from < 0) area")], "of photo.png"),
    },
}


def sabotages(program):
    rows = [pytest.param(program, *row, id=name) for name, row in MISTAKES[program].items()]
    model = pytest.param("model.tflite", None, "SHA-256", id="model")
    return [model, pytest.param("golden/output.bin", None, "the output is", id="output"), *rows]


def sabotaged(kit, tmp_path, path, changes):
    """A copy of a kit with one text of a file changed, or, without `changes`, one byte."""
    folder = shutil.copytree(kit, tmp_path / "sabotaged")
    raw = bytearray((folder / path).read_bytes())
    if changes is None:
        raw[len(raw) // 2 | 3] ^= 64  # of a float the byte that counts most
    else:
        ((old, new),) = [change for change in changes if raw.decode().count(change[0]) == 1]
        raw = raw.decode().replace(old, new).encode()
    (folder / path).write_bytes(raw)
    return folder


@pytest.mark.parametrize(("path", "changes", "why"), sabotages("python/segment.py"))
def test_python_sees(kit, tmp_path, path, changes, why):
    end = python(sabotaged(kit, tmp_path, path, changes), "--self-test")
    assert end.returncode == 1 and why in end.stderr and end.stdout == ""


def test_python_sees_a_shifted_mask(kit, tmp_path):
    folder = shutil.copytree(kit, tmp_path / "kit")
    mask = cv2.imread(str(folder / "golden" / "photo_mask.png"), cv2.IMREAD_UNCHANGED)
    write_image(folder / "golden" / "photo_mask.png", np.roll(mask, 3, 1))
    end = python(folder, "--self-test")
    assert end.returncode == 1 and "of the photo's mask are right" in end.stderr


# Widths and heights of images: both sides shrink, both grow, one of each, one stays, one pixel.
IMAGES = [(170, 150), (50, 31), (200, 40), (33, 300), (96, 200), (192, 128), (1, 1), (97, 64)]


def write_cases(folder):
    """Images to resize and sizes for a mask, as tests/clients/kotlin/Check.kt names them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for width, height in IMAGES:
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        logits = rng.normal(size=(*SIZE, len(LABELS))).astype(np.float32)
        rgba(image).tofile(folder / f"rgb.{width}x{height}.rgba")
        logits.tofile(folder / f"mask.{width}x{height}.logits")


def compare_cases(folder):
    for width, height in IMAGES:
        name = f"{width}x{height}"
        pixels = np.fromfile(folder / f"rgb.{name}.rgba", np.uint8).reshape(height, width, 4)
        wanted = resized(pixels[..., :3], SIZE).astype(int)
        found = np.fromfile(folder / f"rgb.{name}.rgba.found", np.uint8).reshape(*SIZE, 3)
        assert np.abs(found - wanted).max() <= 1, name
        logits = np.fromfile(folder / f"mask.{name}.logits", np.float32).reshape(*SIZE, -1)
        wanted = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR).argmax(-1)
        found = np.fromfile(folder / f"mask.{name}.logits.found", np.uint8)
        assert (found.reshape(height, width) == wanted).mean() >= 0.999, name


# The class in LiteRT.js, where its package is given, else in a stand-in: it knows the answers for
# two inputs, and gives zeros for one that is more than a level of a byte away.
WEB = """
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
const [kit, cases, words] = process.argv.slice(2);
const { source, target, sizes, core } = JSON.parse(words);
const kinds = { float32: Float32Array, uint8: Uint8Array };
const bytes = (name) => new Uint8Array(readFileSync(name)).buffer;
const pixels = (name, [width, height]) => ({ width, height, data: new Uint8Array(bytes(name)) });

async function real() {
  // What a worker and CommonJS have and an ES module in node lacks.
  Object.assign(globalThis, {
    self: globalThis, require: createRequire(`${core}/`),
    __dirname: `${core}/wasm/`, __filename: `${core}/wasm/litert.js`,
    importScripts: (path) => runInThisContext(readFileSync(path, 'utf8'), { filename: path }),
  });
  const litert = await import(`${core}/dist/index.js`);
  await litert.loadLiteRt(`${core}/wasm/`);
  return litert;
}

function standIn() {
  class Tensor {
    constructor(values) { this.values = values; }
    async data() { return this.values; }
    delete() {}
  }
  const answer = (input, name) => ({
    input: new kinds[source](bytes(`${kit}/golden/${input}.bin`)),
    output: new kinds[target](bytes(`${kit}/desk/${name}.out`)),
  });
  const known = [answer('input', 'image'), answer('photo_input', 'photo')];
  const most = source === 'float32' ? 1.01 / 127.5 : 1.01;
  const model = { async run([{ values }]) {
    const near = ({ input }) => input.every((value, i) => Math.abs(value - values[i]) <= most);
    return [new Tensor(known.find(near)?.output ?? known[0].output.map(() => 0))];
  } };
  return { Tensor, loadAndCompile: async () => model };
}

const web = await import(`${kit}/web/segnet.js`);
const litert = core ? await real() : standIn();
const model = new Uint8Array(bytes(`${kit}/model.tflite`));
const segmenter = await web.Segmenter.create(litert, { model });
await segmenter.selfTest({
  bytes: async (name) => bytes(`${kit}/${name}`),
  image: async (name) => {
    const stem = name.slice('golden/'.length, -'.png'.length);
    return pixels(`${kit}/desk/${stem}.rgba`, sizes[stem]);
  },
});
for (const name of readdirSync(cases)) {
  const [kind, size] = name.split('.');
  const [width, height] = size.split('x').map(Number);
  writeFileSync(`${cases}/${name}.found`, kind === 'rgb'
    ? web.resize(pixels(`${cases}/${name}`, [width, height]))
    : web.toMask(new Float32Array(bytes(`${cases}/${name}`)), width, height));
}
console.log(JSON.stringify(web.LABELS));
process.exit(0);
"""
CORE = ROOT / ".clients" / "node" / "node_modules" / "@litertjs" / "core"


def node(kit, cases, core=None):
    source, target = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]]
    sizes = {"image": SIZE[::-1], "photo": PHOTO[::-1], "photo_mask": PHOTO[::-1]}
    words = {"source": source, "target": target, "sizes": sizes, "core": core and str(core)}
    flags = ["--experimental-wasm-relaxed-simd", "--input-type=module", "-"]
    command = [NODE, *flags, str(kit), str(cases), json.dumps(words)]
    return subprocess.run(command, input=WEB, capture_output=True, text=True)


needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


@needs_node
def test_web(kit, tmp_path):
    write_cases(tmp_path / "cases")
    end = node(kit, tmp_path / "cases")
    assert end.returncode == 0, end.stderr
    assert json.loads(end.stdout) == LABELS
    compare_cases(tmp_path / "cases")


@needs_node
@pytest.mark.clients
@pytest.mark.skipif(not CORE.exists(), reason="make .clients/node/done, which needs npm")
def test_litert_js(kit, tmp_path):
    (tmp_path / "cases").mkdir()
    end = node(kit, tmp_path / "cases", CORE)
    assert end.returncode == 0 and json.loads(end.stdout.splitlines()[-1]) == LABELS, end.stderr


@needs_node
@pytest.mark.parametrize(("path", "changes", "why"), sabotages("web/segnet.js"))
def test_web_sees(kit, tmp_path, path, changes, why):
    (tmp_path / "cases").mkdir()
    end = node(sabotaged(kit, tmp_path, path, changes), tmp_path / "cases")
    assert end.returncode != 0 and why in end.stderr and end.stdout == ""


CLIENT = ROOT / "tests" / "clients" / "kotlin"
MADE = ROOT / ".clients" / "kotlin" / "done"


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The stubs of Android, LiteRT, MediaPipe and CameraX, compiled."""
    if not MADE.exists() or shutil.which("java") is None:
        pytest.skip("make .clients/kotlin/done, which needs npm and Java")
    out = tmp_path_factory.mktemp("stubs")
    subprocess.run([CLIENT / "build.sh", out], check=True)
    return out


@pytest.fixture(scope="module")
def classes(stubs, kit, tmp_path_factory):
    """A kit's Kotlin and Check.kt, compiled."""
    return compiled(stubs, kit, tmp_path_factory.mktemp("classes") / "classes")


def compiled(stubs, kit, out):
    subprocess.run([CLIENT / "build.sh", out, stubs, kit], check=True)
    return out


def java(stubs, kit, classes, *words):
    library = MADE.parent / "node_modules" / "kotlin-compiler" / "lib" / "kotlin-stdlib.jar"
    path = os.pathsep.join(map(str, (classes, stubs, library)))
    command = ["java", "-cp", path, f"-Danswers={kit / 'desk'}", "CheckKt", *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.mark.clients
def test_kotlin(stubs, kit, classes, tmp_path):
    end = java(stubs, kit, classes, "self-test", kit)
    assert end.returncode == 0, end.stdout + end.stderr
    lines = end.stdout.splitlines()
    assert [line for line in lines if line.endswith(": passed")] == [
        "Segmenter: passed",
        "MediaPipeSegmenter: passed",
    ]
    write_cases(tmp_path / "cases")
    end = java(stubs, kit, classes, "cases", tmp_path / "cases")
    assert end.returncode == 0, end.stderr
    assert end.stdout.splitlines() == LABELS
    compare_cases(tmp_path / "cases")


@pytest.mark.clients
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize(("path", "changes", "why"), sabotages("android/Resize.kt"))
def test_kotlin_sees(stubs, kit, classes, tmp_path, path, changes, why):
    folder = sabotaged(kit, tmp_path, path, changes)
    if path.endswith(".kt"):
        classes = compiled(stubs, folder, tmp_path / "classes")
    end = java(stubs, folder, classes, "self-test", folder)
    found = dict(line.split(": ", 1) for line in end.stdout.splitlines())
    assert end.returncode == 1 and why in found["Segmenter"]
    assert found["MediaPipeSegmenter"] != "passed"


SWIFT_CASES = """
import Foundation
let folder = CommandLine.arguments[1] + "/"
for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
    let parts = name.split(separator: ".")
    let size = parts[1].split(separator: "x").map { Int($0)! }
    let raw = try Data(contentsOf: URL(fileURLWithPath: folder + name))
    let logits = raw.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    let found = parts[0] == "rgb"
        ? resize([UInt8](raw), width: size[0], height: size[1])
        : Mask(logits: logits, width: size[0], height: size[1]).ids
    try Data(found).write(to: URL(fileURLWithPath: folder + name + ".found"))
}
print(Contract.labels.joined(separator: "\\n"))
"""


@pytest.mark.clients
@pytest.mark.skipif(SWIFT is None, reason="swiftc is not installed: Swift is not checked")
def test_swift(kit, tmp_path):
    files = sorted((kit / "ios").glob("*.swift"))
    subprocess.run([SWIFT, "-parse", *files], check=True)
    (tmp_path / "main.swift").write_text(SWIFT_CASES)
    pure = [path for path in files if path.name != "Segmenter.swift"]  # that one needs UIKit
    program = tmp_path / "cases_of_swift"
    subprocess.run([SWIFT, "-o", program, *pure, tmp_path / "main.swift"], check=True)
    write_cases(tmp_path / "cases")
    end = subprocess.run([program, tmp_path / "cases"], capture_output=True, text=True, check=True)
    assert end.stdout.splitlines() == LABELS
    compare_cases(tmp_path / "cases")
