"""The kit's JavaScript in headless Chromium, and its types in TypeScript's compiler."""

import json
import queue
import shutil
import subprocess
import threading
from http.server import ThreadingHTTPServer

import pytest
from clients.browser_client import FLAGS, MODULES, browse, handler
from kits import ROOT, SIZE, kit
from test_phone_platforms import NODE, needs_node

__all__ = ["kit"]  # a fixture
TYPESCRIPT = ROOT / ".clients" / "types" / "node_modules" / "typescript" / "bin" / "tsc"

APP = """
import * as litert from '@litertjs/core';
import { CLASSES, Live, Segmenter, toColours, toMask } from 'KIT/web/segnet.js';
const segmenter = await Segmenter.create(litert, { accelerator: 'wasm' });
const live = new Live(segmenter, { hold: 1 });
const ids: Uint8Array = await live.frame(document.querySelector('video')!);
const image: ImageData = toColours(toMask(live.logits!, 640, 480));
const three: 3 = CLASSES;
// @ts-expect-error: an accelerator that does not exist
await Segmenter.create(litert, { accelerator: 'npu' });
// @ts-expect-error: a class is a number
live.matte('person');
"""


@needs_node
@pytest.mark.clients
@pytest.mark.skipif(not TYPESCRIPT.exists(), reason="make .clients/types/done, which needs npm")
@pytest.mark.skipif(not MODULES.exists(), reason="make .clients/node/done, which needs npm")
def test_typescript(kit, tmp_path):
    (tmp_path / "app.ts").write_text(APP.replace("KIT", str(kit)))
    (tmp_path / "node_modules").symlink_to(MODULES)
    flags = "--noEmit --strict --skipLibCheck --target es2022 --module esnext"
    flags += " --moduleResolution bundler --lib es2022,dom"
    command = [str(TYPESCRIPT), *flags.split(), "app.ts"]
    end = subprocess.run([NODE, *command], cwd=tmp_path, capture_output=True, text=True)
    assert end.returncode == 0, end.stdout


PAGE = """<!doctype html><meta charset="utf-8">
<script type="importmap">
{"imports": {"@litertjs/wasm-utils": "/@litertjs/wasm-utils/dist/index.js"}}</script>
<script type="module">
const post = (path, body) => fetch(path, { method: 'POST', body });
try {
  const litert = await import('/@litertjs/core/dist/index.js');
  const { Live, Segmenter, resize, toTensor } = await import('/web/segnet.js');
  await litert.loadLiteRt('/@litertjs/core/wasm/');
  const segmenter = await Segmenter.create(litert);
  await segmenter.selfTest();
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


@pytest.mark.clients
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.skipif(not MODULES.exists(), reason="make .clients/node/done, which needs npm")
def test_chromium(kit):
    names = (path for path in kit.rglob("*") if path.is_file())
    files = {f"/{path.relative_to(kit).as_posix()}": path for path in names}
    posts = queue.Queue()
    served = handler(files | {"/": PAGE.encode()}, posts)
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path, body = browse(f"http://127.0.0.1:{server.server_port}/", FLAGS, posts)
    server.shutdown()
    assert path == "/found", body.decode()
    said, contract = json.loads(body), json.loads((kit / "contract.json").read_text())
    assert said["size"] == [SIZE[1], SIZE[0]] and said["wrong"] == 0
    assert said["differs"] < 0.5  # of three classes one may be the largest below one half
    step = 1 if contract["input"]["dtype"] == "uint8" else 1 / contract["std"]
    for name, found in said["found"].items():
        # Of the network's own size nothing is resized. The photo is patches with noise.
        exact = name.startswith("image ")
        assert found["equal"] == 1 if exact else found["equal"] > 0.7, said
        assert found["apart"] == 0 if exact else found["apart"] < 8 * step, said
