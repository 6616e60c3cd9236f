"""The kit's JavaScript in headless Chromium, and its types in TypeScript's compiler."""

import json
import queue
import shutil
import subprocess
import threading
from http.server import ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from clients.browser_client import FLAGS, HEAD, MODULES, browse, handler
from kits import ROOT, SIZE, kit
from test_phone_platforms import NODE, needs_node

__all__ = ["kit"]  # a fixture
TYPESCRIPT = ROOT / ".clients" / "types" / "node_modules" / "typescript" / "bin" / "tsc"

APP = """
import * as litert from '@litertjs/core';
import { CLASSES, Live, RemoteSegmenter, Segmenter, toColours, toMask } from 'KIT/web/segnet.js';
import type { Mask } from 'KIT/web/segnet.js';
const segmenter = await Segmenter.create(litert, { accelerator: 'wasm' });
const live = new Live(segmenter, { hold: 1 });
const ids: Uint8Array = await live.frame(document.querySelector('video')!);
const image: ImageData = toColours(toMask(live.logits!, 640, 480));
const three: 3 = CLASSES;
const remote = await RemoteSegmenter.create({ core: 'litert.js', wasm: 'wasm/' });
const ids2: Uint8Array | null = await remote.frame(document.querySelector('video')!);
const mask: Mask = await remote.segment(new Blob());
// @ts-expect-error: an accelerator that does not exist
await Segmenter.create(litert, { accelerator: 'npu' });
// @ts-expect-error: a class is a number
live.matte('person');
"""


def needs_typescript(test):
    for made, name in ((TYPESCRIPT, "types"), (MODULES, "node")):
        reason = f"make .clients/{name}/done, which needs npm"
        test = pytest.mark.skipif(not made.exists(), reason=reason)(test)
    return pytest.mark.clients(needs_node(test))


@needs_typescript
def test_typescript(kit, tmp_path):
    checked(kit, APP, tmp_path)


