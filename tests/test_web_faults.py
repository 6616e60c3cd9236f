"""A runtime that computes wrongly, under the page of python -m export web in Chromium."""

import shutil

import pytest
from pages import CAMERA, GOLDEN, READY, SHOWN, WEBGPU, needs_chromium, page, said, shown

__all__ = ["page"]  # a fixture
pytestmark = needs_chromium

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
      await new Promise((resolve) => setTimeout(resolve, RUN_MS));
      const outputs = await compiled.run(inputs);
      const values = await outputs[0].data();
      first ??= values;
      runs += 1;
      if (!(BROKEN)) return outputs;
      globalThis.brokenAt ??= performance.timeOrigin + performance.now();
      const wrong = { frozen: () => first.slice(), noise: () => values.map(() => Math.random()) };
      return [{ data: async () => wrong.KIND(), delete() {} }];
    },
  };
}
"""


def faulty(page, folder, kind, broken, most=1, run_ms=0):
    """A copy of the page whose first `most` instances give frozen outputs or noise.

    run_ms: that each inference of theirs takes longer.
    """
    shutil.copytree(page, folder)
    core = folder / "litert" / "core" / "dist"
    (core / "index.js").rename(core / "original.js")
    code = FAULTY.replace("KIND", kind).replace("BROKEN", broken).replace("MOST", str(most))
    code = code.replace("RUN_MS", str(run_ms))
    (core / "index.js").write_text(code)
    return folder


@pytest.mark.parametrize(("kind", "broken"), [("frozen", "runs > 1"), ("noise", "runs > 10")])
def test_a_fault_at_the_start_is_noticed_within_a_second(page, tmp_path, kind, broken):
    folder = faulty(page, tmp_path / "page", kind, broken)
    found = shown(folder, READY, ["inWorker", "brokenAt"], GOLDEN, SHOWN)
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on wasm"))
    assert noticed - found["inWorker"] < 1000
    assert "Started again after a fault on wasm: " in found["runtime"]
    assert found["state"]["accelerator"] == "wasm" and found["state"]["state"] == "ready"


@pytest.mark.parametrize("kind", ["frozen", "noise"])
def test_a_fault_in_use_is_noticed_within_a_second(page, tmp_path, kind):
    folder = faulty(page, tmp_path / "page", kind, "globalThis.broken")
    steps = [READY, ["click", "#camera"], ["wait", 1500], ["inWorker", "globalThis.broken = true"]]
    steps += [["status", "A new instance on wasm goes on"], ["wait", 1200]]
    steps += [["inWorker", "brokenAt"], ["read", "rate", "#rate"]]
    found = shown(folder, *steps, flags=CAMERA, permissions=["camera"])
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on wasm"))
    assert noticed - found["inWorker"] < 1000
    assert float(found["rate"]) > 3


# A check is one inference more than the one that was wrong.
@pytest.mark.parametrize(
    ("kind", "run_ms", "limit_ms"),
    [("frozen", 200, 1000), ("noise", 400, 1000), ("noise", 1500, 1500 + 500)],
)
def test_a_fault_of_a_slow_network_is_noticed_as_soon(page, tmp_path, kind, run_ms, limit_ms):
    slow = f"globalThis.isSlow ? {run_ms} : 0"
    folder = faulty(page, tmp_path / "page", kind, "globalThis.broken", run_ms=slow)
    steps = [READY, ["inWorker", "globalThis.isSlow = true"], ["click", "#camera"]]
    steps += [["wait", 2500], ["inWorker", "globalThis.broken = true"]]
    steps += [["status", "A new instance on wasm goes on"], ["inWorker", "brokenAt"]]
    found = shown(folder, *steps, flags=CAMERA, permissions=["camera"])
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on wasm"))
    assert noticed - found["inWorker"] < limit_ms


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
      if (isFirst) await new Promise((resolve) => setTimeout(resolve, 150));
      const outputs = await compiled.run(inputs);
      if (!isGpu || !globalThis.broken) return outputs;
      globalThis.brokenAt ??= performance.timeOrigin + performance.now();
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
    steps = [READY, ["click", "#camera"], ["wait", 1500], ["inWorker", "globalThis.broken = true"]]
    steps += [["status", "A new instance on wasm goes on"], ["inWorker", "brokenAt"]]
    found = shown(folder, *steps, flags=WEBGPU + CAMERA, permissions=["camera"])
    noticed = next(when for when, line in found["said"] if line.startswith("A fault on webgpu"))
    assert noticed - found["inWorker"] < 1000
    assert found["state"]["accelerator"] == "wasm"
