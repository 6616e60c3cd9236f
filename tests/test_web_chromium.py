"""The page of python -m export web in headless Chromium, by `clients/page_client.mjs`."""

import json
import shutil
import subprocess
import threading

import cv2
import kits
import numpy as np
import pytest
from kits import ROOT, model, write_kit
from test_phone_platforms import NODE, needs_node

from data.images import read_image
from export.web.litert import read_packages
from export.web.make import write_page
from export.web.serve import Server

CLIENT = ROOT / "tests" / "clients" / "page_client.mjs"
LITERT = ROOT / ".clients" / "node"
DRIVER = ROOT / ".clients" / "page" / "node_modules"
CHROMIUM = shutil.which("chromium")
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
READY = ["status", "^Ready"]
SHOWN = ["status", "picture is shown"]
GOLDEN = ["click", ".sample >> nth=0"]
PATIENCE_S = 180

pytestmark = [
    needs_node,
    pytest.mark.clients,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not LITERT.exists(), reason="make .clients/node/done, which needs npm"),
    pytest.mark.skipif(not DRIVER.exists(), reason="make .clients/page/done, which needs npm"),
]


def page_of(folder, kind, content):
    """The page of a kit that has this .tflite; kind: of its input and output."""
    kit = write_kit(folder / "kit", kind, content)
    write_page(folder / "page", kit, None, read_packages(LITERT))
    return folder / "page"


# Recipe to the kind of its input and output in `kits`.
@pytest.fixture(scope="module", params=["float32", "float16", "int8", "int8-full"])
def any_page(request, tmp_path_factory):
    kind = "float32" if request.param == "float16" else request.param
    return page_of(tmp_path_factory.mktemp("page"), kind, model(request.param))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), "float32", model("float32"))


