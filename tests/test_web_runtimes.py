"""The self-test of the kit's JavaScript on broken runtimes, on wasm and on WebGPU."""

import json
import shutil
import subprocess

import pytest
from kits import KINDS, PHOTO, kit

__all__ = ["kit"]  # a fixture
NODE = shutil.which("node")
# Prints for each fault what the self-test says of a runtime with it. The runtime gives the recorded
# outputs of the two golden inputs, and others for other inputs.
PROGRAM = """
import { readFileSync } from 'node:fs';
const [kit, options] = process.argv.slice(2);
const { source, target, photo } = JSON.parse(options);
const kinds = { float32: Float32Array, uint8: Uint8Array };
const bytes = (name) => new Uint8Array(readFileSync(name)).buffer;
const read = (input, name) => ({
  input: new kinds[source](bytes(`${kit}/golden/${input}.bin`)),
  output: new kinds[target](bytes(`${kit}/recorded/${name}.out`)),
});
const known = [read('input', 'image'), read('photo_input', 'photo')];
const limit = source === 'float32' ? 1.01 / 127.5 : 1.01;
class Tensor {
  constructor(values) { this.values = values; }
  async data() { return this.values; }
  delete() {}
}
const web = await import(`${kit}/web/segnet.js`);
const last = (outputs, back = 1) => outputs[Math.max(0, outputs.length - back)];
const each = (output, value) => output.map((_, i) => value(output, i));
const pixel = (i) => i - (i % web.CLASSES);
const row = web.WIDTH * web.CLASSES;
const up = (output, i) => output[(web.HEIGHT - 1 - Math.floor(i / row)) * row + (i % row)];
const across = (output, i) => {
  const x = Math.floor((i % row) / web.CLASSES);
  return output[i - (i % row) + (web.WIDTH - 1 - x) * web.CLASSES + (i % web.CLASSES)];
};
const late = (count, fault) => (outputs) => (
  outputs.length <= count ? last(outputs) : each(last(outputs), fault));
// From the outputs so far, of which the last is right, to the output of a broken runtime.
const faults = {
  none: last,
  frozen: (outputs) => outputs[0],
  'frozen after ten': (outputs) => last(outputs.slice(0, 10)),
  'the one before': (outputs) => last(outputs, 2),
  'swapped channels after ten': late(10, (o, i) => o[2 * pixel(i) + web.CLASSES - 1 - i]),
  'noise after ten': late(10, (o, i) => o[(i * 7919) % o.length]),
  'half of the classes': late(0, (o, i) => (i % web.CLASSES ? Math.min(o[i], o[pixel(i)]) : o[i])),
  'no numbers after thirty': late(30, () => NaN),
  'upside down': late(0, up),
  mirrored: late(0, across),
  'black from the second on': late(1, () => 0),
};
const answer = (values, shift = 1) => {
  const near = ({ input }) => input.every((value, i) => Math.abs(value - values[i]) <= limit);
  return known.find(near)?.output
    ?? known[0].output.map((_, i, all) => all[(i + 3 * shift) % all.length]);
};
for (const accelerator of ['wasm', 'webgpu']) {
  for (const [name, fault] of Object.entries(faults)) {
    const outputs = [];
    const model = { async run([{ values }]) {
      const found = answer(values, outputs.length);
      outputs.push(found);
      return [new Tensor(fault(outputs))];
    }, delete() {} };
    // As a GPU: one value is another one, by less than the limit.
    let deleted = false;
    const near = { async run(inputs) {
      const [{ values }] = await model.run(inputs);
      const other = values.slice();
      other[0] += target === 'float32' ? 1e-6 : values[0] < 128 ? 1 : -1;
      return [new Tensor(other)];
    }, delete() { deleted = true; } };
    const sound = { async run([{ values }]) {
      return [new Tensor(answer(values))];
    }, delete() {} };
    const litert = { Tensor, async loadAndCompile(_, options) {
      if (options.accelerator === 'webgpu') return near;
      return accelerator === 'wasm' ? model : sound;
    } };
    const given = { model: new Uint8Array(bytes(`${kit}/model.tflite`)), accelerator };
    const segmenter = await web.Segmenter.create(litert, given);
    const readImage = async (path) => {
      const stem = path.slice('golden/'.length, -'.png'.length);
      const [height, width] = stem === 'image' ? [web.HEIGHT, web.WIDTH] : photo;
      return { width, height, data: new Uint8Array(bytes(`${kit}/recorded/${stem}.rgba`)) };
    };
    const readBytes = async (path) => bytes(`${kit}/${path}`);
    const files = { readBytes, readImage };
    const log = console.error;
    console.error = () => {};
    const said = await segmenter.selfTest({ files, stop: true }).then(() => 'passed')
      .catch((error) => error.message);
    outputs.length = 0;
    const told = await segmenter.selfTest({ files });
    console.error = log;
    // With a fault it goes on, on wasm.
    if ((told || 'passed') !== said) throw new Error(`${name}: ${told}, ${said}`);
    const after = told ? 'wasm' : accelerator;
    if (segmenter.accelerator !== after) throw new Error(`${name}: ${segmenter.accelerator}`);
    if (deleted !== (accelerator !== after)) throw new Error(`${name}: deleted is ${deleted}`);
    await segmenter.infer(known[0].input);
    console.error(`${accelerator} ${name}: ${said}`);
  }
}
"""


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_broken_runtime_is_seen(kit):
    source, target = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]]
    options = json.dumps({"source": source, "target": target, "photo": PHOTO})
    words = [NODE, "--input-type=module", "-", str(kit), options]
    end = subprocess.run(words, input=PROGRAM, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    found = dict(line.split(": ", 1) for line in end.stderr.splitlines() if ": " in line)
    assert [found.pop(f"{name} none") for name in ("wasm", "webgpu")] == ["passed"] * 2
    assert len(found) == 20
    for fault, said in found.items():
        assert "inference" in said, (fault, said)
