"""Kits of random weights whose network gives probabilities or classes."""

import hashlib
import json
import subprocess

import numpy as np
import pytest
from kits import LABELS, PHOTO, SIZE, contract, model, rgba, scene
from test_phone_platforms import HELP, NODE

from data.images import read_image
from export.kit.render import render
from export.proof import golden
from export.proof.contract import tensor
from export.proof.outputs import RESIZE_TEXTS, enlarged, softmax
from export.recipes import OUTPUT_BY_NAME
from export.tflite import head
from export.tflite.inspect import parse
from export.tflite.metadata import add_metadata
from export.tflite.pack import pack
from export.tflite.runtime import Runtime

CASES = [("float32", "probabilities"), ("int8-full", "probabilities"), ("float32", "classes"),
         ("int8", "classes8")]  # fmt: skip
OF_CLASSES, OF_PROBABILITIES = CASES[2:], CASES[:2]
SIZES = [(301, 517), (20, 33), SIZE, (64, 1)]  # H, W
IDS = np.random.default_rng(3).integers(0, len(LABELS), SIZE).astype(np.uint8)


def without_metadata(content):
    tree = parse(content)
    tree.metadata = None
    return pack(tree)


def contract_of(kind, output, runtime=None):
    """Without a runtime, its shapes and types alone are right."""
    values = OUTPUT_BY_NAME[output].values
    made = contract(kind)
    target = tensor(runtime.output) if runtime else {
        **made["output"], "dtype": OUTPUT_BY_NAME[output].dtype or made["output"]["dtype"]
    }  # fmt: skip
    return {**made, "output": {**target, "values": values}, "resize": RESIZE_TEXTS[values]}


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def ended(request, tmp_path_factory):
    """(a whole kit with recorded/, see kits.record; its output)."""
    kind, output = request.param
    folder = tmp_path_factory.mktemp("ended") / output
    content = head.append(without_metadata(model(kind)), output)
    content = add_metadata(content, LABELS, OUTPUT_BY_NAME[output].values)
    runtime = Runtime(content)
    made = contract_of(kind, output, runtime) | {"sha256": hashlib.sha256(content).hexdigest()}
    folder.mkdir()
    made["golden"] = golden.write(folder / "golden", made, content, scene(PHOTO, 21))
    (folder / "model.tflite").write_bytes(content)
    (folder / "contract.json").write_text(json.dumps(made))
    render(folder, made)
    (folder / "recorded").mkdir()
    for name, tensor_name in (("image", "input"), ("photo", "photo_input")):
        record(folder, name, tensor_name, runtime)
    mask = read_image(folder / "golden/photo_mask.png")
    rgba(mask).tofile(folder / "recorded/photo_mask.rgba")
    return folder, output


def record(folder, name, tensor_name, runtime):
    out = folder / "recorded" / name
    inputs = np.fromfile(folder / f"golden/{tensor_name}.bin", runtime.input["dtype"])
    inputs = inputs.reshape(runtime.input["shape"])
    output = runtime.run(inputs)
    small = inputs if inputs.dtype == np.uint8 else np.round((inputs + 1) * 127.5)
    small.astype(np.uint8).tofile(f"{out}.rgb")
    output.tofile(f"{out}.out")
    confidences = runtime.decode(output)
    if confidences.ndim == 4:
        confidences = confidences[0].transpose(2, 0, 1)
    np.ascontiguousarray(confidences, np.float32).tofile(f"{out}.confidences")
    rgba(read_image(folder / f"golden/{name}.png")).tofile(f"{out}.rgba")


def write_masks(folder):
    IDS.tofile(folder / "ids")
    (folder / "sizes").write_text("".join(f"{width}x{height}\n" for height, width in SIZES))


JAVASCRIPT = """
import { readFileSync, writeFileSync } from 'node:fs';
const [kit, folder, options] = process.argv.slice(2);
const { source, target, photo, sizes, core, classes, help } = JSON.parse(options);
const { bytes, filesOf, kinds, real, recorded } = await import(help);
const web = await import(`${kit}/web/segnet.js`);
const litert = core ? await real(core) : recorded(kit, source, target);
const model = new Uint8Array(bytes(`${kit}/model.tflite`));
const segmenter = await web.Segmenter.create(litert, { model });
const shown = { image: [web.WIDTH, web.HEIGHT], photo, photo_mask: photo };
await segmenter.selfTest({ files: filesOf(kit, shown), stop: true });
if (classes) {
  const ids = Int32Array.from(readFileSync(`${folder}/ids`));
  for (const [height, width] of sizes) {
    writeFileSync(`${folder}/${width}x${height}.found`, web.toMask(ids, width, height).ids);
  }
} else {
  const values = new Float32Array(bytes(`${folder}/values`));
  writeFileSync(`${folder}/alpha`, web.toAlpha(values, 1));
  const smooth = new web.Smooth(1);
  const input = new kinds[source](web.WIDTH * web.HEIGHT * 3);
  const before = new Uint8Array(web.WIDTH * web.HEIGHT).fill(1);
  smooth.add(values, input, before);
  const found = smooth.add(values, input, before);
  writeFileSync(`${folder}/smooth`, new Uint8Array(found.slice().buffer));
}
process.exit(0);
"""


def javascript(kit, folder, output, core=None):
    made = json.loads((kit / "contract.json").read_text())
    options = {
        "source": made["input"]["dtype"], "target": made["output"]["dtype"],
        "photo": PHOTO[::-1], "sizes": SIZES, "core": core and str(core), "help": str(HELP),
        "classes": output.startswith("classes"),
    }  # fmt: skip
    IDS.tofile(folder / "ids")
    given().tofile(folder / "values")
    flags = ["--experimental-wasm-relaxed-simd", "--input-type=module", "-"]
    words = [NODE, *flags, str(kit), str(folder), json.dumps(options)]
    return subprocess.run(words, input=JAVASCRIPT, capture_output=True, text=True)


def given():
    rng = np.random.default_rng(5)
    return softmax(rng.normal(size=(*SIZE, len(LABELS)))).astype(np.float32)


def compare_masks(folder):
    for size in SIZES:
        found = np.fromfile(folder / f"{size[1]}x{size[0]}.found", np.uint8).reshape(size)
        assert np.array_equal(found, enlarged(IDS, size))