def checked(kit, app, tmp_path):
    """The compiler takes the app with the types of the kit."""
    (tmp_path / "app.ts").write_text(app.replace("KIT", str(kit)))
    (tmp_path / "node_modules").symlink_to(MODULES)
    flags = "--noEmit --strict --skipLibCheck --target es2022 --module esnext"
    flags += " --moduleResolution bundler --lib es2022,dom"
    command = [str(TYPESCRIPT), *flags.split(), "app.ts"]
    end = subprocess.run([NODE, *command], cwd=tmp_path, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout


def on_chromium(test):
    test = pytest.mark.skipif(not MODULES.exists(), reason="make .clients/node/done")(test)
    missing = shutil.which("chromium") is None
    return pytest.mark.clients(pytest.mark.skipif(missing, reason="no chromium")(test))


PAGE = (
    HEAD
    + """<script type="module">
const post = (path, body) => fetch(path, { method: 'POST', body });
try {
  const litert = await import('/@litertjs/core/dist/index.js');
  const { Live, Segmenter, resize, toTensor } = await import('/web/segnet.js');
  await litert.loadLiteRt('/@litertjs/core/wasm/');
  const segmenter = await Segmenter.create(litert);
  await segmenter.selfTest({ stop: true });
  const live = new Live(segmenter, { opacity: 1 });
  const found = {};
  for (const name of ['photo', 'image']) {
    const response = await fetch(`/golden/${name}.png`);
    const image = await createImageBitmap(await response.blob());
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height);
    const exact = toTensor(resize(pixels));
    const mask = (await segmenter.segment(pixels)).ids;
    for (const [kind, source] of [['bitmap', image], ['canvas', canvas]]) {
      await live.frame(source);
      const ids = live.mask(image.width, image.height).ids;
      found[`${name} ${kind}`] = {
        apart: live.tensor.reduce((sum, value, i) => sum + Math.abs(value - exact[i]), 0)
          / exact.length,
        equal: ids.filter((id, i) => id === mask[i]).length / mask.length,
      };
    }
  }
  const read = (shown) => shown.getContext('2d').getImageData(0, 0, shown.width, shown.height);
  const [layer, matte] = [read(live.canvas), read(live.matte(1))];
  let [wrong, differs] = [0, 0];
  live.ids.forEach((id, i) => {
    wrong += (layer.data[4 * i + 3] === 255) !== (id > 0);
    differs += (matte.data[4 * i + 3] > 127) !== (id === 1);
  });
  const size = [layer.width, layer.height];
  segmenter.close();
  await post('/found', JSON.stringify({ found, wrong, differs: differs / live.ids.length, size }));
} catch (error) {
  await post('/error', String(error.stack));
}
</script>"""
)


def posted(kit, page, **files):
    """The JSON that a page of the kit posts; files: name in the address to content."""
    names = (path for path in kit.rglob("*") if path.is_file())
    files = {f"/{name}": content for name, content in files.items()}
    files |= {f"/{path.relative_to(kit).as_posix()}": path for path in names}
    posts = queue.Queue()
    served = handler(files | {"/": page.encode()}, posts)
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path, body = browse(f"http://127.0.0.1:{server.server_port}/", FLAGS, posts)
    server.shutdown()
    assert path == "/found", body.decode()
    return json.loads(body)


@on_chromium
def test_chromium(kit):
    said, contract = posted(kit, PAGE), json.loads((kit / "contract.json").read_text())
    assert said["size"] == [SIZE[1], SIZE[0]] and said["wrong"] == 0
    assert said["differs"] < 0.5  # of three classes one may be the largest below one half
    step = 1 if contract["input"]["dtype"] == "uint8" else 1 / contract["std"]
    for name, found in said["found"].items():
        # Of the network's own size nothing is resized. The photo is patches with noise.
        exact = name.startswith("image ")
        assert found["equal"] == 1 if exact else found["equal"] > 0.7, said
        assert found["apart"] == 0 if exact else found["apart"] < 8 * step, said


# The same masks as on the page's thread, whose tasks are timed meanwhile.
IN_WORKER = (
    HEAD
    + """<canvas></canvas>
<script type="module">
const post = (path, body) => fetch(path, { method: 'POST', body });
const equal = (one, other) => one.length === other.length && one.every((id, i) => id === other[i]);
const long = [];
new PerformanceObserver((list) => long.push(...list.getEntries().map((each) => each.duration)))
  .observe({ type: 'longtask' });
try {
  const web = await import('/web/segnet.js');
  const wasm = '/@litertjs/core/wasm/';
  const canvas = document.querySelector('canvas');
  const remote = await web.RemoteSegmenter.create({ core: '/core.js', wasm, canvas, opacity: 1 });
  await remote.selfTest();
  const photo = await (await fetch('/golden/photo.png')).blob();
  const large = await (await fetch('/large.jpg')).blob();
  const found = { ms: [] };
  const mask = await remote.segment(photo);
  for (const each of [1, 2, 3]) {
    const image = await createImageBitmap(large);
    const start = performance.now();
    found.large = await remote.segment(image);
    found.ms.push(performance.now() - start);
  }
  await new Promise((resolve) => setTimeout(resolve, 100)); // the observer hears of tasks later
  found.longest = Math.max(0, ...long.splice(0));
  const video = await createImageBitmap(photo);
  const frames = await Promise.all([remote.frame(video), remote.frame(video)]);
  found.dropped = frames[1] === null;
  found.shown = canvas.toDataURL().length;
  const faults = [remote.segment(new Blob(['no picture'])).catch((error) => error.message)];
  found.fault = await faults[0];
  faults.push(remote.segment(photo).catch((error) => error.message));
  remote.close();
  found.closed = await faults[1];
  found.later = await remote.segment(photo).catch((error) => error.message);
  const missing = web.RemoteSegmenter.create({ core: '/missing.js', wasm });
  found.refused = await missing.catch((error) => error.message);

  const litert = await web.loadLiteRt('/@litertjs/core/dist/index.js', wasm);
  const segmenter = await web.Segmenter.create(litert);
  const live = new web.Live(segmenter, { opacity: 1 });
  const local = async (blob) => segmenter.segment(web.toImageData(await createImageBitmap(blob)));
  found.frame = equal(frames[0], await live.frame(await createImageBitmap(photo)));
  found.photo = equal(mask.ids, (await local(photo)).ids);
  found.exact = equal(found.large.ids, (await local(large)).ids);
  const times = [performance.now()];
  const took = (value) => { times.push(performance.now()); return value; };
  const bitmap = took(await createImageBitmap(large));
  const pixels = took(web.toImageData(bitmap));
  const logits = await segmenter.infer(took(web.toTensor(web.resize(pixels))));
  took(null);
  took(web.toMask(logits, 4000, 3000));
  found.stages = times.slice(1).map((time, i) => Math.round(time - times[i]));
  found.large = [found.large.width, found.large.height];
  await post('/found', JSON.stringify(found));
} catch (error) {
  await post('/error', String(error.stack));
}
</script>"""
)


@on_chromium
def test_in_a_worker(kit):
    """A photo of 12 megapixels among others. A worker knows no import map."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 230, (30, 40, 3)).astype(np.uint8)
    large = cv2.resize(small, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    core = (MODULES / "@litertjs/core/dist/index.js").read_text()
    by_path = core.replace('"@litertjs/wasm-utils"', '"/@litertjs/wasm-utils/dist/index.js"')
    files = {"core.js": by_path.encode(), "large.jpg": cv2.imencode(".jpg", large)[1].tobytes()}
    said = posted(kit, IN_WORKER, **files)
    print(f"4000x3000 in a worker: {min(said['ms']):.0f} ms, longest task {said['longest']} ms")
    print("of it, milliseconds to decode, read, resize, infer and make the mask:", said["stages"])
    assert said["large"] == [4000, 3000] and said["exact"] and said["photo"] and said["frame"]
    assert said["longest"] < 100 and said["dropped"] and said["shown"] > 1000
    assert "could not be decoded" in said["fault"]
    assert said["closed"] == said["later"] == "the worker was closed"
    assert "missing.js" in said["refused"]
