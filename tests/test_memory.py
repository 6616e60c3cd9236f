"""What the kit's code allocates a frame once it has run: nothing of the size of a frame or mask."""

import json
import resource
import statistics
import subprocess
import tracemalloc

import numpy as np
import pytest
from ended_kits import contract_of, ended
from kits import contract, kit, scene
from test_phone_platforms import NODE, needs_node
from test_web_live import FAKES

from export.kit.render import filled
from export.proof import frame

__all__ = ["ended", "kit"]  # fixtures
SIZE = (128, 160)  # H, W of the network here
FRAME = (240, 320)  # H, W


CODES = [(kind, "logits") for kind in ("float32", "int8", "int8-full")]
CODES += [("float32", "classes"), ("int8", "classes8")]


@pytest.fixture(params=CODES, ids="-".join)
def code(request):
    """The kit's Python code with a network whose output never changes."""
    kind, output = request.param
    made = contract(kind) if output == "logits" else contract_of(kind, output)
    made["input"]["shape"][1:3] = SIZE
    shape = (1, *SIZE, len(made["labels"])) if output == "logits" else (1, *SIZE)
    made["output"]["shape"] = shape
    found = frame.program(filled(made, "python/segment.py"), "kit/python/segment.py")
    most = 99 if output == "logits" else len(made["labels"])
    values = np.random.default_rng(0).integers(0, most, shape)
    return frame.without_network(found, values.astype(made["output"]["dtype"]))


def python_frames(code, path):
    """A function that runs one of two frames and its overlay, by turns."""
    segmenter, images = code.Segmenter(), [scene(FRAME, seed) for seed in (1, 2)]
    ids, layer = np.empty(FRAME, np.uint8), None

    def run(number):
        nonlocal layer
        image = images[number % 2]
        found = segmenter.frame(image) if path == "live" else segmenter.mask(image, ids)
        layer = code.colours(found, out=layer)

    return run


def traced(run, frames):
    """Bytes that are left after the frames, and at most in use during them, more than before.

    The most is the median of ten parts: what other threads of the test run allocate falls into one.
    """
    tracemalloc.start()
    try:
        for number in range(4):
            run(number)
        before, _ = tracemalloc.get_traced_memory()
        peaks = []
        for _ in range(10):
            tracemalloc.reset_peak()
            for number in range(frames // 10):
                run(number)
            after, peak = tracemalloc.get_traced_memory()
            peaks.append(peak - before)
    finally:
        tracemalloc.stop()
    return after - before, statistics.median(peaks)


@pytest.mark.parametrize("path", frame.PATHS)
def test_python_frames_allocate_no_arrays(code, path):
    """The smallest array, a mask of the network's size, would be 20,480 bytes."""
    left, most = traced(python_frames(code, path), 300)
    print(f"{path}: {left} bytes left, at most {most}")
    assert left < 2000 and most < 10_000


@pytest.mark.slow
@pytest.mark.parametrize("path", frame.PATHS)
def test_python_memory_stays_flat(code, path):
    run = python_frames(code, path)
    for number in range(100):
        run(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    left, most = traced(run, 10_000)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"{path}: {left} bytes left, at most {most}; the process grew by {grown}")
    assert left < 2000 and most < 10_000 and grown < 3e6


# A part of the heap for new objects so large that nothing is collected between the measurements.
FLAGS = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"]
MEASURE = """
const { GCProfiler } = await import('node:v8');
const frames = Number(folder);
const noise = (values, most) => values.map(() => most * Math.random());
const picture = (width, height) => {
  const image = new ImageData(width, height);
  image.data.set(noise(new Uint8Array(image.data.length), 256));
  return image;
};
const both = (make) => [make(), make()];
const images = both(() => picture(160, 120));
const small = both(() => picture(WIDTH, HEIGHT));
const found = () => (web.Smooth
  ? noise(new Float32Array(HEIGHT * WIDTH * CLASSES), 99)
  : noise(new Int32Array(HEIGHT * WIDTH), CLASSES));
const values = both(found);
const [rgb, ids] = [new Uint8Array(HEIGHT * WIDTH * 3), new Uint8Array(160 * 120)];
const [tensor, layer] = [web.toTensor(rgb), new ImageData(160, 120)];
const live = new web.Live(await segmenter());
live.canvas.putImageData = () => {}; // the canvas above keeps what it gets
live.small.drawImage = (image) => { live.small.drawn = image; };
const paths = {
  exact(turn) {
    web.toTensor(web.resize(images[turn], rgb), tensor);
    web.toColours(web.toMask(values[turn], 160, 120, ids), 0.5, layer);
  },
  live(turn) {
    live.read(small[turn]);
    live.show(values[turn]);
    live.mask(160, 120);
  },
};
const measured = (run) => {
  gc();
  const profiler = new GCProfiler();
  const start = process.memoryUsage();
  profiler.start();
  for (let frame = 0; frame < frames; frame++) run(frame % 2);
  const made = process.memoryUsage().heapUsed - start.heapUsed;
  const collections = profiler.stop().statistics.length;
  gc();
  const end = process.memoryUsage();
  const [left, arrays] = ['heapUsed', 'arrayBuffers'].map((name) => end[name] - start[name]);
  return { collections, made, left, arrays };
};
for (const [path, run] of Object.entries(paths)) {
  for (let frame = 0; frame < 600; frame++) run(frame % 2); // until the code is compiled
  const rounds = [1, 2, 3].map(() => measured(run));
  // What V8 compiles or drops on the side falls into one round, what a frame makes into all.
  const [collections, made, left, arrays] = Object.keys(rounds[0]).map((name) => (
    rounds.map((round) => round[name]).sort((a, b) => a - b)
  ));
  const found = { collections: collections[0], made: made[0], left: left[1], arrays: arrays[1] };
  console.log(JSON.stringify({ path, ...found }));
}
"""


def javascript(kit, frames):
    """A row a path, of three rounds the least (collections, made) or the median (left, arrays).

    made, left: bytes on the heap; arrays: bytes of typed arrays.
    """
    command = [NODE, *FLAGS, "--input-type=module", "-", str(kit), str(frames)]
    end = subprocess.run(command, input=FAKES + MEASURE, capture_output=True, text=True)
    assert end.returncode == 0, end.stderr
    print(end.stdout)
    return [json.loads(line) for line in end.stdout.splitlines()]


def check_javascript(kit, frames):
    """A mask's object and a view of an image, 210 bytes, are made a frame."""
    for row in javascript(kit, frames):
        assert row["collections"] == 0 and row["made"] < 220 * frames + 30_000, row
        assert row["left"] < 20_000 and row["arrays"] <= 0, row


@needs_node
@pytest.mark.parametrize("kit", ["int8"], indirect=True)
def test_javascript_frames_allocate_no_arrays(kit):
    check_javascript(kit, 300)


@needs_node
@pytest.mark.parametrize("ended", [("float32", "classes")], indirect=True)
def test_javascript_frames_of_classes_allocate_no_arrays(ended):
    check_javascript(ended[0], 300)


@needs_node
@pytest.mark.slow
@pytest.mark.clients
def test_javascript_memory_stays_flat(kit):
    check_javascript(kit, 10_000)
