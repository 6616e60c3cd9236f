"""The kit's JavaScript for video: masks and colours by hand, what is used again and released."""

import json
import subprocess

import numpy as np
import pytest
from kits import KINDS, LABELS, SIZE, kit
from test_phone_platforms import NODE, needs_node

__all__ = ["kit"]  # a fixture
COLOURS = [[0, 0, 0], [200, 10, 0], [1, 2, 255]]

# The parts of a browser that the live path uses; a canvas draws images of its own size only.
FAKES = """
import { readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
const [kit, folder] = process.argv.slice(2);
globalThis.ImageData = class {
  constructor(width, height) {
    Object.assign(this, { data: new Uint8ClampedArray(4 * width * height), width, height });
  }
};
globalThis.OffscreenCanvas = class {
  constructor(width, height) { Object.assign(this, { width, height, put: [] }); }
  getContext() { return this; }
  get canvas() { return this; }
  drawImage(source, x, y, width, height) {
    if (!isDeepStrictEqual([x, y, width, height], [0, 0, this.width, this.height])) throw 'size';
    this.drawn = source;
  }
  getImageData() { return this.drawn; }
  putImageData(image) { this.put.push(image); }
};
const floats = (name) => new Float32Array(new Uint8Array(readFileSync(name)).buffer);
const write = (name, values) => writeFileSync(`${folder}/${name}`, values);
const web = await import(`${kit}/web/segnet.js`);
const { WIDTH, HEIGHT, CLASSES } = web;
const deleted = [];
class Tensor {
  constructor(values) { this.values = values; this.name = 'input'; }
  async data() { if (this.fails) throw new Error('no data'); return this.values; }
  delete() { deleted.push(this.name); }
}
const output = (values, fails) => Object.assign(new Tensor(values), { name: 'output', fails });
const segmenter = async (run) => {
  const model = { run, delete: () => deleted.push('model') };
  return web.Segmenter.create({ Tensor, loadAndCompile: async () => model });
};
"""