def shown(folder, *steps, **scenario):
    """What the client saw of the page: JSON, see there. No error, no request elsewhere."""
    with Server(("127.0.0.1", 0), folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        given = {"address": server.url, "chromium": CHROMIUM, "steps": steps, **scenario}
        command = [NODE, str(CLIENT), str(DRIVER), json.dumps(given)]
        end = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        server.shutdown()
    assert end.returncode == 0, end.stderr
    found = json.loads(end.stdout)
    assert "failed" not in found, (found["failed"], found["said"], found["errors"])
    assert found["errors"] == [] and found["elsewhere"] == [], found
    return found


def said(found):
    return [line for _, line in found["said"]]


def test_the_golden_mask_is_right(any_page, tmp_path):
    """The colours on the screen, at full opacity, are those of photo_mask.png.

    They are stretched from the network's size, so that pixels at edges differ; the masks of random
    weights have many.
    """
    set_opacity = ["set", "#opacity", "100"]
    steps = [READY, set_opacity, GOLDEN, SHOWN, ["pixels", str(tmp_path / "screen.png")]]
    found = shown(any_page, *steps)
    assert "Segmenter wasm passed its self-test" in found["console"]
    assert found["runtime"].startswith("On wasm (CPU), ")
    assert found["runtime"].endswith("This browser offers no WebGPU.")
    photo = read_image(any_page / "golden" / "photo.png").astype(int)
    mask = read_image(any_page / "golden" / "photo_mask.png")[..., 0]
    screen = read_image(tmp_path / "screen.png").astype(int)
    colours = kits.contract("float32")["colours"]
    kinds = [photo, *(np.broadcast_to(colour, photo.shape) for colour in colours[1:])]
    nearest = np.argmin([np.abs(screen - kind).sum(-1) for kind in kinds], 0)
    assert (nearest == mask).mean() > 0.7
    assert all((nearest[mask == id] == id).mean() > 0.5 for id in range(3))


def test_a_webgpu_that_is_slower_is_not_used(page):
    """SwiftShader computes rightly, but on the CPU."""
    found = shown(page, READY, GOLDEN, SHOWN, flags=WEBGPU)
    assert "Segmenter webgpu passed its self-test" in found["console"]
    assert "WebGPU is not used: it is slower: " in found["runtime"]
    assert found["state"]["accelerator"] == "wasm"


def video(path, size=(240, 320), frames=30):
    """An uncompressed video, which the browser takes for the camera: a square that moves."""
    height, width = size
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % (width, height))
        for frame in range(frames):
            image = np.full((height, width, 3), 90, np.uint8)
            cv2.rectangle(image, (8 * frame, 60), (8 * frame + 80, 180), (20, 200, 240), -1)
            file.write(b"FRAME\n" + cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


def test_frames_a_second_of_a_camera(tmp_path, monkeypatch):
    monkeypatch.setattr(kits, "SIZE", (256, 256))
    folder = page_of(tmp_path, "float32", model("float32"))
    flags = [*CAMERA, f"--use-file-for-fake-video-capture={video(tmp_path / 'camera.y4m')}"]
    steps = [READY, ["click", "#camera"], ["status", "The camera is on"], ["wait", 4000]]
    steps += [["read", "rate", "#rate"], ["read", "network", "#network"], ["read", "flip", "#flip"]]
    found = shown(folder, *steps, flags=flags, permissions=["camera"])
    print(f"256x256 on wasm: {found['rate']} frames/s, network {found['network']}")
    assert float(found["rate"]) > 3
    assert found["flip"] == ""  # there is one camera only
    assert found["state"]["look"] == "overlay"


def test_without_a_camera_it_says_why_and_goes_on_with_files(page, tmp_path):
    steps = [READY, ["click", "#camera"], ["status", "choose a picture or a video instead"]]
    steps += [["upload", str(page / "golden" / "photo.png")], SHOWN]
    assert any("There is no camera" in line for line in said(shown(page, *steps)))
    found = shown(page, *steps, flags=["--use-fake-device-for-media-stream"])
    assert any("The camera was refused" in line for line in said(found))


def test_a_hidden_page_pauses(page):
    count = """() => {
      const context = document.getElementById('screen').getContext('2d');
      const draw = context.drawImage;
      globalThis.drawn = 0;
      context.drawImage = (...words) => { drawn += 1; draw.apply(context, words); };
    }"""
    hide = """async () => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s });
      document.dispatchEvent(new Event('visibilitychange'));
      await new Promise((resolve) => setTimeout(resolve, 600));
      const before = drawn;
      await new Promise((resolve) => setTimeout(resolve, 1200));
      return drawn - before;
    }"""
    steps = [READY, ["click", "#camera"], ["status", "The camera is on"], ["run", f"({count})()"]]
    for hidden, is_right in (("true", lambda n: n == 0), ("false", lambda n: n > 3)):
        run = ["run", f"({hide % 'true'})()"]
        runs = [run] if hidden == "true" else [run, ["run", f"({hide % 'false'})()"]]
        found = shown(page, *steps, *runs, flags=CAMERA, permissions=["camera"])
        assert is_right(found["run"]), (hidden, found["run"])


def test_a_corrupt_model_is_named(page, tmp_path):
    folder = shutil.copytree(page, tmp_path / "page")
    raw = bytearray((folder / "model.tflite").read_bytes())
    raw[len(raw) // 2] ^= 64
    (folder / "model.tflite").write_bytes(raw)
    found = shown(folder, ["status", "This does not work"], ["wait", 200])
    assert said(found)[-1].startswith("This does not work: model.tflite is damaged: its SHA-256")
    assert found["state"] == {"state": "failed"}


# Another LiteRT.js, whose compiled models give wrong outputs: BROKEN tells from when on.
FAULTY = """
export * from './original.js';
import * as original from './original.js';
let made = 0;
export async function loadAndCompile(model, options) {
  const compiled = await original.loadAndCompile(model, options);
  made += 1;
  if (made > MOST) return compiled;
  let [runs, first] = [0, null];
  return {
    delete: () => compiled.delete(),
    async run(inputs) {
      const outputs = await compiled.run(inputs);
      const values = await outputs[0].data();
      first ??= values;
      runs += 1;
      if (!(BROKEN)) return outputs;
      globalThis.brokenAt ??= performance.now();
      const wrong = { frozen: () => first.slice(), noise: () => values.map(() => Math.random()) };
      return [{ data: async () => wrong.KIND(), delete() {} }];
    },
  };
}
"""


def faulty(page, folder, kind, broken, most=1):
    """A copy of the page whose first `most` instances give frozen outputs or noise."""
    shutil.copytree(page, folder)
    core = folder / "litert" / "core" / "dist"
    (core / "index.js").rename(core / "original.js")
    code = FAULTY.replace("KIND", kind).replace("BROKEN", broken).replace("MOST", str(most))
    (core / "index.js").write_text(code)
    return folder


@pytest.mark.parametrize(("kind", "broken"), [("frozen", "runs > 1"), ("noise", "runs > 10")])
def test_a_fault_at_the_start_is_noticed_within_a_second(page, tmp_path, kind, broken):
    folder = faulty(page, tmp_path / "page", kind, broken)
    found = shown(folder, READY, ["run", "brokenAt"], GOLDEN, SHOWN)
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on wasm"))
    assert noticed - found["run"] < 1000
    assert "Started again after a fault on wasm: " in found["runtime"]
    assert found["state"]["accelerator"] == "wasm" and found["state"]["state"] == "ready"


@pytest.mark.parametrize("kind", ["frozen", "noise"])
def test_a_fault_in_use_is_noticed_within_a_second(page, tmp_path, kind):
    folder = faulty(page, tmp_path / "page", kind, "globalThis.broken")
    steps = [READY, ["click", "#camera"], ["wait", 1500], ["run", "globalThis.broken = true"]]
    steps += [["status", "A new instance on wasm goes on"], ["wait", 1200]]
    steps += [["run", "brokenAt"], ["read", "rate", "#rate"]]
    found = shown(folder, *steps, flags=CAMERA, permissions=["camera"])
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on wasm"))
    assert noticed - found["run"] < 1000
    assert float(found["rate"]) > 3


def test_a_browser_that_computes_wrongly_again_and_again_is_given_up(page, tmp_path):
    folder = faulty(page, tmp_path / "page", "noise", "runs > 10", most=99)
    found = shown(folder, ["status", "This does not work"])
    assert said(found)[-1].startswith("This does not work: ")
    assert found["state"]["state"] == "failed"


def test_a_webgpu_that_is_wasm_is_not_called_webgpu(page, tmp_path):
    """Each accelerator that is asked for is silently wasm, as where nothing could be delegated."""
    folder = shutil.copytree(page, tmp_path / "page")
    core = folder / "litert" / "core" / "dist"
    (core / "index.js").rename(core / "original.js")
    (core / "index.js").write_text("""
export * from './original.js';
import * as original from './original.js';
export const isWebGPUSupported = () => true;
export const getWebGpuDevice = () => ({});
export const loadAndCompile = (model) => original.loadAndCompile(model, { accelerator: 'wasm' });
""")
    found = shown(folder, READY)
    assert found["state"]["accelerator"] == "wasm"
    assert "WebGPU is not used: its output is bit-equal to that of wasm." in found["runtime"]


# The first instance on wasm is slow; WebGPU is right until it is broken.
WITH_WEBGPU = """
export * from './original.js';
import * as original from './original.js';
let made = 0;
export async function loadAndCompile(model, options) {
  const compiled = await original.loadAndCompile(model, options);
  const [isGpu, isFirst] = [options.accelerator === 'webgpu', made === 0];
  made += 1;
  return {
    delete: () => compiled.delete(),
    async run(inputs) {
      if (isFirst) await new Promise((resolve) => setTimeout(resolve, 300));
      const outputs = await compiled.run(inputs);
      if (!isGpu || !globalThis.broken) return outputs;
      globalThis.brokenAt ??= performance.now();
      const values = (await outputs[0].data()).fill(0.5);
      return [{ data: async () => values, delete() {} }];
    },
  };
}
"""


def test_webgpu_takes_over_where_it_is_right_and_faster_until_it_fails(page, tmp_path):
    folder = shutil.copytree(page, tmp_path / "page")
    core = folder / "litert" / "core" / "dist"
    (core / "index.js").rename(core / "original.js")
    (core / "index.js").write_text(WITH_WEBGPU)
    found = shown(folder, READY, GOLDEN, SHOWN, flags=WEBGPU)
    assert found["runtime"].startswith("On WebGPU (GPU), ")
    assert found["state"]["accelerator"] == "webgpu"
    steps = [READY, ["click", "#camera"], ["wait", 1500], ["run", "globalThis.broken = true"]]
    steps += [["status", "A new instance on wasm goes on"], ["run", "brokenAt"]]
    found = shown(folder, *steps, flags=WEBGPU + CAMERA, permissions=["camera"])
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on webgpu"))
    assert noticed - found["run"] < 1000
    assert found["state"]["accelerator"] == "wasm"


def test_it_can_be_used_with_the_keyboard(page):
    steps = [READY, GOLDEN, SHOWN, ["run", "document.querySelector('[value=overlay]').focus()"]]
    found = shown(page, *steps, ["press", "ArrowRight"])
    assert found["state"]["look"] == "blur"
    steps = [READY, ["run", "document.querySelector('.sample').focus()"], ["press", "Enter"], SHOWN]
    found = shown(page, *steps, ["run", "document.getElementById('screen').ariaLabel"])
    assert found["run"].startswith("Found: ") and "%" in found["run"]


def test_controls_are_large_and_accessible(page):
    steps, sizes = [READY, GOLDEN, SHOWN], [(390, 844), (844, 390), (1200, 800), (320, 640)]
    for scheme in ("light", "dark"):
        for width, height in sizes:
            name = f"{scheme} {width}x{height}"
            steps += [["size", width, height], ["scheme", scheme], ["wait", 300]]
            steps += [["targets", f"{name} targets"], ["axe", f"{name} axe"]]
    found = shown(page, *steps)
    for name, values in found.items():
        if name.endswith("axe"):
            assert [each for each in values if each[1] in ("serious", "critical")] == [], name
        if name.endswith("targets"):
            assert len(values) == 8  # three looks, two sliders, a sample, two buttons
            for each in values:
                assert each["height"] >= 44 and each["width"] >= 44, (name, each)
                assert each["inside"], (name, each)
    assert sum(name.endswith("axe") for name in found) == 2 * len(sizes)