def node(kit, folder, code):
    command = [NODE, "--input-type=module", "-", str(kit), str(folder)]
    end = subprocess.run(command, input=FAKES + code, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    return [json.loads(line) for line in end.stdout.splitlines()]


def logits(seed=0, levels=None):
    """(*SIZE, classes) float32 in patches, some pixels with ties."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(SIZE[0] // 8, SIZE[1] // 8, len(LABELS)))
    found = rough.repeat(8, 0).repeat(8, 1) + 0.3 * rng.normal(size=(*SIZE, len(LABELS)))
    return (np.round(2 * found) / 2 if levels else found).astype(np.float32)


def taps(source, target):
    """First pixel, weight of it and of the next one; from the positions of pixel centres."""
    centre = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    first = np.minimum(np.floor(centre).astype(int), source - 2)
    return first, (1 - (centre - first))[:, None], (centre - first)[:, None]


def mask_by_rule(values, height, width):
    """Rows in float32, columns in float64, the first of equal sums."""
    first, near, far = taps(SIZE[0], height)
    rows = (near[..., None] * values[first]).astype(np.float32).astype(float)
    rows = (rows + far[..., None] * values[first + 1]).astype(np.float32).astype(float)
    first, near, far = taps(SIZE[1], width)
    return (near * rows[:, first] + far * rows[:, first + 1]).argmax(-1)


@needs_node
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("size", [(301, 517), (20, 33), SIZE])
def test_mask_to_the_bit(kit, tmp_path, size, levels):
    values = logits(levels=levels)
    values.tofile(tmp_path / "logits")
    height, width = size
    node(kit, tmp_path, f"""
const ids = new Uint8Array({width} * {height}).fill(9);
const mask = web.toMask(floats(`${{folder}}/logits`), {width}, {height}, ids);
if (mask.ids !== ids) throw new Error('another array');
write('found', ids);
""")  # fmt: skip
    found = np.fromfile(tmp_path / "found", np.uint8).reshape(size)
    assert len(np.unique(found)) == len(LABELS)
    assert (found == mask_by_rule(values, *size)).all()


@needs_node
@pytest.mark.parametrize("kit", ["float32", "int8-full"], indirect=True)
def test_alpha_is_the_softmax(kit, tmp_path):
    contract = json.loads((kit / "contract.json").read_text())
    step = contract["output"]["scale"] if contract["output"]["dtype"] == "uint8" else 1
    values = np.round(40 * logits()) if step != 1 else 3 * logits()
    values[0, 0] = [-1e4, 1e4, 0]  # their exponentials are no numbers of 64 bits
    values.astype(np.float32).tofile(tmp_path / "logits")
    node(kit, tmp_path, "write('found', web.toAlpha(floats(`${folder}/logits`), 1));")
    shifted = step * (values.astype(np.float64) - values.max(-1, keepdims=True))
    wanted = 255 * np.exp(shifted[..., 1]) / np.exp(shifted).sum(-1)
    found = np.fromfile(tmp_path / "found", np.uint8).reshape(SIZE)
    assert found[0, 0] == 255 and np.abs(found - wanted).max() <= 0.5001
    assert found.min() < 20 and found.std() > 20


@needs_node
def test_colours_by_hand(kit, tmp_path):
    (found,) = node(kit, tmp_path, """
const image = new ImageData(2, 2);
image.data.fill(77);
const mask = { width: 2, height: 2, ids: Uint8Array.of(0, 1, 2, 1) };
if (web.toColours(mask, 0.25, image) !== image) throw new Error('another image');
console.log(JSON.stringify([...image.data]));
""")  # fmt: skip
    # 255 * 0.25 = 63.75
    assert found == [0, 0, 0, 0, 200, 10, 0, 64, 1, 2, 255, 64, 200, 10, 0, 64]


@needs_node
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_tensors_are_released(kit, tmp_path):
    found = node(kit, tmp_path, """
const input = new Float32Array(WIDTH * HEIGHT * 3);
const runs = [
  async () => { throw new Error('no run'); },
  async () => [output(input, true)],
  async () => [output(input), output(input)],
];
for (const run of runs) {
  const one = await segmenter(run);
  const said = await one.infer(input).then(() => 'done', (error) => error.message);
  console.log(JSON.stringify([said, ...deleted.splice(0)]));
}
(await segmenter(runs[0])).close();
console.log(JSON.stringify(deleted));
""")  # fmt: skip
    assert found == [
        ["no run", "input"],
        ["no data", "input", "output"],
        ["done", "input", "output", "output"],
        ["model"],
    ]


TWO_FRAMES = """
const answers = ['a', 'b'].map((name) => floats(`${folder}/${name}`));
const inputs = [];
const one = await segmenter(async ([input]) => {
  inputs.push(input.values);
  write(`input${inputs.length}`, new Uint8Array(new input.values.constructor(input.values).buffer));
  return [output(answers[inputs.length - 1])];
});
const live = new web.Live(one, { opacity: 1 });
const frame = (bytes) => ({ data: new Uint8ClampedArray(4 * WIDTH * HEIGHT).map(bytes) });
const masks = [await live.frame(frame((_, i) => i % 251))];
write('mask1', masks[0]);
const mattes = [live.matte(2)];
masks.push(await live.frame(frame(() => 255)));
write('mask2', masks[1]);
mattes.push(live.matte(2));
const same = ([first, second]) => first === second;
const { put } = live.canvas;
console.log(JSON.stringify([masks, inputs, put, mattes, mattes[0].put].map(same)));
write('layer', put[1].data);
write('matte', mattes[1].put[1].data);
console.log(JSON.stringify(live.mask(7, 5).ids.length));
"""


@needs_node
def test_frames_use_the_same_memory(kit, tmp_path):
    """Two frames, the second one white; the model answers with two kinds of logits."""
    source, target = KINDS[json.loads((kit / "contract.json").read_text())["recipe"]]
    all_logits = [logits(seed) for seed in (1, 2)]
    for name, values in zip("ab", all_logits, strict=True):
        values.tofile(tmp_path / name)
    found = node(kit, tmp_path, TWO_FRAMES)
    assert found == [[True] * 5, 35]
    for index, values in enumerate(all_logits, 1):
        mask = np.fromfile(tmp_path / f"mask{index}", np.uint8).reshape(SIZE)
        assert (mask == values.argmax(-1)).all()
    rgba = np.arange(4 * SIZE[0] * SIZE[1]).reshape(*SIZE, 4) % 251
    read = np.fromfile(tmp_path / "input1", source).reshape(*SIZE, 3)
    normed = rgba[..., :3] / 127.5 - 1 if source == "float32" else rgba[..., :3]
    assert np.abs(read - normed).max() < 1e-6
    assert (np.fromfile(tmp_path / "input2", source) == (1 if source == "float32" else 255)).all()
    layer = np.fromfile(tmp_path / "layer", np.uint8).reshape(*SIZE, 4)
    assert (layer[..., :3] == np.array(COLOURS)[mask]).all()
    assert (layer[..., 3] == 255 * (mask > 0)).all()
    matte = np.fromfile(tmp_path / "matte", np.uint8).reshape(*SIZE, 4)
    assert (matte[..., :3] == 255).all()
    if target == "float32":
        powers = np.exp(values.astype(np.float64))
        assert np.abs(matte[..., 3] - 255 * powers[..., 2] / powers.sum(-1)).max() <= 0.5001


@needs_node
@pytest.mark.parametrize("kit", ["float32"], indirect=True)
def test_types_declare_what_the_code_exports(kit, tmp_path):
    (names,) = node(kit, tmp_path, "console.log(JSON.stringify(Object.keys(web)));")
    text = (kit / "web" / "segnet.d.ts").read_text(encoding="utf-8")
    declared = [line.split()[3] for line in text.splitlines() if line.startswith("export declare ")]
    assert sorted(name.split("(")[0].rstrip(":") for name in declared) == sorted(names)
